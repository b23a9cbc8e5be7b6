/** Remote mode: zones come from a repository behind a real sshd with a pinned host key. */
import { equal, match, notEqual, ok } from "node:assert/strict";
import { generateSshKey } from "../../conduit/mod.ts";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { gitEnvironment, type RunningServer, serverIn, startServer } from "../tools/server.ts";
import { type Sshd, SSHD_NEEDS_ROOT, startSshd } from "../tools/sshd.ts";

const NEEDS = { needs: ["git", "ssh", "sshd", "dig"], ignore: SSHD_NEEDS_ROOT };

realTest(
  "remote mode follows a repository behind sshd, and serves its copy when the remote is away",
  NEEDS,
  async ({ dir }) => {
    let sshd = await startSshd(dir);
    const upstream = await upstreamIn(dir);
    await configure(dir, sshd, sshd.pin);
    let server = await serverIn(dir, ["--config", "bailiwick.toml", "--acme", "off"]);
    try {
      equal(await dig(server.dns, ["+short", "a.remote.test", "A"]), "192.0.2.1");

      await upstream.change("b A 192.0.2.2");
      await eventually(async () => await dig(server.dns, ["+short", "b.remote.test", "A"]) === "192.0.2.2");

      // A faulty zone stays at its last good while another one advances.
      await upstream.change("broken A 1.2.3");
      await upstream.write(
        "other.test.zone",
        "@ 60 SOA ns.remote.test. h.remote.test. 1 1h 1h 1h 1m\n@ 60 NS ns.remote.test.\n",
      );
      await eventually(async () =>
        await dig(server.dns, ["+short", "other.test", "NS"]) === "ns.remote.test."
      );
      equal(await dig(server.dns, ["+short", "b.remote.test", "A"]), "192.0.2.2");
      match(server.log(), /remote\.test\.zone:\d+:\d+/);

      const pushed = await pushTo(server, dir);
      notEqual(pushed.code, 0);
      match(
        pushed.stderr,
        new RegExp(`\\[remote rejected\\].*follows ssh://root@127\\.0\\.0\\.1:${sshd.port}`),
      );

      // Away: what is served stays served, also over a restart.
      await sshd.stop();
      await server.kill();
      server = await serverIn(dir, ["--config", "bailiwick.toml", "--acme", "off"]);
      equal(await dig(server.dns, ["+short", "b.remote.test", "A"]), "192.0.2.2");
      await eventually(() => Promise.resolve(/cannot|unreachable|refused/i.test(server.log())));

      sshd = await startSshd(dir, { port: sshd.port });
      await upstream.replace("broken A 1.2.3", "mended A 192.0.2.3");
      await eventually(async () =>
        await dig(server.dns, ["+short", "mended.remote.test", "A"]) === "192.0.2.3"
      );
    } finally {
      await server.stop();
      await sshd.stop();
    }
    const checked = await run("git", ["-C", `${dir}/.bailiwick/zones.git`, "fsck", "--strict", "--full"]);
    equal(checked.stderr.replace(/^notice: .*\n/gm, ""), "");
  },
);

realTest("a remote with another host key than the pinned one is not talked to", NEEDS, async ({ dir }) => {
  const sshd = await startSshd(dir);
  await upstreamIn(dir);
  await configure(dir, sshd, `SHA256:${"A".repeat(43)}`);
  const server = await serverIn(dir, ["--config", "bailiwick.toml", "--acme", "off"]);
  try {
    match(
      server.log(),
      new RegExp(sshd.pin.replace(/[+/]/g, "\\$&")),
      "the log names the key that was offered",
    );
    match(await dig(server.dns, ["a.remote.test", "A"]), /status: REFUSED/);
    ok(/zones=0$/.test(server.ready), server.ready);
  } finally {
    await server.stop();
    await sshd.stop();
  }
});

realTest(
  "a stop is heeded while the first pull waits for a remote that says nothing",
  { needs: [] },
  async ({ dir }) => {
    using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await Deno.writeTextFile(`${dir}/id`, generateSshKey("test").privateKey);
    const remote = { port: silent.addr.port, identity: `${dir}/id` };
    await configure(dir, remote, `SHA256:${"A".repeat(43)}`);
    const connected = silent.accept();
    const outcome = await startServer(dir, ["--config", "bailiwick.toml", "--acme", "off"], async (child) => {
      using _ = await connected;
      child.kill("SIGTERM");
      await child.status;
    });
    equal(outcome.ready, false);
    if (!outcome.ready) equal(outcome.code, 0, outcome.stderr);
  },
);

async function configure(dir: string, sshd: Pick<Sshd, "port" | "identity">, pin: string): Promise<void> {
  await Deno.writeTextFile(
    `${dir}/bailiwick.toml`,
    [
      "[repository]",
      `remote = "ssh://root@127.0.0.1:${sshd.port}${dir}/upstream.git"`,
      `identity = "${sshd.identity}"`,
      `host-key = "${pin}"`,
      `poll = "200ms"`,
      "",
    ].join("\n"),
  );
}

async function upstreamIn(dir: string) {
  const work = `${dir}/work`;
  await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/upstream.git`]);
  await run("git", ["init", "-q", "-b", "main", work]);
  const write = async (file: string, content: string) => {
    await Deno.writeTextFile(`${work}/${file}`, content);
    await run("git", ["add", "-A"], { cwd: work });
    await run("git", ["commit", "-qm", `Write ${file}`], { cwd: work });
    await run("git", ["push", "-q", `${dir}/upstream.git`, "main"], { cwd: work });
  };
  const file = "remote.test.zone";
  const read = () => Deno.readTextFile(`${work}/${file}`);
  await write(file, "$TTL 60\n@ SOA ns h 1 1h 1h 1h 1m\n@ NS ns\nns A 127.0.0.1\na A 192.0.2.1\n");
  return {
    write,
    change: async (line: string) => await write(file, `${await read()}${line}\n`),
    replace: async (line: string, by: string) => await write(file, (await read()).replace(line, by)),
  };
}

async function pushTo(server: RunningServer, dir: string) {
  const env = gitEnvironment(`${dir}/.bailiwick`);
  await run("git", ["clone", "-q", `ssh://git@${server.ssh}/zones.git`, "clone"], { cwd: dir, env });
  await run("git", ["commit", "-q", "--allow-empty", "-m", "Mine"], { cwd: `${dir}/clone` });
  return await run("git", ["push", "origin", "HEAD:main"], { cwd: `${dir}/clone`, env, check: false });
}

async function eventually(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!await holds()) {
    if (Date.now() > deadline) throw new Error(`does not come true: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
