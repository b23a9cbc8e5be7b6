/** git itself at both ends, with our listener between them. */
import { equal } from "node:assert/strict";
import { type Flow, type SshSession } from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { noise } from "./flows.ts";
import { listenOn, sshArgs } from "./ssh_parties.ts";

realTest("ssh listener: git clones and pushes through it, protocol versions 0 and 2", {
  needs: ["git", "ssh"],
}, async ({ dir }) => {
  await run("git", ["init", "-q", "-b", "main", `${dir}/work`]);
  await Deno.writeFile(`${dir}/work/big`, noise(3_000_000));
  await run("git", ["add", "."], { cwd: `${dir}/work` });
  await run("git", ["commit", "-q", "-m", "one"], { cwd: `${dir}/work` });
  await run("git", ["clone", "-q", "--bare", `${dir}/work`, `${dir}/zones.git`]);

  const protocols: (string | undefined)[] = [];
  const server = await listenOn(dir, (session) => {
    protocols.push(session.env.get("GIT_PROTOCOL"));
    return gitItself(session, dir);
  });
  const ssh = ["ssh", ...sshArgs(dir, server).slice(0, -1)].map((arg) => `'${arg}'`).join(" ");
  const env = { GIT_SSH_COMMAND: ssh, GIT_SSH_VARIANT: "ssh" };
  const url = `ssh://git@127.0.0.1:${server.address.port}/zones.git`;
  for (const version of ["0", "2"]) {
    const clone = `${dir}/clone${version}`;
    await run("git", ["-c", `protocol.version=${version}`, "clone", "-q", url, clone], { env });
    await Deno.writeFile(`${clone}/new${version}`, noise(2_000_000));
    await run("git", ["add", "."], { cwd: clone });
    await run("git", ["commit", "-q", "-m", "two"], { cwd: clone });
    await run("git", ["push", "-q"], { cwd: clone, env });
    const head = (await run("git", ["rev-parse", "HEAD"], { cwd: clone })).stdout;
    equal((await run("git", ["rev-parse", "main"], { cwd: `${dir}/zones.git` })).stdout, head);
  }
  await run("git", ["fsck", "--strict", "--full"], { cwd: `${dir}/zones.git` });
  equal(protocols.includes("version=2"), true);
  await server.stop();
});

/** Runs `git upload-pack '/zones.git'` and the like on a repository below `dir`. */
async function gitItself(session: SshSession<string>, dir: string): Promise<void> {
  const [, service, path] = /^git-(upload-pack|receive-pack) '\/([a-z.]+)'$/.exec(session.command) ?? [];
  if (service === undefined) throw new Error(`unexpected command ${session.command}`);
  const protocol = session.env.get("GIT_PROTOCOL");
  const child = new Deno.Command("git", {
    args: [service, `${dir}/${path}`],
    env: protocol === undefined ? {} : { GIT_PROTOCOL: protocol },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const feeding = feed(session.flow, child.stdin);
  for await (const chunk of child.stdout) await session.flow.write(chunk);
  const { code } = await child.status;
  await session.exit(code);
  await feeding;
}

async function feed(flow: Flow, stdin: WritableStream<Uint8Array>): Promise<void> {
  const writer = stdin.getWriter();
  try {
    for (let chunk = await flow.read(); chunk !== undefined; chunk = await flow.read()) {
      await writer.write(Uint8Array.from(chunk));
    }
    await writer.close();
  } catch {
    // git had heard enough and ended, or the session was closed after its exit.
    await writer.abort().catch(() => {});
  }
}
