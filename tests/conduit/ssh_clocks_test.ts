/** Peers that fall silent at every stage, on both sides; and every kind of host key against OpenSSH's client. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import {
  connect,
  createRegistry,
  type Flow,
  isSshFlow,
  type Listener,
  type ListenEvent,
  listenTcp,
  sshFingerprint,
  sshResolver,
  type SshResolverOptions,
  tcpResolver,
} from "../../conduit/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { readAll, text, utf8, valueOf } from "./flows.ts";
import { blobOf, listenOn, sshArgs, type TestServer } from "./ssh_parties.ts";

async function withDir(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** A command on a test server, perhaps by way of another port; or the error's code and message. */
async function dial(
  server: TestServer,
  options: Partial<SshResolverOptions> = {},
  port = server.address.port,
): Promise<Flow | string> {
  const resolver = sshResolver({
    identity: server.clientKey.privateKey,
    hostKeys: [sshFingerprint(blobOf(server.hostKey))],
    ...options,
  });
  const outcome = await connect(createRegistry().with(resolver), {
    scheme: "ssh",
    host: "127.0.0.1",
    port,
    user: "git",
    command: "x",
  });
  return outcome.ok ? outcome.value : `${outcome.error.attempts[0].code}: ${outcome.error.message}`;
}

interface Relay extends Listener {
  /** From now on nothing goes through, and nobody is told. */
  freeze(): void;
}

async function relayTo(port: number): Promise<Relay> {
  let frozen = false;
  const never = new Promise<never>(() => {});
  const registry = createRegistry().with(tcpResolver());
  const listener = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (near) => {
    const far = valueOf(await connect(registry, { scheme: "tcp", host: "127.0.0.1", port }));
    const pump = async (from: Flow, to: Flow) => {
      for (;;) {
        const bytes = await from.read();
        if (frozen) await never;
        if (bytes === undefined) return await to.end();
        await to.write(bytes);
      }
    };
    await Promise.allSettled([pump(near, far), pump(far, near)]);
    far.close();
  }));
  return await Promise.resolve({
    address: listener.address,
    get connections() {
      return listener.connections;
    },
    stop: (options) => listener.stop(options),
    freeze: () => frozen = true,
  });
}

Deno.test("ssh client: a server that no longer answers is given up after so many questions", async () => {
  await withDir(async (dir) => {
    const server = await listenOn(dir, async (session) => {
      await session.flow.write(utf8("here"));
      await readAll(session.flow);
    }, { report: () => {} });
    const relay = await relayTo(server.address.port);
    const flow = await dial(server, { keepAliveMs: 60, keepAliveCount: 3 }, relay.address.port);
    if (typeof flow === "string") throw new Error(flow);
    equal(text(await flow.read()), "here");
    relay.freeze();
    await rejects(flow.read(), { name: "FlowError", code: "timeout" });
    equal(isSshFlow(flow) && await flow.exit, undefined);
    flow.close();
    await relay.stop();
    await server.stop();
  });
});

Deno.test("ssh listener: a peer that no longer answers is given up after so many questions", async () => {
  await withDir(async (dir) => {
    const reported = Promise.withResolvers<string>();
    const outcome = Promise.withResolvers<string>();
    const server = await listenOn(dir, async (session) => {
      await session.flow.write(utf8("here"));
      await readAll(session.flow).then(() => outcome.resolve("end"), (error) => outcome.resolve(error.code));
    }, {
      keepAliveMs: 60,
      keepAliveCount: 3,
      report: (event) => event.kind === "peer-failed" && reported.resolve(event.reason),
    });
    const relay = await relayTo(server.address.port);
    const flow = await dial(server, {}, relay.address.port);
    if (typeof flow === "string") throw new Error(flow);
    equal(text(await flow.read()), "here");
    relay.freeze();
    equal(await reported.promise, "the peer does not answer");
    equal(await outcome.promise, "closed");
    flow.close();
    await relay.stop();
    await server.stop();
  });
});

Deno.test("ssh: questions and answers keep a quiet connection, however long its command works", async () => {
  await withDir(async (dir) => {
    const release = Promise.withResolvers<void>();
    const server = await listenOn(dir, async (session) => {
      await release.promise;
      await session.flow.write(utf8("done"));
    }, { keepAliveMs: 40, keepAliveCount: 4 });
    const flow = await dial(server, { keepAliveMs: 40, keepAliveCount: 4 });
    if (typeof flow === "string") throw new Error(flow);
    setTimeout(release.resolve, 400); // ten questions long
    equal(text(await readAll(flow)), "done");
    flow.close();
    await server.stop();
  });
});

