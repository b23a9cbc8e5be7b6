/** Questions over UDP from one socket, many under way at once: what a crowd of resolvers sees of a server. */
import { type Answer, decode, encode, type RecordType } from "dns-packet";
import { Buffer } from "node:buffer";
import { hostAndPort } from "../tools/server.ts";

export interface Asker {
  /** The data of the answer section as text, sorted; `undefined` where nothing came within `patience` milliseconds. */
  ask(server: string, name: string, type: RecordType): Promise<readonly string[] | undefined>;
  /** The longest that an answered question waited since the last call, in milliseconds. */
  longest(): number;
  close(): void;
}

export function createAsker(patience = 2000): Asker {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const waiting = new Map<number, (packet: Uint8Array) => void>();
  let nextId = 1;
  let longest = 0;
  const receiving = (async () => {
    for await (const [packet] of socket) waiting.get(packet[0] << 8 | packet[1])?.(packet);
  })();
  receiving.catch((error) => console.error(`the asking socket failed: ${error}`));

  return {
    async ask(server, name, type) {
      const id = nextId = nextId % 65535 + 1;
      const { host, port } = hostAndPort(server);
      const arrived = Promise.withResolvers<Uint8Array | undefined>();
      const timer = setTimeout(() => arrived.resolve(undefined), patience);
      const started = performance.now();
      waiting.set(id, arrived.resolve);
      try {
        const query = encode({ type: "query", id, questions: [{ name, type }] });
        await socket.send(query, { transport: "udp", hostname: host, port: Number(port) });
        const packet = await arrived.promise;
        if (packet === undefined) return undefined;
        longest = Math.max(longest, performance.now() - started);
        return (decode(Buffer.from(packet)).answers ?? []).map(textOf).sort();
      } finally {
        clearTimeout(timer);
        waiting.delete(id);
      }
    },
    longest() {
      const most = longest;
      longest = 0;
      return most;
    },
    close: () => socket.close(),
  };
}

function textOf(answer: Answer): string {
  switch (answer.type) {
    case "A":
      return answer.data;
    case "SOA":
      return String(answer.data.serial);
    case "TXT": {
      const { data } = answer;
      return (Array.isArray(data) ? data : [data]).map((part) => part.toString()).join("");
    }
    default:
      return JSON.stringify(answer);
  }
}
