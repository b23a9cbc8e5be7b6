/** What bad input gets: one clear line, exit 2, no stack. */
import { equal, match, ok } from "node:assert/strict";
import { realTest, run } from "../tools/real.ts";
import { hostAndPort, runCommand, type RunningServer, serverIn, startServer } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

function oneLine(outcome: { code: number; stdout: string; stderr: string }, expected: RegExp): void {
  const lines = outcome.stderr.trimEnd().split("\n").filter((line) => !line.startsWith("Warning"));
  equal(lines.length, 1, outcome.stderr);
  match(lines[0], expected);
  equal(outcome.stdout, "");
  equal(outcome.code, 2);
}

async function failedStart(dir: string, args: readonly string[]) {
  const outcome = await startServer(dir, args);
  if (!outcome.ready) return outcome;
  await outcome.server.stop();
  throw new Error("it started");
}

realTest("an unknown flag is named", { needs: [] }, async ({ dir }) => {
  oneLine(await failedStart(dir, ["--fast"]), /^bailiwick: unknown option '--fast'/);
  oneLine(
    await runCommand(dir, "certify", ["a.test", "--out", "x"]),
    /^bailiwick: required option '--server/,
  );
});

realTest("a bad configuration file is named with line or key", { needs: [] }, async ({ dir }) => {
  oneLine(await failedStart(dir, ["--config", "none.toml"]), /none\.toml/);
  await Deno.writeTextFile(`${dir}/bad.toml`, "[acme]\nagree = true\n");
  oneLine(await failedStart(dir, ["--config", "bad.toml"]), /bad\.toml: unknown key acme\.agree/);
});

realTest("a zones folder that is not there, or faulty, starts nothing", { needs: [] }, async ({ dir }) => {
  oneLine(await failedStart(dir, ["--zones", "nowhere"]), /nowhere/);
  await Deno.mkdir(`${dir}/zones`);
  await Deno.writeTextFile(
    `${dir}/zones/a.test.zone`,
    "@ 60 SOA ns h 1 1h 1h 1h 1h\n@ 60 NS ns\nns A 1\n@ 60 B c\n",
  );
  const faulty = await failedStart(dir, ["--zones", "zones"]);
  equal(faulty.code, 2);
  match(faulty.stderr, /a\.test\.zone:3:\d+: /);
  match(faulty.stderr, /a\.test\.zone:4:\d+: /);
  const healed = await serverIn(dir, ["--zones", EXAMPLES]);
  equal(await healed.stop(), 0);
});

realTest("a port in use is named, whichever server wants it", { needs: [] }, async ({ dir }) => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const address = `127.0.0.1:${taken.addr.port}`;
  const cwd = `${dir}/a`;
  await Deno.mkdir(cwd);
  for (const flag of ["--dns", "--ssh", "--web"]) {
    const outcome = await failedStart(cwd, ["--zones", EXAMPLES, flag, address]);
    oneLine(
      outcome,
      new RegExp(`^bailiwick: cannot listen on ${RegExp.escape(address)}: the port is in use$`),
    );
  }
});

realTest(
  "a second serve on the same data exits 2 and names the first one's pid",
  { needs: [] },
  async ({ dir }) => {
    const server = await serverIn(dir, ["--zones", EXAMPLES]);
    try {
      const second = await failedStart(dir, ["--zones", EXAMPLES]);
      oneLine(second, new RegExp(`pid ${server.pid}$`));
      equal((await Deno.readTextFile(`${dir}/.bailiwick/lock`)).trim(), String(server.pid));
    } finally {
      equal(await server.stop(), 0);
    }
  },
);

realTest("a data folder that is a file is refused", { needs: [] }, async ({ dir }) => {
  await Deno.writeTextFile(`${dir}/data`, "");
  oneLine(await failedStart(dir, ["--zones", EXAMPLES, "--data", "data"]), /data/);
});

