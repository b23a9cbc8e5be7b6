/** Peers that break the rules of windows, and peers that read nothing. */
import { equal, ok, rejects } from "node:assert/strict";
import { Duplex } from "node:stream";
import { Buffer } from "node:buffer";
// @ts-types="@types/ssh2"
import { Client, type ClientChannel, type ParsedKey, type PublicKeyAuthMethod, utils } from "ssh2";
import {
  connect,
  createRegistry,
  type Flow,
  FlowError,
  generateSshKey,
  memoryPair,
  type SshSession,
  tcpResolver,
} from "../../conduit/mod.ts";
import { Transport } from "../../conduit/ssh/transport.ts";
import { noise, valueOf } from "./flows.ts";
import { listenOn, type TestServer } from "./ssh_parties.ts";

const MIB = 1 << 20;

Deno.test("ssh listener: a writer whose peer reads nothing waits, and is cut off at the idle limit", async () => {
  const outcome = Promise.withResolvers<WriteOutcome>();
  await withClient(
    { idleMs: 300, exec: (session) => writeMuch(session).then(outcome.resolve) },
    async ({ channel }) => {
      channel.pause();
      const { code, written } = await outcome.promise;
      equal(code, "timeout");
      ok(written <= 4, `${written} MiB were taken from a writer whose peer reads nothing`);
    },
  );
});

Deno.test("ssh listener: a window of 4 GiB does not make it buffer what the peer does not read", async () => {
  const granted = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const outcome = Promise.withResolvers<WriteOutcome>();
  const exec = async (session: SshSession<string>) => {
    await session.flow.read();
    granted.resolve();
    await stopped.promise;
    outcome.resolve(await writeMuch(session));
  };
  await withClient({ idleMs: 300, exec }, async ({ channel, socket }) => {
    internals(channel)._client._protocol.channelWindowAdjust(internals(channel).outgoing.id, 0xf0000000);
    channel.write("go"); // read after the grant has been
    await granted.promise;
    socket.stopReading();
    stopped.resolve();
    const { code, written } = await outcome.promise;
    equal(code, "timeout");
    ok(written <= 64, `${written} MiB were taken from a writer whose peer reads nothing`);
  });
});

Deno.test("ssh listener: a peer that sends more than its window allows is cut off", async () => {
  const outcome = Promise.withResolvers<string>();
  const reported = Promise.withResolvers<string>();
  const exec = async (session: SshSession<string>) => {
    const reason = await reported.promise; // reads nothing until the peer was cut off
    try {
      while (await session.flow.read() !== undefined);
      outcome.resolve(`ended: ${reason}`);
    } catch (error) {
      outcome.resolve(error instanceof Error && "code" in error ? String(error.code) : "?");
    }
  };
  const report = (event: { kind: string; reason?: string }) => {
    if (event.kind === "peer-failed" && event.reason !== undefined) reported.resolve(event.reason);
  };
  await withClient({ exec, report }, async ({ channel, gone }) => {
    internals(channel).outgoing.window = Number.MAX_SAFE_INTEGER;
    const chunk = Buffer.from(noise(MIB - 5)); // so that the window is overrun, not used up to the byte
    for (let i = 0; i < 60 && !gone(); i++) {
      await Promise.race([
        new Promise<void>((resolve) => channel.write(chunk, () => resolve())),
        reported.promise,
      ]);
    }
    ok((await reported.promise).includes("more than its windows allow"), await reported.promise);
    equal(await outcome.promise, "limit");
  });
});

Deno.test("ssh listener: a session that asks for nothing, and a connection without one, end at the idle limit", async () => {
  for (const open of [true, false]) {
    const reported = Promise.withResolvers<string>();
    const report = (event: { kind: string; reason?: string }) => reported.resolve(event.reason ?? "?");
    await withClient(
      { idleMs: 40, exec: (session) => session.exit(0), report },
      async ({ channel, client }) => {
        channel.resume();
        if (open) client.openEmptySession();
        ok(
          (await reported.promise).includes(open ? "asked for nothing" : "no session for 40 ms"),
          await reported.promise,
        );
      },
    );
  }
});

Deno.test("ssh listener: sessions over the limit of a connection are refused", async () => {
  const release = Promise.withResolvers<void>();
  await withClient({ maxSessions: 2, exec: () => release.promise }, async ({ client }) => {
    await client.exec();
    await rejects(client.exec(), /open failure/);
    release.resolve();
  });
});

