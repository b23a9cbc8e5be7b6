/** All commands, as users write them. */
import { Command, CommanderError, Option } from "commander";
import { CliError, sentence } from "./errors.ts";
import { SERVE_FLAGS } from "./serve_flags.ts";
import { VERSION } from "./version.ts";

/** Runs the command that the words ask for; the exit code. @throws {CliError} and what the commands throw */
export async function runCommand(args: readonly string[]): Promise<number> {
  const outcome = { code: 0 };
  try {
    await commands((code) => outcome.code = code).parseAsync([...args], { from: "user" });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error);
    throw error;
  }
}

function commands(exit: (code: number) => void): Command {
  const program = new Command("bailiwick")
    .description("An authoritative DNS primary whose zones live in git, and certificates through DNS.")
    .version(VERSION)
    .exitOverride()
    .configureOutput({ writeErr: () => {}, outputError: () => {} });

  // Each command's modules are loaded when it runs: `key add` need not load a DNS server.
  const serving = program.command("serve").description(
    "serve DNS, git over SSH, certificates and the web page",
  );
  for (const [name, flag] of Object.entries(SERVE_FLAGS)) {
    const option = new Option(`--${name} ${flag.form}`, flag.says);
    serving.addOption("multiple" in flag ? option.argParser(collect) : option);
  }
  serving.action(async (flags) => exit(await (await import("./serve.ts")).serve(flags)));

  program.command("certify")
    .description("get a certificate for a host through DNS")
    .argument("<host>", "the host name")
    .option("--san <name>", "a further name, may be repeated", collect)
    .requiredOption("--server <host:port>", "the primary")
    .requiredOption("--key-file <file>", "TSIG key file, as for nsupdate -k")
    .requiredOption("--out <dir>", "where HOST.key, HOST.req and HOST.pem go")
    .option("--timeout <seconds>", "how long to wait for the certificate", "120")
    .addOption(new Option("--watch", "not in this version").hideHelp())
    .addOption(new Option("--exec <command>", "not in this version").hideHelp())
    .addOption(new Option("--revoke", "not in this version").hideHelp())
    .action(async (host, flags) => exit(await (await import("./certify.ts")).certify(host, flags)));

  program.command("check")
    .description("check the zones of a folder or a repository")
    .argument("<place>", "DIR or REPOSITORY[#BRANCH]")
    .addOption(
      new Option("--format <format>", "how faults are printed").choices(["text", "json", "github"]).default(
        "text",
      ),
    )
    .action(async (place, flags) => exit(await (await import("./check.ts")).check(place, flags)));

  const key = program.command("key").description("TSIG keys");
  for (const verb of ["add", "remove"] as const) {
    key.command(verb)
      .argument("<name>", "NAME._OP.ZONE, OP one of update, transfer, notify")
      .option("--data <dir>", "data directory (default .bailiwick)")
      .action(async (name, flags) =>
        exit((await import("./key.ts"))[verb === "add" ? "addKey" : "removeKey"](name, flags))
      );
  }
  key.command("list")
    .option("--data <dir>", "data directory (default .bailiwick)")
    .action(async (flags) => exit((await import("./key.ts")).listKeys(flags)));

  program.command("bundle")
    .description("write the files of a commit as one pack that serve can serve")
    .argument("<commit>", "REPOSITORY, or REPOSITORY#BRANCH, #TAG or #COMMIT")
    .argument("<file>", "the pack; its name ends in .pack, and its index goes beside it")
    .action(async (place, file) => exit(await (await import("./bundle.ts")).bundle(place, file)));

  program.command("status")
    .description("tell what is served, from where, and until when certificates last")
    .option("--data <dir>", "data directory (default .bailiwick)")
    .option("--json", "for programs")
    .action(async (flags) => exit(await (await import("./status.ts")).status(flags)));

  for (const name of ["acme", "plan", "import"]) {
    program.command(name, { hidden: true }).argument("[words...]").allowUnknownOption().action(() => {
      throw new CliError(`${name} is not in this version`);
    });
  }
  return program;
}

function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}

function reportUsage(error: CommanderError): number {
  if (error.exitCode === 0) return 0;
  if (error.code === "commander.help") {
    console.error(
      "bailiwick: no command given; one of serve, certify, check, bundle, status, key (--help tells more)",
    );
    return 2;
  }
  console.error(`bailiwick: ${sentence(error).replace(/^error: /, "")}`);
  return 2;
}
