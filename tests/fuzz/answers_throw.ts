/** The loop of the fuzzer: packets at all worlds, transports and sizes, until somebody says stop or a promise is broken. */
import { ok } from "node:assert/strict";
import fc from "fast-check";
import type { Result } from "../../conduit/mod.ts";
import {
  answerQuery,
  createAnswerContext,
  createResponder,
  generateTsigKey,
  nameFrom,
  parseMessage,
  RCODE,
} from "../../dns/mod.ts";
import { arbitraryPacket, change, keptPackets, queriesFor } from "./answers_packets.ts";
import { checkAnswer, checkHead, checkParse, type TransportKind } from "./answers_promises.ts";
import { type World, worlds } from "./answers_world.ts";
import { between, pick, seeded } from "./seeded.ts";

export interface Thrown {
  readonly packets: number;
  /** A packet for each way to be treated. */
  readonly ways: ReadonlyMap<string, Uint8Array>;
}

/** `Error.message` has the packet, `cause` the promise. `goOn` is asked every hundred packets. */
export async function throwPackets(
  seed: number,
  goOn: (packets: number) => boolean,
): Promise<Result<Thrown, Error>> {
  const random = seeded(seed);
  const all = worlds();
  const key = generateTsigKey(nameFrom("admin._update."), (octets) => new Uint8Array(octets).fill(7));
  const responder = checkedResponder(all[0], key);
  const first = [...keptPackets(), ...all.flatMap(({ names }) => queriesFor(names, key))];
  const corpus = [...first];
  const arbitrary = all.map(({ names }) => arbitraryPacket(names));
  const ways = new Map<string, Uint8Array>();
  let packets = 0;
  for (let index = 0; index < first.length || goOn(packets); index += 100) {
    const structured = fc.sample(pick(random, arbitrary), { seed: between(random, 0, 1 << 30), numRuns: 50 });
    const batch = index < first.length
      ? first.slice(index, index + 100)
      : [...structured, ...structured.map(() => change(random, pick(random, corpus), corpus))];
    for (const packet of batch) {
      const world = pick(random, all);
      const transport = pick<TransportKind>(random, ["udp", "udp", "tcp", "tls"]);
      const room = random() < 0.1 ? between(random, 512, 1232) : undefined;
      let way: string;
      try {
        way = `${world.name} ${transport} ${checkAnswer(world.images, packet, transport, room)} ${
          checkParse(packet)
        }`;
        // The full machinery is slow; a part of what goes there is enough.
        if (way.includes("slow") && packets % 8 === 0) way += await responder(packet);
      } catch (cause) {
        const text = `${world.name} zones, ${transport}, room ${room}: ${packet.toHex()}`;
        return { ok: false, error: new Error(text, { cause }) };
      }
      packets++;
      if (ways.has(way)) continue;
      ways.set(way, packet);
      if (corpus.length < CORPUS) corpus.push(packet);
      else corpus[first.length + between(random, 0, CORPUS - first.length - 1)] = packet;
    }
  }
  return { ok: true, value: { packets, ways } };
}

const CORPUS = 20_000;

/** What `answerQuery` leaves to others, answered by the responder. */
function checkedResponder(
  world: World,
  key: ReturnType<typeof generateTsigKey>,
): (packet: Uint8Array) => Promise<string> {
  const faults: unknown[] = [];
  const respond = createResponder({
    answer: (query, out, { protocol }) =>
      answerQuery(world.images, query, query.length, out, createAnswerContext(protocol)),
    lookupKey: (name) => name === key.name ? key : undefined,
    update: () => Promise.resolve({ rcode: RCODE.NOERROR }),
    now: () => 1_800_000_000_000,
    log: (event) => event.kind === "failed" ? faults.push(event.cause) : undefined,
    rememberedUpdates: 64,
  });
  return async (packet) => {
    const response = await respond(packet, { protocol: "udp", peer: undefined });
    if (faults.length > 0) throw faults[0];
    if (response === undefined) {
      ok(packet.length < 12 || (packet[2] & 0x80) !== 0, "a query was not answered");
      return " silent";
    }
    checkHead(packet, response);
    const parsed = parseMessage(response);
    ok(parsed.ok, parsed.ok ? "" : `the response is malformed: ${parsed.error.message}`);
    return ` ${response[3]} ${parsed.value.additionals.length} ${parsed.value.tsig === undefined}`;
  };
}
