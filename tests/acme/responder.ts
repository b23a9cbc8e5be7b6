/** A small DNS server over UDP that answers TXT from a function: enough for Pebble to validate with. */
import dnsPacket from "dns-packet";
import { Buffer } from "node:buffer";

export interface Responder {
  readonly address: string;
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export function startResponder(txt: (name: string) => readonly string[]): Responder {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const asked: string[] = [];
  const serving = (async () => {
    for await (const [bytes, peer] of socket) {
      const query = dnsPacket.decode(Buffer.from(bytes));
      const [question] = query.questions ?? [];
      if (question === undefined) continue;
      asked.push(`${question.name} ${question.type}`);
      const values = question.type === "TXT" ? txt(question.name.toLowerCase()) : [];
      const answer = dnsPacket.encode({
        type: "response",
        id: query.id,
        flags: dnsPacket.AUTHORITATIVE_ANSWER,
        questions: query.questions,
        answers: values.map((data) => ({ type: "TXT" as const, name: question.name, ttl: 1, data: [data] })),
      });
      await socket.send(answer, peer);
    }
  })();
  const { addr } = socket;
  if (addr.transport !== "udp") throw new TypeError("not a UDP socket");
  return {
    address: `127.0.0.1:${addr.port}`,
    asked,
    close: async () => {
      socket.close();
      await serving;
    },
  };
}
