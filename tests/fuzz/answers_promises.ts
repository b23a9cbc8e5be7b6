/** What every answer keeps to, whatever the packet. Each check throws; what it gives is telling about how a packet is treated. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { decode } from "dns-packet";
import { mostWorkSteps, workSteps } from "../../dns/answer/answer.ts";
import {
  type AnswerContext,
  answerQuery,
  type AnswerSettings,
  buildMessage,
  createAnswerContext,
  DROP,
  type ImageSet,
  type Message,
  parseMessage,
  RCODE,
  type ResourceRecord,
  RRTYPE,
  SLOW_PATH,
} from "../../dns/mod.ts";

export const SETTINGS: AnswerSettings = {
  nsid: new TextEncoder().encode("ns1"),
  cookieSecrets: [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)],
  version: "a version",
  id: "an id",
  keepalive: 100,
  udpPayload: 1232,
};

export type TransportKind = AnswerContext["transport"];

/** The answer with all promises checked: a short text that is the same for packets that are treated alike. */
export function checkAnswer(
  images: ImageSet,
  packet: Uint8Array,
  transport: TransportKind,
  room = transport === "udp" ? SETTINGS.udpPayload : 65_535,
): string {
  const out = new Uint8Array(room);
  const length = answerQuery(images, packet, packet.length, out, contextFor(transport));
  if (length === SLOW_PATH) {
    ok(packet.length >= 12 && (packet[2] & 0x80) === 0, "what must not be answered goes the slow path");
    return "slow";
  }
  if (length === DROP) {
    ok(packet.length < 12 || (packet[2] & 0x80) !== 0, "a query was dropped");
    return "drop";
  }
  ok(packet.length >= 12 && (packet[2] & 0x80) === 0, "a response was answered");
  ok(length >= 12 && length <= room, `${length} octets where there is room for ${room}`);
  const steps = workSteps();
  ok(steps <= mostWorkSteps(length), `${steps} steps for ${length} octets`);
  const response = out.subarray(0, length);
  checkHead(packet, response);
  const message = checkForm(response);
  if (transport === "udp") ok(length <= udpLimit(packet), `${length} octets by UDP`);
  if (transport === "udp" || room < 65_535) {
    checkTruncation(images, packet, transport === "udp" ? Math.min(room, udpLimit(packet)) : room, message);
  }
  const counts = [6, 8, 10].map((at) => response[at] << 8 | response[at + 1]);
  return `${response[2] & 0x07} ${message.rcode} ${counts} ${message.edns?.options.map(({ code }) => code)}`;
}

/** ID, opcode and RD are the query's, QR is set, and the question that comes back is the query's, octet for octet. */
export function checkHead(packet: Uint8Array, response: Uint8Array): void {
  deepEqual(response.subarray(0, 2), packet.subarray(0, 2), "the ID");
  equal(response[2] & 0xf9, packet[2] & 0x79 | 0x80, "QR, opcode, RD");
  equal(response[3] & 0xf0, 0, "RA, Z, AD, CD");
  equal(response[4], 0, "QDCOUNT");
  if (response[5] === 0) return;
  equal(response[5], 1, "QDCOUNT");
  let at = 12;
  while (response[at] !== 0) at += 1 + response[at];
  deepEqual(response.subarray(12, at + 5), packet.subarray(12, at + 5), "the question");
}

/** A message written again and read again is the same message. */
export function checkParse(packet: Uint8Array): string {
  const parsed = parseMessage(packet);
  if (!parsed.ok) return parsed.error.code;
  const { tsig: _, ...message } = parsed.value;
  const again = parseMessage(buildMessage(message));
  ok(again.ok, again.ok ? "" : `what was written cannot be read: ${again.error.message}`);
  const { tsig: __, ...back } = again.value;
  deepEqual(back, message);
  return `${message.opcode} ${message.questions.length} ${message.answers.length} ${message.additionals.length}`;
}

