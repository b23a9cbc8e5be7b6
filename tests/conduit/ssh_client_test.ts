import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  connect,
  createRegistry,
  generateSshKey,
  isSshFlow,
  sshFingerprint,
  type SshFlow,
  sshResolver,
  type SshResolverOptions,
  tcpResolver,
} from "../../conduit/mod.ts";
import { type RealContext, realTest, run } from "../tools/real.ts";
import { type HostKeyType, SSHD_NEEDS_ROOT, startSshd } from "../tools/sshd.ts";
import { errorOf, noise, readAll, sha256, text, utf8, valueOf } from "./flows.ts";
import { blobOf, listenOn } from "./ssh_parties.ts";

const PROGRAMS = { needs: ["sshd", "ssh-keygen"], ignore: SSHD_NEEDS_ROOT };

realTest(
  "ssh client: sshd with a pinned key runs the command; output, standard error, status and environment",
  PROGRAMS,
  (
    context,
  ) =>
    withSshd(context, async (server) => {
      const flow = await server.open('cat; echo "$GIT_PROTOCOL"; echo beside >&2; exit 5', {
        env: { GIT_PROTOCOL: "version=2" },
      });
      ok(flow.secure);
      await flow.write(utf8("through cat\n"));
      await flow.end();
      equal(text(await readAll(flow)), "through cat\nversion=2\n");
      equal(await flow.exit, 5);
      equal(flow.diagnostics(), "beside\n");
      flow.close();
    }),
);

realTest(
  "ssh client: 20 MB go through sshd and back unchanged",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const flow = await server.open("cat");
      const sent = noise(20_000_000);
      const writing = (async () => {
        for (let at = 0; at < sent.length; at += 100_000) await flow.write(sent.subarray(at, at + 100_000));
        await flow.end();
      })();
      equal(sha256(await readAll(flow)), sha256(sent));
      await writing;
      equal(await flow.exit, 0);
      flow.close();
    }),
);

realTest(
  "ssh client: a pin of any of the server's keys will do, RSA and ECDSA too",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      for (const type of ["rsa", "ecdsa", "ed25519"] as const) {
        const flow = await server.open("echo hello", { hostKeys: [server.pin(type)] });
        equal(text(await readAll(flow)), "hello\n");
        flow.close();
      }
    }),
);

realTest(
  "ssh client: a wrong host key is an attempt error that names both fingerprints",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const other = sshFingerprint(blobOf(generateSshKey("other")));
      const failure = errorOf(await server.dial("true", { hostKeys: [other] }));
      deepEqual(failure.attempts.map(({ protocol, code }) => [protocol, code]), [["ssh", "host-key"], [
        "tcp",
        "insecure",
      ]]);
      ok(failure.message.includes(other));
      for (const type of ["rsa", "ecdsa", "ed25519"] as const) ok(failure.message.includes(server.pin(type)));
    }),
);

realTest(
  "ssh client: without a pin or an identity there is no connection",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const noPin = errorOf(await server.dial("true", { hostKeys: [] }));
      equal(noPin.attempts[0].code, "unconfigured");
      match(noPin.message, /no host key is pinned for 127\.0\.0\.1/);
      const badPin = errorOf(await server.dial("true", { hostKeys: ["MD5:aa:bb"] }));
      match(badPin.message, /MD5:aa:bb is not a fingerprint/);
      const noKey = errorOf(await server.dial("true", { identity: undefined }));
      equal(noKey.attempts[0].code, "unconfigured");
      match(noKey.message, /no SSH identity is configured/);
      const badKey = errorOf(await server.dial("true", { identity: "-----BEGIN nonsense" }));
      equal(badKey.attempts[0].code, "unconfigured");
      await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "secret", "-f", `${context.dir}/locked`]);
      const locked = errorOf(
        await server.dial("true", { identity: await Deno.readTextFile(`${context.dir}/locked`) }),
      );
      equal(locked.attempts[0].code, "unconfigured");
      match(locked.message, /passphrase/);
    }),
);

realTest(
  "ssh client: an identity that the server does not know is refused as such",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const stranger = generateSshKey("stranger");
      const failure = errorOf(await server.dial("true", { identity: stranger.privateKey }));
      equal(failure.attempts[0].code, "auth");
    }),
);

realTest(
  "ssh client: standard error is kept to its last 64 KiB and never stalls the flow",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const flow = await server.open(
        "head -c 5000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; echo done",
      );
      equal(text(await readAll(flow)), "done\n");
      equal(await flow.exit, 0);
      equal(flow.diagnostics().length, 65536);
      ok(flow.diagnostics().endsWith("the end\n"));
      flow.close();
    }),
);

