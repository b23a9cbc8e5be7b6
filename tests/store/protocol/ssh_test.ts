/** git over OpenSSH's client to our SSH server and back: the way that people use it. */
import { equal, match, ok } from "node:assert/strict";
import {
  connect,
  createRegistry,
  generateSshKey,
  knownHostsLine,
  listenSsh,
  parsePublicKey,
  sshFingerprint,
  sshResolver,
} from "../../../conduit/mod.ts";
import type { SshSession } from "../../../conduit/mod.ts";
import {
  admitAll,
  fetchFrom,
  initRepository,
  lsRefs,
  parseGitCommand,
  requestedVersion,
  serveReceivePack,
  serveUploadPack,
  sshOpener,
} from "../../../store/mod.ts";
import type { AdmitPush, Repository } from "../../../store/mod.ts";
import { findProgram, realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, oidOf, workTree } from "./git_server.ts";

for (const version of [0, 1, 2]) {
  realTest(`git pushes, is refused with words, clones and fetches over SSH by v${version}`, {
    needs: ["git", "ssh"],
  }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 3);
    const admit = (repository: Repository): AdmitPush => async (proposal) => {
      if (!proposal.pushOptions.includes("no")) return await admitAll(repository)(proposal);
      await proposal.say("one\ntwo");
      return { results: new Map(proposal.moves.map(({ name }) => [name, { ok: false, reason: "told no" }])) };
    };
    await serving(dir, admit, async ({ url, env, repository }) => {
      await gitV(version, ["push", url, "main"], { cwd: work, env });
      equal(await repository.refs.get("refs/heads/main"), await oidOf(work, "main"));
      await gitV(version, ["clone", "-q", url, `${dir}/clone`], { env });
      equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
      await commits(work, 1, "more");
      const refused = await gitV(version, ["push", "-o", "no", url, "main"], {
        cwd: work,
        env,
        check: false,
      });
      equal(refused.code, 1);
      match(refused.stderr, /^remote: one\s*\nremote: two\s*$/m);
      match(refused.stderr, /\(told no\)/);
      await gitV(version, ["push", url, "main"], { cwd: work, env });
      await gitV(version, ["fetch", "-q"], { cwd: `${dir}/clone`, env });
      equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "main"));
      await fsck(`${dir}/clone`);
      const elsewhere = await gitV(version, ["ls-remote", url.replace("zones.git", "other.git")], {
        env,
        check: false,
      });
      ok(elsewhere.code !== 0);
      match(elsewhere.stderr, /no such repository/);
    });
  });
}

realTest("our client fetches over our SSH client", { needs: ["git", "ssh"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 3);
  await serving(dir, admitAll, async ({ url, env, port, identity, hostKey }) => {
    await gitV(2, ["push", url, "main"], { cwd: work, env });
    const registry = createRegistry().with(sshResolver({ identity, hostKeys: [hostKey] }));
    const place = { user: "git", host: "127.0.0.1", port, path: "/zones.git" };
    const local = await initRepository(`${dir}/local.git`);
    try {
      const outcome = await fetchFrom({
        open: sshOpener((endpoint) => connect(registry, endpoint), place),
        repository: local,
        refPrefixes: ["refs/heads/"],
        want: (refs) => [...refs.values()],
        limits: {
          packBytes: 1 << 20,
          objectBytes: 1 << 20,
          objects: 1000,
          deltaDepth: 50,
          deltaWork: 1 << 24,
        },
      });
      ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
      equal(outcome.value.received?.objects, 9);
      equal(outcome.value.refs.get("refs/heads/main"), await oidOf(work, "main"));
      const wrong = await lsRefs({
        open: sshOpener((endpoint) => connect(registry, endpoint), { ...place, path: "/other.git" }),
        refPrefixes: [],
      });
      ok(!wrong.ok);
      match(wrong.error.message, /no such repository/);
    } finally {
      local.close();
    }
    await fsck(`${dir}/local.git`);
  });
});

for (const acceptEnv of [true, false]) {
  const heard = acceptEnv ? "that lets the version through" : "that drops the version";
  realTest(
    `our client fetches from an OpenSSH server ${heard}`,
    { needs: ["git", "sshd", "ssh-keygen"], ignore: Deno.uid() === 0 ? undefined : "sshd needs root" },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 3);
      await withSshd(dir, acceptEnv, async ({ port, identity, hostKey }) => {
        const registry = createRegistry().with(sshResolver({ identity, hostKeys: [hostKey] }));
        const open = (path: string) =>
          sshOpener((endpoint) => connect(registry, endpoint), {
            user: "root",
            host: "127.0.0.1",
            port,
            path,
          });
        const local = await initRepository(`${dir}/local.git`);
        try {
          const outcome = await fetchFrom({
            open: open(`${work}/.git`),
            repository: local,
            refPrefixes: ["refs/heads/"],
            want: (refs) => [...refs.values()],
            limits: LIMITS,
          });
          ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
          equal(outcome.value.received?.objects, 9);
          const nowhere = await lsRefs({ open: open(`${dir}/it's nowhere.git`), refPrefixes: [] });
          ok(!nowhere.ok);
          match(nowhere.error.message, /it's nowhere\.git' does not appear to be a git repository/);
        } finally {
          local.close();
        }
        await fsck(`${dir}/local.git`);
      });
    },
  );
}