Deno.test("ssh client: a server that is silent before its keys, or about the login, is given up", async () => {
  await withDir(async (dir) => {
    const never = new Promise<undefined>(() => {});
    const server = await listenOn(dir, () => {}, { authorize: () => never, report: () => {} });
    match(await sentence(dial(server, { authMs: 100 })), /^timeout: .*no login within 100 ms/);
    await server.stop();

    const mute = valueOf(listenTcp({ host: "127.0.0.1", port: 0, report: () => {} }, async (flow) => {
      await readAll(flow);
    }));
    const started = await dial(server, { handshakeMs: 60 }, mute.address.port);
    match(String(started), /^timeout: .*no key exchange within 60 ms/);
    await mute.stop();
  });
});

Deno.test("ssh listener: connections without a login have a limit of their own", async () => {
  await withDir(async (dir) => {
    const events: ListenEvent[] = [];
    const refused = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    const server = await listenOn(dir, () => release.promise, {
      maxUnauthenticated: 2,
      report: (event) => {
        events.push(event);
        if (event.kind === "refused") refused.resolve();
      },
    });
    const { port } = server.address;
    // Those who have logged in do not count.
    const inside = await dial(server);
    if (typeof inside === "string") throw new Error(inside);
    const strangers = [await Deno.connect({ hostname: "127.0.0.1", port })];
    const second = await dial(server);
    if (typeof second === "string") throw new Error(second);
    strangers.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    strangers.push(await Deno.connect({ hostname: "127.0.0.1", port }));
    await refused.promise;
    deepEqual(
      events.map((event) => event.kind === "refused" && event.reason),
      ["2 connections wait for their login already"],
    );
    for (const conn of strangers) conn.close();
    release.resolve();
    for (const flow of [inside, second]) {
      await readAll(flow);
      flow.close();
    }
    await server.stop();
  });
});

realTest(
  "ssh listener: OpenSSH's client accepts every kind of host key, and logs in with every kind of key",
  {
    needs: ["ssh", "ssh-keygen"],
  },
  async ({ dir }) => {
    const kinds = [
      ["ed25519"],
      ["ecdsa", "-b", "256"],
      ["ecdsa", "-b", "384"],
      ["ecdsa", "-b", "521"],
      ["rsa", "-b", "2048"],
    ];
    const outcomes: string[] = [];
    for (const kind of kinds) {
      // Several of each: half of all ECDSA keys have a scalar that looks negative.
      for (const round of kind[0] === "ecdsa" ? [1, 2, 3, 4] : [1]) {
        const name = `${kind.join("")}-${round}`;
        for (const use of ["host", "user"]) {
          await run("ssh-keygen", ["-q", "-t", ...kind, "-N", "", "-f", `${dir}/${name}-${use}`]);
        }
        const print = (await run("ssh-keygen", ["-lf", `${dir}/${name}-user.pub`])).stdout.split(" ")[1];
        const server = await listenOn(dir, (session) => session.flow.write(utf8("in")), {
          hostKeys: [await Deno.readTextFile(`${dir}/${name}-host`)],
          authorize: (key) => Promise.resolve(key.fingerprint === print ? "me" : undefined),
        });
        const hostKey = (await Deno.readTextFile(`${dir}/${name}-host.pub`)).trim();
        await Deno.writeTextFile(`${dir}/known_hosts`, `[127.0.0.1]:${server.address.port} ${hostKey}\n`);
        const args = sshArgs(dir, server, { key: `${dir}/${name}-user` });
        const { stdout, stderr } = await run("ssh", [...args, "x"], { stdin: "", check: false });
        outcomes.push(`${name}: ${stdout}${stderr}`);
        await server.stop();
      }
    }
    deepEqual(outcomes, outcomes.map((outcome) => `${outcome.split(":")[0]}: in`));
    equal(outcomes.length, 14);
  },
);

async function sentence(dialing: Promise<Flow | string>): Promise<string> {
  const outcome = await dialing;
  if (typeof outcome === "string") return outcome;
  outcome.close();
  return "it should have failed";
}