/** Two parsers read it to its last octet: counts right, nothing behind, pointers strictly backward. */
function checkForm(response: Uint8Array): Message {
  const parsed = parseMessage(response);
  ok(parsed.ok, parsed.ok ? "" : `the answer is malformed: ${parsed.error.message}`);
  const { answers, authorities, additionals } = decode(Buffer.from(response));
  const counts = [6, 8, 10].map((at) => response[at] << 8 | response[at + 1]);
  deepEqual([answers, authorities, additionals].map((list) => list?.length), counts, "the counts");
  const { answers: a, authorities: n, additionals: x } = parsed.value;
  for (const section of [a, n, x]) {
    const texts = section.map(keyOf);
    equal(new Set(texts).size, texts.length, "a record is there twice");
  }
  return parsed.value;
}

/** 512 without EDNS, the client's size with it, from 512 to ours (RFC 6891 §6.2.5). */
function udpLimit(packet: Uint8Array): number {
  const size = offeredSize(packet);
  return size === undefined ? 512 : Math.min(Math.max(512, size), SETTINGS.udpPayload);
}

/** The size in the OPT record of a query, whatever else is wrong with it; `undefined` without one. */
function offeredSize(packet: Uint8Array): number | undefined {
  const count = (at: number) => packet[at] << 8 | packet[at + 1];
  let at = 12;
  for (let left = count(4); left > 0; left--) at = behindName(packet, at) + 4;
  for (let left = count(6) + count(8) + count(10); left > 0 && at < packet.length; left--) {
    const end = behindName(packet, at);
    if (count(end) === RRTYPE.OPT && left <= count(10)) return count(end + 2);
    at = end + 10 + count(end + 8);
  }
  return undefined;
}

function behindName(packet: Uint8Array, from: number): number {
  let at = from;
  while (at < packet.length && packet[at] !== 0 && packet[at] < 64) at += 1 + packet[at];
  return packet[at] >= 0xc0 ? at + 2 : at + 1;
}

/**
 * Without TC the answer and the denial are whole, and the glue of names inside the delegation (RFC 9471 §3.1); with TC
 * they would not fit, and nothing is there that the whole answer has not.
 */
function checkTruncation(
  images: ImageSet,
  packet: Uint8Array,
  limit: number,
  message: Message,
): void {
  const wide = new Uint8Array(65_535);
  const length = answerQuery(images, packet, packet.length, wide, contextFor("tcp"));
  const parsed = parseMessage(wide.subarray(0, length));
  ok(parsed.ok, parsed.ok ? "" : `by TCP it is malformed: ${parsed.error.message}`);
  const whole = parsed.value;
  // A TCP keepalive option with data is malformed by TCP (RFC 7828 §3.2.1) and means nothing by UDP.
  if (whole.rcode === RCODE.FORMERR) return;
  ok(!whole.truncated, "truncated by TCP");
  for (const section of ["answers", "authorities", "additionals"] as const) {
    const all = new Set(whole[section].map(keyOf));
    for (const record of message[section]) {
      ok(all.has(keyOf(record)), `${section} has what the whole has not`);
    }
    if (message.truncated || section === "additionals") continue;
    equal(message[section].length, whole[section].length, `${section} is cut without TC`);
  }
  if (message.truncated) {
    ok(length > limit, `truncated, but ${length} octets fit into ${limit}`);
    return;
  }
  equal(message.rcode, whole.rcode, "the code");
  equal(message.authoritative, whole.authoritative, "AA");
  const cut = message.answers.length === 0 &&
    message.authorities.find(({ type }) => type === RRTYPE.NS)?.owner;
  if (!cut) return;
  const inside = (list: readonly ResourceRecord[]) =>
    list.filter(({ owner }) => owner === cut || owner.endsWith(`.${cut}`)).length;
  equal(inside(message.additionals), inside(whole.additionals), "glue is missing without TC");
}

function keyOf({ owner, type, ttl, rdata }: ResourceRecord): string {
  return `${owner} ${type} ${ttl} ${rdata.toHex()}`;
}

function contextFor(transport: TransportKind): AnswerContext {
  const context = createAnswerContext(transport, SETTINGS);
  context.address.set([192, 0, 2, 1]);
  context.addressOctets = 4;
  context.now = 1_800_000_000;
  return context;
}