realTest("keys and their folder are for the owner alone", { needs: ["ssh-keygen"] }, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES]);
  equal(await server.stop(), 0);
  const keys = `${dir}/.bailiwick/keys`;
  equal(((await Deno.stat(keys)).mode ?? 0) & 0o777, 0o700);
  for await (const entry of Deno.readDir(keys)) {
    if (entry.isFile) {
      equal(((await Deno.stat(`${keys}/${entry.name}`)).mode ?? 0) & 0o777, 0o600, entry.name);
    }
  }
  match((await run("ssh-keygen", ["-lf", `${keys}/client_ed25519.pub`])).stdout, /ED25519/);
  const { port } = hostAndPort(server.ssh);
  match(
    await Deno.readTextFile(`${keys}/known_hosts`),
    new RegExp(`^\\[127\\.0\\.0\\.1\\]:${port} ssh-ed25519 `, "m"),
  );
});

realTest("key add writes a key once, list shows it, remove takes it away", { needs: [] }, async ({ dir }) => {
  const name = "web._update.example.test";
  equal((await runCommand(dir, "key", ["add", name])).code, 0);
  const path = `${dir}/.bailiwick/keys/tsig/${name}.key`;
  match(await Deno.readTextFile(path), /hmac-sha256/);
  oneLine(await runCommand(dir, "key", ["add", name]), /exists/);
  match((await runCommand(dir, "key", ["list"])).stdout, /web\._update\.example\.test/);
  equal((await runCommand(dir, "key", ["remove", name])).code, 0);
  equal((await runCommand(dir, "key", ["list"])).stdout.includes(name), false);
  oneLine(await runCommand(dir, "key", ["remove", name]), /no key/);
  oneLine(await runCommand(dir, "key", ["add", "web.example.test"]), /_update/);
  oneLine(await runCommand(dir, "key", ["add", "../x._update.a.test"]), /name/);
});

realTest("what the contract names and this version lacks says so", { needs: [] }, async ({ dir }) => {
  oneLine(await runCommand(dir, "key", ["../plan"]), /unknown command/);
  const certify = ["a.test", "--server", "127.0.0.1:1", "--key-file", "k", "--out", "o", "--watch"];
  oneLine(await runCommand(dir, "certify", certify), /--watch is not in this version/);
});

realTest("SIGHUP takes over keys and [dns] from the configuration, and a bad one changes nothing", {
  needs: ["nsupdate", "dig"],
}, async ({ dir }) => {
  const secret = (letter: string) => btoa(letter.repeat(32));
  const write = (letter: string) =>
    Deno.writeTextFile(
      `${dir}/b.toml`,
      `[dns]\nnsid = "${letter}"\n[keys."ops._update.example.test"]\nsecret = "${secret(letter)}"\n`,
    );
  await write("a");
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--config", "b.toml", "--acme", "off"]);
  const works = async (letter: string) => {
    const { host, port } = hostAndPort(server.dns);
    const script =
      `server ${host} ${port}\nzone example.test\nupdate add _acme-challenge.example.test 60 TXT ${letter}\nsend\n`;
    const key = `hmac-sha256:ops._update.example.test:${secret(letter)}`;
    return (await run("nsupdate", ["-y", key], { stdin: script, check: false })).code === 0;
  };
  const nsid = async () => {
    const { host, port } = hostAndPort(server.dns);
    const { stdout } = await run("dig", [`@${host}`, "-p", `${port}`, "+nsid", "example.test", "SOA"]);
    return /NSID: .*\("(.*)"\)/.exec(stdout)?.[1];
  };
  try {
    equal(await works("a"), true);
    equal(await nsid(), "a");
    await write("b");
    await hangUp(server, /configuration read again/);
    equal(await works("b"), true);
    // Workers take settings over one by one, in milliseconds.
    for (const deadline = Date.now() + 10_000; await nsid() !== "b";) ok(Date.now() < deadline);
    equal(await works("a"), false);
    await Deno.writeTextFile(`${dir}/b.toml`, "keys = 1");
    await hangUp(server, /configuration not taken over.*b\.toml: keys/);
    equal(await works("b"), true);
    equal(await nsid(), "b");
  } finally {
    equal(await server.stop(), 0);
  }
});

async function hangUp(server: RunningServer, expected: RegExp): Promise<void> {
  const before = server.log().length;
  server.signal("SIGHUP");
  const deadline = Date.now() + 10_000;
  while (!expected.test(server.log().slice(before))) {
    if (Date.now() > deadline) throw new Error(`the log does not say ${expected}:\n${server.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
