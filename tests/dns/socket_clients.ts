/** Clients of a server on 127.0.0.1, over UDP and TCP, that never ask again: what is lost is missed. */
import { ok } from "node:assert/strict";
import { createFrameReader, frame } from "../../dns/server/tcp_frames.ts";

/** Someone with a socket of his own, who asks one thing after the other. */
export interface Client extends Disposable {
  /** Over TCP in one piece. */
  send(...queries: readonly Uint8Array[]): Promise<void>;
  /** The next message; `undefined` when the server has closed the connection. */
  receive(): Promise<Uint8Array | undefined>;
  ask(query: Uint8Array): Promise<Uint8Array>;
  /** Has the next `receive` that finds nothing else end with a message of one octet (UDP). */
  wake(): Promise<void>;
  /** Octets of half a message (TCP). */
  pending(): number;
}

export interface Clients extends Disposable {
  readonly udp: readonly Client[];
  readonly tcp: readonly Client[];
  readonly all: readonly Client[];
}

export async function clientsOf(
  port: number,
  counts: { readonly udp: number; readonly tcp: number },
): Promise<Clients> {
  const udp = Array.from({ length: counts.udp }, () => udpClient(port));
  const tcp: Client[] = [];
  while (tcp.length < counts.tcp) tcp.push(await tcpClient(port));
  const all = [...udp, ...tcp];
  return {
    udp,
    tcp,
    all,
    [Symbol.dispose]() {
      for (const client of all) client[Symbol.dispose]();
    },
  };
}

export function udpClient(port: number): Client {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const send = async (query: Uint8Array, to: number) => {
    await socket.send(query, { transport: "udp", hostname: "127.0.0.1", port: to });
  };
  return asking({
    async send(...queries) {
      for (const query of queries) await send(query, port);
    },
    wake: () => send(new Uint8Array(1), (socket.addr as Deno.NetAddr).port),
    pending: () => 0,
    receive: async () => (await socket.receive(new Uint8Array(2048)))[0],
    [Symbol.dispose]: () => socket.close(),
  });
}

export async function tcpClient(port: number): Promise<Client> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const frames = createFrameReader();
  const buffer = new Uint8Array(2048);
  return asking({
    async send(...queries) {
      const octets = Uint8Array.from(queries.flatMap((query) => [...frame(query)]));
      for (let from = 0; from < octets.length;) from += await connection.write(octets.subarray(from));
    },
    async receive() {
      for (let message = frames.next();; message = frames.next()) {
        if (message !== undefined) return message;
        const count = await connection.read(buffer);
        if (count === null) return undefined;
        frames.push(buffer.subarray(0, count));
      }
    },
    wake: () => Promise.resolve(),
    pending: () => frames.pending,
    [Symbol.dispose]: () => connection.close(),
  });
}

function asking(client: Omit<Client, "ask">): Client {
  return {
    ...client,
    async ask(query) {
      await client.send(query);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer to ${query.toHex()}`)), PATIENCE_MS);
      });
      const answer = await Promise.race([client.receive(), late]).finally(() => clearTimeout(timer));
      ok(answer, "the connection was closed");
      return answer;
    },
  };
}

/** Only what fails waits so long. */
const PATIENCE_MS = 10_000;
