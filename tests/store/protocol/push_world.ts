/** Remotes to push to: git's own programs behind a pipe, a daemon and sshd, and ours behind a port. */
import { connect, createRegistry, sshResolver, tcpResolver } from "../../../conduit/mod.ts";
import {
  admitAll,
  daemonOpener,
  initRepository,
  openRepository,
  serveReceivePack,
  serveUploadPack,
  sshOpener,
} from "../../../store/mod.ts";
import type { OpenService, PackLimits, Person, Repository } from "../../../store/mod.ts";
import { freePort } from "../../tools/ports.ts";
import { findProgram, quietEnvironment, run } from "../../tools/real.ts";
import { startSshd } from "../../tools/sshd.ts";
import { programFlow, withGitServer } from "./git_server.ts";

export const LIMITS: PackLimits = {
  packBytes: 16 << 20,
  objectBytes: 4 << 20,
  objects: 100_000,
  deltaDepth: 50,
  deltaWork: 1 << 30,
};

export type RemoteKind = "pipe" | "daemon" | "sshd" | "ours";
export const GIT_REMOTES: readonly RemoteKind[] = ["pipe", "daemon", "sshd"];

export interface Remote {
  readonly open: OpenService;
  /** The bare repository behind it, on disk. */
  readonly path: string;
}

/** A new bare repository behind a server of this kind, while `use` runs. */
export async function withRemote(
  dir: string,
  kind: RemoteKind,
  use: (remote: Remote) => Promise<void>,
): Promise<void> {
  const path = `${dir}/${kind}.git`;
  await run("git", ["init", "-q", "--bare", "-b", "main", path]);
  if (kind === "pipe") await withPipes(path, use);
  else if (kind === "daemon") await withDaemon(dir, path, use);
  else if (kind === "sshd") await withOpenSsh(dir, path, use);
  else await withOurs(path, use);
}

export function person(name: string, when = 1_700_000_000): Person {
  return { name, email: `${name}@example.test`, when, zone: "+0000" };
}

/** A repository of ours, closed afterwards. */
export async function withLocal(path: string, use: (repository: Repository) => Promise<void>): Promise<void> {
  const repository = await initRepository(path);
  try {
    await use(repository);
  } finally {
    repository.close();
  }
}

/** A script that git runs; its text without the first line. */
export async function hook(repository: string, name: string, text: string): Promise<void> {
  await Deno.mkdir(`${repository}/hooks`, { recursive: true });
  await Deno.writeTextFile(`${repository}/hooks/${name}`, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}

async function withPipes(path: string, use: (remote: Remote) => Promise<void>): Promise<void> {
  const ended: Promise<void>[] = [];
  const open: OpenService = (service, version) => {
    const program = programFlow("git", [service.slice(4), path], { GIT_PROTOCOL: `version=${version}` });
    ended.push(program.ended);
    return Promise.resolve({ ok: true, value: program.flow });
  };
  try {
    await use({ path, open });
  } finally {
    await Promise.all(ended);
  }
}

async function withDaemon(dir: string, path: string, use: (remote: Remote) => Promise<void>): Promise<void> {
  const port = freePort();
  const child = new Deno.Command(findProgram("git") ?? "git", {
    args: [
      "daemon",
      "--listen=127.0.0.1",
      `--port=${port}`,
      `--base-path=${dir}`,
      "--export-all",
      "--enable=receive-pack",
      "--verbose",
      "--log-destination=stderr",
    ],
    clearEnv: true,
    env: quietEnvironment(),
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let drained: Promise<void> | undefined;
  try {
    for (let output = ""; !output.includes("Ready to rumble");) {
      const { value, done } = await log.read();
      if (done) throw new Error(`git daemon ended: ${output}`);
      output += value;
    }
    drained = (async () => {
      while (!(await log.read()).done);
    })();
    const registry = createRegistry().with(tcpResolver());
    const at = { host: "127.0.0.1", path: path.slice(dir.length) };
    await use({
      path,
      open: daemonOpener(() => connect(registry, { scheme: "tcp", host: "127.0.0.1", port }), at),
    });
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await drained;
  }
}

async function withOpenSsh(dir: string, path: string, use: (remote: Remote) => Promise<void>): Promise<void> {
  const sshd = await startSshd(dir);
  try {
    const identity = await Deno.readTextFile(sshd.identity);
    const registry = createRegistry().with(sshResolver({ identity, hostKeys: [sshd.pin] }));
    const at = { user: "root", host: "127.0.0.1", port: sshd.port, path };
    await use({ path, open: sshOpener((endpoint) => connect(registry, endpoint), at) });
  } finally {
    await sshd.stop();
  }
}

async function withOurs(path: string, use: (remote: Remote) => Promise<void>): Promise<void> {
  const repository = await openRepository(path);
  try {
    await withGitServer(async ({ service, version, flow }) => {
      if (service === "git-receive-pack") {
        await serveReceivePack({
          repository,
          flow,
          version,
          admit: admitAll(repository),
          allow: { deletes: true },
        });
      } else await serveUploadPack({ repository, flow, version });
    }, async (url) => {
      const registry = createRegistry().with(tcpResolver());
      const port = Number(new URL(url.replace("git:", "http:")).port);
      const dial = () => connect(registry, { scheme: "tcp", host: "127.0.0.1", port });
      await use({ path, open: daemonOpener(dial, { host: "127.0.0.1", path: "/zones.git" }) });
    });
  } finally {
    repository.close();
  }
}
