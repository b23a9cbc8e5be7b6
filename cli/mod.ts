/** cli: the commands. `runCli` is the only thing that `main.ts` needs. */
import { Command, CommanderError, Option } from "commander";
import { CliError, sentence } from "./errors.ts";
import { VERSION } from "./version.ts";

/**
 * Runs one command to its end.
 * @param args the words after `main.ts`
 * @returns the exit code: 0 done, 1 faults were found, 2 wrong usage or configuration
 */
export async function runCli(args: readonly string[]): Promise<number> {
  const outcome = { code: 0 };
  const program = commands((code) => outcome.code = code);
  try {
    await program.parseAsync([...args], { from: "user" });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(error);
    if (error instanceof CliError) {
      console.error(`bailiwick: ${error.message}`);
      return error.exitCode;
    }
    const fault = knownSystemFault(error);
    if (fault !== undefined) {
      console.error(`bailiwick: ${fault}`);
      return 2;
    }
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
  program.command("serve")
    .description("serve DNS, git over SSH, certificates and the web page")
    .option("--config <file>", "configuration file (TOML)")
    .option("--data <dir>", "data directory (default .bailiwick)")
    .option("--zones <dir|bundle.pack>", "zones of the first start, or a bundle to serve (default zones)")
    .option("--dns <host:port>", "DNS address, may be repeated (default 127.0.0.1:5300)", collect)
    .option("--ssh <host:port|off>", "git over SSH (default 127.0.0.1:2222)")
    .option("--web <host:port|off>", "web page and health (default 127.0.0.1:8053)")
    .option("--workers <n>", "UDP workers (default one a core)")
    .option("--acme <authority>", "local, staging, production, a directory URL or off (default local)")
    .action(async (flags) => exit(await (await import("./serve.ts")).serve(flags)));

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

/** What the operating system refuses is the user's to mend, and needs no stack. */
function knownSystemFault(error: unknown): string | undefined {
  const kinds = [
    Deno.errors.PermissionDenied,
    Deno.errors.NotCapable,
    Deno.errors.NotFound,
    Deno.errors.NotADirectory,
    Deno.errors.IsADirectory,
  ];
  return kinds.some((kind) => error instanceof kind) ? sentence(error) : undefined;
}
