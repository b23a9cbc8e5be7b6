/** Two answers to one question, section by section. What may differ, and by which words, is in `differential_rules.ts`. */
import {
  type Name,
  parseMessage,
  rdataNames,
  recordToText,
  type ResourceRecord,
  RRTYPE,
} from "../../dns/mod.ts";
import type { DnsQuestion } from "./differential_questions.ts";

/** An answer as it is compared: sections are sets (RFC 2181 §5), names are without case (RFC 4343). */
export interface Seen {
  readonly rcode: number;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly edns: boolean;
  readonly dnssecOk: boolean;
  readonly answers: readonly SeenRecord[];
  readonly authorities: readonly SeenRecord[];
  readonly additionals: readonly SeenRecord[];
  readonly octets: number;
}

export interface SeenRecord {
  readonly owner: Name;
  readonly type: number;
  readonly ttl: number;
  readonly rdata: Uint8Array;
  /** Owner, TTL, type and rdata as one line; equal exactly for equal records. */
  readonly text: string;
}

/** @throws {Error} for what is no well-formed response */
export function see(message: Uint8Array): Seen {
  const parsed = parseMessage(message);
  if (!parsed.ok) {
    throw new Error(`malformed: ${parsed.error.message} at ${parsed.error.offset}: ${message.toHex()}`);
  }
  const { rcode, authoritative, truncated, edns, answers, authorities, additionals } = parsed.value;
  return {
    rcode,
    authoritative,
    truncated,
    edns: edns !== undefined,
    dnssecOk: edns?.dnssecOk ?? false,
    answers: section(answers),
    authorities: section(authorities),
    additionals: section(additionals),
    octets: message.length,
  };
}

/** What differs between two answers, a line each; empty for equal ones. */
export function differences(ours: Seen, theirs: Seen): string[] {
  const lines: string[] = [];
  for (const field of ["rcode", "authoritative", "truncated", "edns", "dnssecOk"] as const) {
    if (ours[field] !== theirs[field]) lines.push(`${field}: ours ${ours[field]}, theirs ${theirs[field]}`);
  }
  for (const field of ["answers", "authorities", "additionals"] as const) {
    const left = new Set(ours[field].map(({ text }) => text));
    const right = new Set(theirs[field].map(({ text }) => text));
    for (const text of left) if (!right.has(text)) lines.push(`${field}: only ours: ${text}`);
    for (const text of right) if (!left.has(text)) lines.push(`${field}: only theirs: ${text}`);
  }
  return lines;
}

/** What no answer of ours may have, whatever others say. */
export function faultsOf(question: DnsQuestion, message: Uint8Array, seen: Seen): string[] {
  const faults: string[] = [];
  const { query } = question;
  const end = query.length - (question.udpSize === undefined ? 0 : 11);
  if (query.subarray(12, end).toHex() !== message.subarray(12, end).toHex()) {
    faults.push("the question is not echoed");
  }
  if (query[0] !== message[0] || query[1] !== message[1]) faults.push("another ID");
  for (const field of ["answers", "authorities", "additionals"] as const) {
    const texts = seen[field].map(({ text }) => text);
    if (new Set(texts).size !== texts.length) faults.push(`${field} has a record twice`);
  }
  return faults;
}

export function isType(...types: number[]): (record: SeenRecord) => boolean {
  return ({ type }) => types.includes(type);
}

/** A referral has NS of a cut and nothing else that would be an answer or a denial. */
export function isReferral(seen: Seen): boolean {
  return seen.rcode === 0 && seen.authorities.some(isType(RRTYPE.NS)) &&
    !seen.authorities.some(isType(RRTYPE.SOA));
}

function section(records: readonly ResourceRecord[]): SeenRecord[] {
  return records.map((record) => {
    const rdata = spelled(record);
    return { ...record, rdata, text: recordToText({ ...record, rdata }) };
  }).sort((a, b) => a.text < b.text ? -1 : a.text > b.text ? 1 : 0);
}

/** The rdata with all its names in lower case. */
function spelled({ type, rdata }: ResourceRecord): Uint8Array {
  const out = Uint8Array.from(rdata);
  for (const { offset, length } of rdataNames(type, rdata)) {
    // A length octet is at most 63 and so never taken for a letter.
    for (let i = offset; i < offset + length; i++) if (out[i] >= 0x41 && out[i] <= 0x5a) out[i] += 0x20;
  }
  return out;
}
