/**
 * Throws packets at `answerQuery`, `parseMessage` and the responder until the time is over or one of them breaks a promise.
 * Packets grow out of queries for names of the test zones; one that is treated in a way not seen before is kept and
 * changed further. Ends with exit code 1, the promise and the packet in hexadecimal. The same seed gives the same packets.
 *
 *   deno run --no-prompt tests/fuzz/answers_fuzz.ts SECONDS [SEED]
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decode } from "dns-packet";
import {
  answerQuery,
  buildMessage,
  createAnswerContext,
  createResponder,
  generateTsigKey,
  nameFrom,
  nameToWire,
  parseMessage,
  RCODE,
  signRequest,
  SLOW_PATH,
} from "../../dns/mod.ts";
import { allImages, allZones, questionNames } from "../dns/answer_zones.ts";

const seconds = Number(Deno.args[0] ?? NaN);
const seed = Number(Deno.args[1] ?? Date.now() % 0x7fff_ffff);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error("usage: answers_fuzz.ts SECONDS [SEED]");
  Deno.exit(2);
}

const CORPUS = 20_000;
const NOW = 1_800_000_000;
/** Octets at which something begins or ends. */
const EDGES = [0, 1, 41, 62, 63, 64, 127, 128, 191, 192, 250, 251, 252, 254, 255];
const images = allImages();
const key = generateTsigKey(nameFrom("admin._update."), (octets) => new Uint8Array(octets).fill(7));
const faults: unknown[] = [];
const respond = createResponder({
  answer: (query, out, { protocol }) =>
    answerQuery(images, query, query.length, out, createAnswerContext(protocol)),
  lookupKey: (name) => name === key.name ? key : undefined,
  update: () => Promise.resolve({ rcode: RCODE.NOERROR }),
  now: () => NOW * 1000,
  log: (event) => event.kind === "failed" ? faults.push(event.cause) : undefined,
  rememberedUpdates: 64,
});

const random = generator(seed);
const seeds = seedPackets();
const corpus = [...seeds];
const seen = new Set<string>();
const end = performance.now() + seconds * 1000;
let count = 0;
console.log(`seed ${seed}, ${seeds.length} packets to begin with`);
while (performance.now() < end) {
  for (let i = 0; i < 1000; i++) {
    const packet = change(corpus[pick(corpus.length)]);
    let way: string;
    try {
      way = `${checkAnswer(packet, "udp")} ${checkAnswer(packet, "tcp")} ${checkParse(packet)}`;
      // The full machinery is slow; a part of what goes there is enough.
      if (way.includes("slow") && i % 8 === 0) way += await checkResponder(packet);
    } catch (error) {
      console.error(`seed ${seed}, packet ${count}: ${Uint8Array.from(packet).toHex()}`);
      console.error(error);
      Deno.exit(1);
    }
    count++;
    if (seen.has(way)) continue;
    seen.add(way);
    if (corpus.length < CORPUS) corpus.push(packet);
    else corpus[seeds.length + pick(CORPUS - seeds.length)] = packet;
  }
}
console.log(`${count} packets, ${seen.size} ways to treat them, none wrong`);

/** Bounds, echo, counts, and a form that two parsers accept. Gives what is telling about the answer. */
function checkAnswer(packet: Uint8Array, transport: "udp" | "tcp"): string {
  const room = transport === "udp" ? 1232 : 65_535;
  const out = new Uint8Array(room);
  const length = answerQuery(images, packet, packet.length, out, createAnswerContext(transport));
  if (length === SLOW_PATH) return "slow";
  if (length === 0) {
    ok(packet.length < 12 || (packet[2] & 0x80) !== 0, "a query was dropped");
    return "drop";
  }
  ok(length >= 12 && length <= room, `${length} octets`);
  ok((packet[2] & 0x80) === 0, "a response was answered");
  const response = out.subarray(0, length);
  checkHead(packet, response);
  const parsed = parseMessage(response);
  ok(parsed.ok, parsed.ok ? "" : `the answer is malformed: ${parsed.error.message}`);
  const { answers, authorities, additionals } = decode(Buffer.from(response));
  const counts = [6, 8, 10].map((at) => response[at] << 8 | response[at + 1]);
  deepEqual([answers, authorities, additionals].map((list) => list?.length), counts);
  return `${response[2] & 0x07} ${response[3]} ${counts}`;
}

