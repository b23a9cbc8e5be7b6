/** The repository served by git:// and by HTTP, with git as the client. */
import { equal, match, notEqual, ok } from "node:assert/strict";
import type { Status } from "../../cli/status_form.ts";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { runCommand, serverIn, startServer } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

realTest("git:// and HTTP are off unless they are asked for", { needs: [] }, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  await server.stop();
  equal(/git:\/\/|by http/.test(server.log()), false, server.log());
});

realTest(
  "git clones by git:// and by HTTP, and pushes by neither",
  { needs: ["git"] },
  async ({ dir, step }) => {
    await configure(dir, 'daemon = "127.0.0.1:0"', 'http = "127.0.0.1:0"');
    const server = await serverIn(dir, ["--zones", EXAMPLES, "--config", "b.toml", "--acme", "off"]);
    try {
      const { gitDaemon, gitHttp } = (await statusOf(dir)).server;
      ok(typeof gitDaemon === "string" && typeof gitHttp === "string");
      ok(server.log().includes(`fetches for everybody by ${gitDaemon}`), server.log());
      for (const [name, url] of [["daemon", gitDaemon], ["http", gitHttp]] as const) {
        for (const version of [0, 1, 2]) {
          await step(`${name}, protocol version ${version}`, async () => {
            const clone = `${name}${version}`;
            await run("git", ["-c", `protocol.version=${version}`, "clone", "-q", url, clone], { cwd: dir });
            ok((await Deno.stat(`${dir}/${clone}/example.test.zone`)).isFile);
            await run("git", ["-C", clone, "fsck", "--strict"], { cwd: dir });
          });
        }
        await run("git", ["commit", "-q", "--allow-empty", "-m", "Mine"], { cwd: `${dir}/${name}2` });
        const pushed = await run("git", ["push", "-q"], { cwd: `${dir}/${name}2`, check: false });
        notEqual(pushed.code, 0);
      }
    } finally {
      equal(await server.stop(), 0);
    }
  },
);

realTest("with a password git pushes by HTTP, and the push is checked as any other", {
  needs: ["git", "dig"],
}, async ({ dir, step }) => {
  await configure(dir, 'http = "127.0.0.1:0"', 'password-file = "passwords"');
  await Deno.writeTextFile(`${dir}/passwords`, "# who may push\nalice:correct horse\n");
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--config", "b.toml", "--acme", "off"]);
  try {
    const { gitHttp } = (await statusOf(dir)).server;
    ok(typeof gitHttp === "string");
    const as = (user: string, password: string) =>
      gitHttp.replace("http://", `http://${user}:${encodeURIComponent(password)}@`);
    for (const url of [gitHttp, as("alice", "wrong horse"), as("bob", "correct horse")]) {
      const refused = await run("git", ["ls-remote", url], { check: false });
      notEqual(refused.code, 0, url);
    }
    await run("git", ["clone", "-q", as("alice", "correct horse"), "clone"], { cwd: dir });
    const push = (line: string) => pushLine(`${dir}/clone`, line);
    equal((await push("pushed A 192.0.2.9")).code, 0);
    equal(await dig(server.dns, ["+short", "pushed.example.test", "A"]), "192.0.2.9");
    match(server.log(), /push by alice: refs\/heads\/main/);
    const faulty = await push("broken A 1.2.3");
    notEqual(faulty.code, 0);
    match(faulty.stderr, /remote: example\.test\.zone:\d+:\d+: error: /);
    await run("git", ["reset", "-q", "--hard", "HEAD~1"], { cwd: `${dir}/clone` });

    await step("who is struck out of the file is out at once", async () => {
      await Deno.writeTextFile(`${dir}/passwords`, "carol:another horse\n");
      notEqual((await push("late A 192.0.2.10")).code, 0);
    });
  } finally {
    equal(await server.stop(), 0);
  }
});

realTest("what everybody may read holds no keys, or is not started, and the file is named", {
  needs: ["git"],
}, async ({ dir }) => {
  await Deno.mkdir(`${dir}/zones`);
  for await (const { name } of Deno.readDir(EXAMPLES)) {
    await Deno.copyFile(`${EXAMPLES}/${name}`, `${dir}/zones/${name}`);
  }
  await Deno.writeTextFile(
    `${dir}/zones/example.test._keys`,
    `web._update.example.test. DNSKEY 0 3 163 ${btoa("x".repeat(32))}\n`,
  );
  for (const key of ["daemon", "http"]) {
    await configure(dir, `${key} = "127.0.0.1:0"`);
    const started = await startServer(dir, ["--config", "b.toml", "--acme", "off"]);
    if (started.ready) await started.server.stop();
    ok(!started.ready, key);
    equal(started.code, 2);
    match(
      started.stderr,
      new RegExp(`^bailiwick: git\\.${key}: example\\.test\\._keys .*holds TSIG keys`, "m"),
    );
  }
  await configure(dir, 'http = "127.0.0.1:0"', 'password-file = "passwords"');
  await Deno.writeTextFile(`${dir}/passwords`, "alice:correct horse\n");
  const server = await serverIn(dir, ["--config", "b.toml", "--acme", "off"]);
  equal(await server.stop(), 0, "authenticated, they may be there");
});