Deno.test("ssh listener: a key that is known is no login without its signature", async () => {
  const dir = await Deno.makeTempDir();
  const server = await listenOn(dir, () => {}, { report: () => {} });
  const known = parsed(server.clientKey.privateKey);
  const stranger = parsed(generateSshKey("stranger").privateKey);
  const socket = new StoppableSocket(await dial(server));
  const client = new Client();
  const closed = new Promise<void>((resolve) => client.once("close", () => resolve()));
  const outcome = new Promise<string>((resolve) => {
    client.once("ready", () => resolve("ready"));
    client.once("error", (error: Error & { level?: string }) => resolve(error.level ?? error.message));
  });
  const forged = Object.assign(known, { sign: (data: Buffer) => stranger.sign(data) });
  const login: PublicKeyAuthMethod = { type: "publickey", username: "git", key: forged };
  client.connect({ sock: socket, username: "git", authHandler: [login], readyTimeout: 0 });
  equal(await outcome, "client-authentication");
  socket.destroy();
  await closed;
  await server.stop();
  await Deno.remove(dir, { recursive: true });
});

function parsed(privateKey: string): ParsedKey {
  const key = utils.parseKey(privateKey);
  if (key instanceof Error) throw key;
  return key;
}

Deno.test("ssh: a peer that asks for replies and reads none of them is cut off", async () => {
  const [near, far] = memoryPair();
  const transport = new Transport(near);
  const failed = new Promise<Error>((resolve) => transport.on("error", resolve));
  transport.on("data", () => {});
  for (let i = 0; i < 20; i++) transport.write(new Uint8Array(MIB)); // as ssh2 does, which waits for nothing
  await far.write(new Uint8Array(1));
  const error = await failed;
  ok(error instanceof FlowError && error.code === "limit", String(error));
  await rejects(far.read(), { code: "reset" });
});

interface WriteOutcome {
  readonly code: string;
  /** In MiB. */
  readonly written: number;
}

async function writeMuch(session: SshSession<string>): Promise<WriteOutcome> {
  const chunk = noise(MIB);
  let written = 0;
  try {
    for (; written < 200; written++) await session.flow.write(chunk);
    return { code: "none", written };
  } catch (error) {
    return { code: error instanceof Error && "code" in error ? String(error.code) : "?", written };
  }
}

/** What a peer that breaks the rules needs of ssh2. */
interface Internals {
  readonly outgoing: { readonly id: number; window: number };
  readonly _client: {
    readonly _protocol: {
      channelWindowAdjust(id: number, amount: number): void;
      session(channel: number, window: number, packet: number): void;
    };
  };
}

function internals(channel: ClientChannel): ClientChannel & Internals {
  return channel as ClientChannel & Internals;
}

interface Party {
  readonly channel: ClientChannel;
  readonly socket: StoppableSocket;
  readonly client: { exec(): Promise<ClientChannel>; openEmptySession(): void };
  gone(): boolean;
}

/** ssh2's own client, in a session of a new listener. */
async function withClient(
  options: {
    idleMs?: number;
    maxSessions?: number;
    exec: (session: SshSession<string>) => Promise<void> | void;
    report?: (event: { kind: string; reason?: string }) => void;
  },
  body: (party: Party) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir();
  const { exec, ...more } = options;
  const server = await listenOn(dir, exec, { report: () => {}, ...more });
  const socket = new StoppableSocket(await dial(server));
  const client = new Client();
  let gone = false;
  const closed = new Promise<void>((resolve) =>
    client.once("close", () => {
      gone = true;
      resolve();
    })
  );
  try {
    const channel = await new Promise<ClientChannel>((resolve, reject) => {
      client.on("error", reject);
      client.once(
        "ready",
        () => client.exec("x", (error, opened) => error ? reject(error) : resolve(opened)),
      );
      client.connect({
        sock: socket,
        username: "git",
        privateKey: server.clientKey.privateKey,
        readyTimeout: 0,
      });
    });
    channel.on("error", () => {}); // being cut off is what is tested
    const protocol = internals(channel)._client._protocol;
    const exec = () =>
      new Promise<ClientChannel>((resolve, reject) =>
        client.exec("x", (error, opened) => error ? reject(error) : resolve(opened))
      );
    const openEmptySession = () => protocol.session(99, MIB, 32768);
    await body({ channel, socket, client: { exec, openEmptySession }, gone: () => gone });
  } finally {
    socket.destroy();
    await closed;
    await server.stop();
    await Deno.remove(dir, { recursive: true });
  }
}

async function dial(server: TestServer): Promise<Flow> {
  const registry = createRegistry().with(tcpResolver());
  return valueOf(await connect(registry, { scheme: "tcp", host: "127.0.0.1", port: server.address.port }));
}

/** A socket that can stop reading for good. */
class StoppableSocket extends Duplex {
  #stopped = false;

  constructor(readonly below: Flow) {
    super();
  }

  stopReading(): void {
    this.#stopped = true;
  }

  override _read(): void {
    if (this.#stopped) return;
    this.below.read().then((bytes) => this.push(bytes ?? null), (error) => this.destroy(error));
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    this.below.write(chunk).then(() => done(), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.below.end().then(() => done(), done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.below.close();
    done(error);
  }
}
