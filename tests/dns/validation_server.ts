/** Our server, and a relay before it that may change what it answers. */
import { createImageBoard, type DnsServer, startDnsServer, type Zone } from "../../dns/mod.ts";
import { askByTcp, createAsker } from "./answer_servers.ts";

/** Serves on 127.0.0.1, UDP and TCP. */
export async function serveZones(zones: readonly Zone[]): Promise<DnsServer> {
  const server = await startDnsServer({
    listen: [{ host: "127.0.0.1", port: 0 }],
    workers: 1,
    board: createImageBoard(zones),
    respond: () => Promise.resolve(undefined),
    log: () => {},
  });
  if (!server.ok) throw new Error(server.error.message);
  return server.value;
}

export interface Relay {
  readonly port: number;
  /** Sees every answer before it goes on; what it gives back goes on. */
  tamper: (answer: Uint8Array) => Uint8Array;
  readonly seen: { udp: number; tcp: number };
  close(): Promise<void>;
}

/** Stands on 127.0.0.1 before a server on the same address. */
export function relayTo(upstream: number): Relay {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port });
  const asker = createAsker(upstream);
  const seen = { udp: 0, tcp: 0 };
  const relay: Relay = {
    port,
    tamper: (answer) => answer,
    seen,
    async close() {
      socket.close();
      listener.close();
      await Promise.all([datagrams, connections]);
      await asker.close();
    },
  };
  const datagrams = relayDatagrams();
  const connections = relayConnections();
  return relay;

  async function relayDatagrams(): Promise<void> {
    const answered: Promise<unknown>[] = [];
    for await (const [query, from] of socket) {
      seen.udp++;
      answered.push(asker.ask(query).then((answer) => socket.send(relay.tamper(answer), from)));
    }
    await Promise.all(answered);
  }

  async function relayConnections(): Promise<void> {
    const ended: Promise<void>[] = [];
    for await (const connection of listener) ended.push(relayConnection(connection));
    await Promise.all(ended);
  }

  async function relayConnection(connection: Deno.Conn): Promise<void> {
    using _ = connection;
    for (;;) {
      const head = await readExactly(connection, 2);
      const query = head && await readExactly(connection, head[0] << 8 | head[1]);
      if (query === undefined) return;
      seen.tcp++;
      const answer = relay.tamper(await askByTcp(upstream, query));
      const writer = connection.writable.getWriter();
      await writer.write(Uint8Array.of(answer.length >>> 8, answer.length, ...answer));
      writer.releaseLock();
    }
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
