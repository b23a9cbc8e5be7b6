/** Our answers over UDP and TCP, with something in between that may change them. */
import { answerQuery, createAnswerContext, type ImageSet } from "../../dns/mod.ts";

export interface TamperingServer {
  readonly port: number;
  /** Sees every answer before it leaves; what it gives back leaves. */
  tamper: (answer: Uint8Array) => Uint8Array;
  readonly asked: { udp: number; tcp: number };
  close(): Promise<void>;
}

export function serveWithTampering(images: ImageSet): TamperingServer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  const asked = { udp: 0, tcp: 0 };
  const server = {
    port,
    tamper: (answer: Uint8Array) => answer,
    asked,
    async close() {
      socket.close();
      listener.close();
      await Promise.all([datagrams, connections]);
    },
  };
  const datagrams = serveDatagrams();
  const connections = serveConnections();
  return server;

  async function serveDatagrams(): Promise<void> {
    for await (const [query, from] of socket) {
      asked.udp++;
      await socket.send(answer(query, "udp"), from);
    }
  }

  async function serveConnections(): Promise<void> {
    const open: Promise<void>[] = [];
    for await (const connection of listener) open.push(serveConnection(connection));
    await Promise.all(open);
  }

  async function serveConnection(connection: Deno.Conn): Promise<void> {
    using _ = connection;
    for (;;) {
      const head = await readExactly(connection, 2);
      if (head === undefined) return;
      const query = await readExactly(connection, head[0] << 8 | head[1]);
      if (query === undefined) return;
      asked.tcp++;
      const message = answer(query, "tcp");
      const writer = connection.writable.getWriter();
      await writer.write(Uint8Array.of(message.length >>> 8, message.length));
      await writer.write(message);
      writer.releaseLock();
    }
  }

  function answer(query: Uint8Array, transport: "udp" | "tcp"): Uint8Array {
    const out = new Uint8Array(65_535);
    const length = answerQuery(images, query, query.length, out, createAnswerContext(transport));
    return server.tamper(out.slice(0, Math.max(0, length)));
  }
}

async function readExactly(connection: Deno.Conn, octets: number): Promise<Uint8Array | undefined> {
  const out = new Uint8Array(octets);
  for (let at = 0; at < octets;) {
    const read = await connection.read(out.subarray(at));
    if (read === null) return undefined;
    at += read;
  }
  return out;
}