realTest("a password file that cannot be used is named with its line", { needs: [] }, async ({ dir }) => {
  await configure(dir, 'http = "127.0.0.1:0"', 'password-file = "passwords"');
  for (
    const [text, expected] of [[undefined, /passwords cannot be read/], [
      "a:short\n",
      /passwords:1: not NAME:PASSWORD/,
    ], ["a:12345678\na:87654321\n", /passwords:2: a is there twice/]] as const
  ) {
    if (text !== undefined) await Deno.writeTextFile(`${dir}/passwords`, text);
    const started = await startServer(dir, ["--zones", EXAMPLES, "--config", "b.toml", "--acme", "off"]);
    if (started.ready) await started.server.stop();
    ok(!started.ready);
    match(started.stderr, expected);
    equal(/87654321|short$/m.test(started.stderr), false, "no secret in the log");
  }
});

realTest(
  "with require-signed a push key alone changes nothing",
  { needs: ["git", "ssh", "ssh-keygen", "dig", "nsupdate"] },
  async ({ dir, step }) => {
    await Deno.writeTextFile(
      `${dir}/b.toml`,
      '[repository]\nrequire-signed = true\n[git]\nhttp = "127.0.0.1:0"\npassword-file = "passwords"\n',
    );
    await Deno.writeTextFile(`${dir}/passwords`, "alice:correct horse\n");
    await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "alice", "-f", `${dir}/alice`]);
    const signers = `${dir}/.bailiwick/keys/allowed_signers`;
    const server = await serverIn(dir, ["--zones", EXAMPLES, "--config", "b.toml"]);
    try {
      const { gitHttp } = (await statusOf(dir)).server;
      ok(typeof gitHttp === "string");
      await run(
        "git",
        ["clone", "-q", gitHttp.replace("http://", "http://alice:correct%20horse@"), "clone"],
        { cwd: dir },
      );
      const clone = `${dir}/clone`;

      await step(
        "git itself verifies the server's commits against the file that the server made",
        async () => {
          await run("git", ["config", "gpg.ssh.allowedSignersFile", signers], { cwd: clone });
          match(
            (await run("git", ["verify-commit", "-v", "HEAD"], { cwd: clone })).stderr,
            /Good "git" signature for bailiwick@localhost/,
          );
          const [host, port] = server.dns.split(":");
          const script = `server ${host} ${port}\nupdate add made.example.test 60 A 192.0.2.7\nsend\n`;
          await run("nsupdate", ["-k", `${dir}/.bailiwick/keys/admin.key`], { stdin: script });
          await run("git", ["fetch", "-q"], { cwd: clone });
          match(
            (await run("git", ["verify-commit", "-v", "origin/machine"], { cwd: clone })).stderr,
            /Good "git" signature/,
          );
        },
      );
      await step("an unsigned commit is refused, naming it", async () => {
        const pushed = await pushLine(clone, "un A 192.0.2.1");
        notEqual(pushed.code, 0);
        match(pushed.stderr, /not signed/);
        await run("git", ["reset", "-q", "--hard", "origin/main"], { cwd: clone });
      });
      await step("one signed by a key that is not in the file is refused, and taken when it is", async () => {
        for (
          const [key, value] of [["gpg.format", "ssh"], ["user.signingkey", `${dir}/alice.pub`], [
            "commit.gpgsign",
            "true",
          ]]
        ) {
          await run("git", ["config", key, value], { cwd: clone });
        }
        const pushed = await pushLine(clone, "signed A 192.0.2.2");
        notEqual(pushed.code, 0);
        equal(await dig(server.dns, ["+short", "signed.example.test", "A"]), "");
        const line = `alice@example.test namespaces="git" ${await Deno.readTextFile(`${dir}/alice.pub`)}`;
        await Deno.writeTextFile(signers, line, { append: true });
        equal((await run("git", ["push", "-q"], { cwd: clone, check: false })).code, 0);
        equal(await dig(server.dns, ["+short", "signed.example.test", "A"]), "192.0.2.2");
      });
    } finally {
      equal(await server.stop(), 0);
    }

    await step("a file without the server's key starts nothing, and the line to add is told", async () => {
      await Deno.writeTextFile(signers, "# nobody\n");
      const started = await startServer(dir, ["--config", "b.toml"]);
      if (started.ready) await started.server.stop();
      ok(!started.ready);
      equal(started.code, 2);
      match(
        started.stderr,
        /^bailiwick: repository\.allowed-signers: .*add the line: bailiwick@localhost namespaces="git" ssh-ed25519 /m,
      );
    });
  },
);

async function configure(dir: string, ...lines: string[]): Promise<void> {
  await Deno.writeTextFile(`${dir}/b.toml`, ["[git]", ...lines, ""].join("\n"));
}

async function pushLine(clone: string, line: string) {
  const file = `${clone}/example.test.zone`;
  await Deno.writeTextFile(file, `${line}\n`, { append: true });
  await run("git", ["commit", "-qam", line], { cwd: clone });
  return await run("git", ["push", "-q"], { cwd: clone, check: false });
}

async function statusOf(dir: string): Promise<Status> {
  return JSON.parse((await runCommand(dir, "status", ["--json"])).stdout);
}
