/** Whether servers answer rightly and alike: a benchmark of wrong answers is none. */
import type { Asking } from "./dnsperf.ts";
import type { BenchServer } from "./peers.ts";
import type { Expected } from "./scenarios.ts";

/** What of an answer is compared, from its header. */
interface Counts {
  readonly rcode: number;
  readonly truncated: boolean;
  readonly answers: number;
  readonly authority: number;
  readonly additional: number;
}

export interface Sampled {
  /** Why the server's figures would say nothing; undefined where all is well. */
  readonly wrong: string | undefined;
  readonly counts: readonly Counts[];
}

const SAMPLE = 200;

/** Asks a server questions spread over the file. */
export async function sample(
  server: BenchServer,
  questions: string,
  asking: Asking,
  expected: Expected,
): Promise<Sampled> {
  const lines = (await Deno.readTextFile(questions)).trimEnd().split("\n");
  const asked = Array.from({ length: SAMPLE }, (_, i) => lines[Math.floor(i * lines.length / SAMPLE)]);
  const exchange = asking.transport === "udp" ? await overUdp(server.port) : await overTcp(server.port);
  const counts: Counts[] = [];
  try {
    for (const [i, line] of asked.entries()) {
      const reply = await exchange.ask(question(i, line, asking));
      if (reply === undefined) return { wrong: `no answer to ${line}`, counts };
      const one = countsOf(reply);
      counts.push(one);
      const right = one.rcode === expected.rcode && one.answers === expected.answers && !one.truncated &&
        one.authority >= expected.authority;
      if (!right) {
        return { wrong: `${line} is answered with ${JSON.stringify(one)}`, counts };
      }
    }
  } finally {
    exchange.close();
  }
  return { wrong: undefined, counts };
}

/** In which sections two samples differ in the number of records, as words; empty where they do not. */
export function differences(one: Sampled, other: Sampled): string[] {
  return (["authority", "additional"] as const).flatMap((section) => {
    const differing = one.counts.filter((counts, i) => counts[section] !== other.counts[i][section]).length;
    if (differing === 0) return [];
    const mean = ({ counts }: Sampled) =>
      (counts.reduce((sum, each) => sum + each[section], 0) / counts.length).toFixed(1);
    return [`${section} ${mean(one)} records, others ${mean(other)} (${differing} of ${SAMPLE} answers)`];
  });
}

function countsOf(reply: Uint8Array): Counts {
  const at = (octet: number) => reply[octet] << 8 | reply[octet + 1];
  const truncated = (reply[2] & 0x02) !== 0;
  return { rcode: reply[3] & 0x0f, truncated, answers: at(6), authority: at(8), additional: at(10) };
}

/** `NAME TYPE`, as dnsperf sends it: RD=0, with an OPT record of 4096 octets where EDNS is asked for. */
function question(id: number, line: string, { edns }: Asking): Uint8Array {
  const [name, type] = line.split(" ");
  const labels = name.split(".").filter((label) => label !== "");
  const encoded = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  const opt = edns === "none" ? [] : [0, 0, 41, 16, 0, 0, 0, edns === "do" ? 0x80 : 0, 0, 0, 0];
  const header = [id >> 8, id & 255, 0, 0, 0, 1, 0, 0, 0, 0, 0, opt.length > 0 ? 1 : 0];
  return Uint8Array.from([...header, ...encoded, 0, 0, TYPES[type], 0, 1, ...opt]);
}

const TYPES: Record<string, number> = { A: 1, AAAA: 28 };

interface Exchange {
  ask(query: Uint8Array): Promise<Uint8Array | undefined>;
  close(): void;
}

function overUdp(port: number): Promise<Exchange> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const close = () => socket.close();
  return Promise.resolve({
    close,
    ask: async (query) => {
      await socket.send(query, { transport: "udp", hostname: "127.0.0.1", port });
      return await inTime((async () => (await socket.receive(new Uint8Array(65_535)))[0])());
    },
  });
}

async function overTcp(port: number): Promise<Exchange> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  const exactly = async (octets: number) => {
    const bytes = new Uint8Array(octets);
    for (let filled = 0; filled < octets;) {
      const read = await connection.read(bytes.subarray(filled));
      if (read === null) throw new Error("the server ended the connection");
      filled += read;
    }
    return bytes;
  };
  return {
    close: () => connection.close(),
    ask: async (query) => {
      await connection.write(Uint8Array.from([query.length >> 8, query.length & 255, ...query]));
      const answer = async () => {
        const [high, low] = await exactly(2);
        return await exactly(high << 8 | low);
      };
      return await inTime(answer());
    },
  };
}

/** What comes after the time is lost with the socket, which its user closes then. */
async function inTime(reply: Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), ANSWER_MS);
  reply.catch(() => {});
  const first = await Promise.race([reply, late.promise]);
  clearTimeout(timer);
  return first;
}

const ANSWER_MS = 5_000;