realTest(
  "ssh client: a command that a signal ends has no status",
  PROGRAMS,
  (context) =>
    withSshd(context, async (server) => {
      const flow = await server.open("kill -9 $$");
      equal(text(await readAll(flow)), "");
      equal(await flow.exit, undefined);
      flow.close();
    }),
);

Deno.test("ssh: our client and our listener: half-close, status, 20 MB both ways", async () => {
  const dir = await Deno.makeTempDir();
  const server = await listenOn(dir, async (session) => {
    const all = await readAll(session.flow);
    await session.stderr("counted");
    await session.flow.write(all);
    await session.exit(all.length % 251);
  });
  const registry = createRegistry().with(sshResolver({
    identity: server.clientKey.privateKey,
    hostKeys: [sshFingerprint(blobOf(server.hostKey))],
  }));
  const flow = sshFlow(
    valueOf(
      await connect(registry, {
        scheme: "ssh",
        host: "127.0.0.1",
        port: server.address.port,
        user: "git",
        command: "x",
      }),
    ),
  );
  const sent = noise(20_000_000);
  await flow.write(sent);
  await flow.end();
  equal(sha256(await readAll(flow)), sha256(sent));
  equal(await flow.exit, sent.length % 251);
  equal(flow.diagnostics(), "counted");
  flow.close();
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("ssh client: a status that comes long after the end of the output is not missed", async () => {
  const dir = await Deno.makeTempDir();
  const seen = Promise.withResolvers<void>();
  const server = await listenOn(dir, async (session) => {
    await session.flow.end();
    await seen.promise;
    await session.exit(9);
  });
  const { port } = server.address;
  const registry = createRegistry().with(sshResolver({
    identity: server.clientKey.privateKey,
    hostKeys: [sshFingerprint(blobOf(server.hostKey))],
  }));
  const flow = sshFlow(
    valueOf(await connect(registry, { scheme: "ssh", host: "127.0.0.1", port, user: "git", command: "x" })),
  );
  equal(await flow.read(), undefined);
  seen.resolve();
  equal(await flow.exit, 9);
  flow.close();
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

Deno.test("ssh client: a server that goes away in mid-stream is a reset, never an end", async () => {
  const dir = await Deno.makeTempDir();
  const server = await listenOn(dir, async (session) => {
    await session.flow.write(utf8("half an ans"));
    await readAll(session.flow);
  }, { report: () => {} });
  const registry = createRegistry().with(sshResolver({
    identity: server.clientKey.privateKey,
    hostKeys: [sshFingerprint(blobOf(server.hostKey))],
  }));
  const { port } = server.address;
  const flow = valueOf(
    await connect(registry, { scheme: "ssh", host: "127.0.0.1", port, user: "git", command: "x" }),
  );
  equal(text(await flow.read()), "half an ans");
  const reading = flow.read().then(() => "an end", (error) => error.code);
  await server.stop();
  equal(await reading, "reset");
  equal(await sshFlow(flow).exit, undefined);
  flow.close();
  await Deno.remove(dir, { recursive: true });
});

interface RunningSshd {
  readonly port: number;
  /** The fingerprint of a host key, as ssh-keygen prints it. */
  pin(type: HostKeyType): string;
  dial(command: string, options?: DialOptions): ReturnType<typeof connect>;
  open(command: string, options?: DialOptions): Promise<SshFlow>;
}

type DialOptions = Partial<SshResolverOptions> & { env?: Record<string, string> };

/** An OpenSSH server with a host key of each family. */
async function withSshd({ dir }: RealContext, body: (server: RunningSshd) => Promise<void>): Promise<void> {
  const server = await startSshd(dir, { moreHostKeys: ["rsa", "ecdsa"] });
  const identity = await Deno.readTextFile(server.identity);
  const { port, pin: pinned } = server;
  try {
    const pin = (type: HostKeyType) => server.pins.get(type) ?? "";
    const dial = (command: string, { env, ...options }: DialOptions = {}) => {
      const resolver = sshResolver({
        identity,
        hostKeys: [pinned],
        priority: 1,
        ...options,
      });
      // Should SSH fail, plain TCP to the same port would work: it must never be taken.
      const registry = createRegistry().with(resolver).with(tcpResolver());
      return connect(registry, { scheme: "ssh", host: "127.0.0.1", port, user: "root", command, env });
    };
    await body({ port, pin, dial, open: async (...args) => sshFlow(valueOf(await dial(...args))) });
  } finally {
    await server.stop();
  }
}

function sshFlow(flow: Parameters<typeof isSshFlow>[0]): SshFlow {
  if (!isSshFlow(flow)) throw new Error(`${flow.description} is no flow over SSH`);
  return flow;
}