const LIMITS = {
  packBytes: 1 << 20,
  objectBytes: 1 << 20,
  objects: 1000,
  deltaDepth: 50,
  deltaWork: 1 << 24,
};

interface Serving {
  readonly url: string;
  readonly env: Record<string, string>;
  readonly port: number;
  readonly identity: string;
  readonly hostKey: string;
  readonly repository: Repository;
}

async function serving(
  dir: string,
  admit: (repository: Repository) => AdmitPush,
  use: (context: Serving) => Promise<void>,
): Promise<void> {
  const repository = await initRepository(`${dir}/zones.git`);
  const [host, user] = [generateSshKey("host"), generateSshKey("user")];
  const listening = await listenSsh({
    host: "127.0.0.1",
    port: 0,
    hostKeys: [host.privateKey],
    authorize: () => Promise.resolve("tester"),
    exec: (session) => runGit(session, repository, admit(repository)),
  });
  if (!listening.ok) throw listening.error;
  const { port } = listening.value.address;
  try {
    await Deno.writeTextFile(`${dir}/key`, user.privateKey, { mode: 0o600 });
    const key = parsePublicKey(host.publicKey);
    if (!key.ok) throw new Error(key.error);
    await Deno.writeTextFile(`${dir}/known_hosts`, `${knownHostsLine("127.0.0.1", port, key.value)}\n`);
    const ssh =
      `ssh -F none -i ${dir}/key -o IdentitiesOnly=yes -o BatchMode=yes -o UserKnownHostsFile=${dir}/known_hosts`;
    await use({
      url: `ssh://git@127.0.0.1:${port}/zones.git`,
      env: { GIT_SSH_COMMAND: ssh },
      port,
      identity: user.privateKey,
      hostKey: sshFingerprint(key.value.blob),
      repository,
    });
  } finally {
    await listening.value.stop();
    repository.close();
  }
  await fsck(repository.path);
}

async function withSshd(
  dir: string,
  acceptEnv: boolean,
  use: (
    server: { readonly port: number; readonly identity: string; readonly hostKey: string },
  ) => Promise<void>,
): Promise<void> {
  const user = generateSshKey("user");
  await Deno.writeTextFile(`${dir}/authorized_keys`, `${user.publicKey}\n`);
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${dir}/host_key`]);
  const hostKey = (await run("ssh-keygen", ["-lf", `${dir}/host_key.pub`])).stdout.split(" ")[1];
  await Deno.mkdir("/run/sshd", { recursive: true });
  const free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = free.addr;
  free.close();
  const lines = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${dir}/host_key`,
    `AuthorizedKeysFile ${dir}/authorized_keys`,
    "PidFile none",
    "StrictModes no",
    "UsePAM no",
    "PasswordAuthentication no",
    "PermitRootLogin prohibit-password",
    ...(acceptEnv ? ["AcceptEnv GIT_PROTOCOL"] : []),
  ];
  await Deno.writeTextFile(`${dir}/sshd_config`, lines.join("\n") + "\n");
  const child = new Deno.Command(findProgram("sshd") ?? "sshd", {
    args: ["-D", "-e", "-f", `${dir}/sshd_config`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const log = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let output = ""; !output.includes("Server listening");) {
      const { value, done } = await log.read();
      if (done) throw new Error(`sshd ended: ${output}`);
      output += value;
    }
    await use({ port, identity: user.privateKey, hostKey });
  } finally {
    child.kill("SIGTERM");
    await log.cancel();
    await child.status;
  }
}

async function runGit(session: SshSession<string>, repository: Repository, admit: AdmitPush): Promise<void> {
  const parsed = parseGitCommand(session.command);
  if (!parsed.ok || parsed.value.path !== "zones.git") {
    await session.stderr(`${parsed.ok ? "no such repository" : parsed.error.message}\n`);
    return await session.exit(1);
  }
  const version = requestedVersion(session.env.get("GIT_PROTOCOL"));
  const outcome = parsed.value.service === "git-upload-pack"
    ? await serveUploadPack({ repository, flow: session.flow, version })
    : await serveReceivePack({ repository, flow: session.flow, version, admit });
  await session.exit(outcome.ok ? 0 : 1);
}