/** ID, opcode and RD are the query's, QR is set, and a question that comes back is the query's, octet for octet. */
function checkHead(packet: Uint8Array, response: Uint8Array): void {
  deepEqual(response.subarray(0, 2), packet.subarray(0, 2), "the ID");
  equal(response[2] & 0xf9, packet[2] & 0x79 | 0x80, "QR, opcode, RD");
  equal(response[3] & 0xf0, 0, "RA, Z, AD, CD");
  if (response[5] === 0) return;
  let at = 12;
  while (response[at] !== 0) at += 1 + response[at];
  deepEqual(response.subarray(12, at + 5), packet.subarray(12, at + 5), "the question");
}

/** A message written again and read again is the same message. */
function checkParse(packet: Uint8Array): string {
  const parsed = parseMessage(packet);
  if (!parsed.ok) return parsed.error.code;
  const { tsig: _, ...message } = parsed.value;
  const again = parseMessage(buildMessage(message));
  ok(again.ok, again.ok ? "" : `what was written cannot be read: ${again.error.message}`);
  const { tsig: __, ...back } = again.value;
  deepEqual(back, message);
  return `${message.opcode} ${message.questions.length} ${message.answers.length} ${message.additionals.length}`;
}

async function checkResponder(packet: Uint8Array): Promise<string> {
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
}

/** Queries of all kinds, updates and signed ones. */
function seedPackets(): Uint8Array[] {
  const opt = [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4];
  const packets: Uint8Array[] = [];
  const names = questionNames(allZones());
  for (const [index, name] of names.entries()) {
    const wire = nameToWire(nameFrom(name));
    const type = [1, 2, 5, 6, 15, 16, 28, 33, 39, 43, 65, 255, 252, 251][index % 14];
    const question = [...wire, type >>> 8, type, 0, 1];
    const plain = Uint8Array.of(index >> 8, index, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question);
    packets.push(plain, Uint8Array.of(...plain.subarray(0, 11), 1, ...question, ...opt));
    if (index % 10 !== 0) continue;
    packets.push(signRequest(plain, key, { now: NOW }).bytes);
    const zone = [7, ...new TextEncoder().encode("example"), 4, ...new TextEncoder().encode("test"), 0];
    const update = Uint8Array.of(
      ...[index >> 8, index, 0x28, 0, 0, 1, 0, 1, 0, 1, 0, 0],
      ...[...zone, 0, 6, 0, 1],
      ...[...wire, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0],
      ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1],
    );
    packets.push(update, signRequest(update, key, { now: NOW }).bytes);
  }
  return packets;
}

/** One to four changes: octets, bits, lengths, counts, pointers, cuts, joints. */
function change(original: Uint8Array): Uint8Array {
  let packet = Uint8Array.from(original);
  for (let left = 1 + pick(4); left > 0; left--) {
    if (packet.length === 0) return Uint8Array.of(pick(256));
    const at = pick(packet.length);
    switch (pick(9)) {
      case 0:
        packet[at] = pick(256);
        break;
      case 1:
        packet[at] ^= 1 << pick(8);
        break;
      case 2:
        packet[at] = EDGES[pick(EDGES.length)];
        break;
      case 3:
        packet[4 + pick(8)] = pick(3);
        break;
      case 4:
        packet[at] = 0xc0 | pick(2);
        if (at + 1 < packet.length) packet[at + 1] = pick(packet.length);
        break;
      case 5:
        packet = packet.slice(0, at);
        break;
      case 6: {
        const other = corpus[pick(corpus.length)];
        packet = Uint8Array.of(...packet.subarray(0, at), ...other.subarray(pick(other.length))).slice(
          0,
          4096,
        );
        break;
      }
      case 7: {
        const part = packet.slice(at, at + pick(40));
        packet = Uint8Array.of(...packet.subarray(0, at), ...part, ...packet.subarray(at)).slice(0, 4096);
        break;
      }
      case 8: {
        const more = Array.from({ length: pick(12) }, () => pick(256));
        packet = Uint8Array.of(...packet.subarray(0, at), ...more, ...packet.subarray(at)).slice(0, 4096);
        break;
      }
    }
  }
  return packet;
}

function pick(below: number): number {
  return Math.floor(random() * below);
}

/** xorshift32. */
function generator(start: number): () => number {
  let state = start | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
