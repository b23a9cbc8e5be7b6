/** The TSIG record (RFC 8945 §4.2) and what of it goes into a digest (§4.3). */
import { layoutOf } from "../message/skip.ts";
import { putUint16, putUint32, uint16, uint32 } from "../message/header.ts";
import { nameFromWire, nameToWire, skipWireName } from "../name.ts";
import { CLASS, RRTYPE } from "../rr/types.ts";
import type { Name } from "../types.ts";

export interface TsigRecord {
  readonly keyName: Name;
  readonly algorithm: Name;
  /** Seconds since 1970. */
  readonly timeSigned: number;
  /** Seconds that the clocks of both sides may differ. */
  readonly fudge: number;
  readonly mac: Uint8Array;
  readonly originalId: number;
  readonly error: number;
  readonly other: Uint8Array;
}

export type SplitMessage =
  | { readonly kind: "unsigned" }
  | { readonly kind: "malformed" }
  | {
    readonly kind: "signed";
    readonly record: TsigRecord;
    /** A copy of the message as it was before it was signed: without TSIG, with its original ID (§4.3.2). */
    readonly message: Uint8Array;
  };

/** Takes the TSIG record off a message, without any check of its MAC. */
export function splitTsig(bytes: Uint8Array): SplitMessage {
  const layout = layoutOf(bytes);
  if (layout === undefined) return { kind: "malformed" };
  if (layout.tsig === undefined) return { kind: "unsigned" };
  const record = readRecord(bytes, layout.tsig);
  if (record === undefined) return { kind: "malformed" };
  const message = bytes.slice(0, layout.tsig);
  putUint16(message, 0, record.originalId);
  putUint16(message, 10, uint16(bytes, 10) - 1);
  return { kind: "signed", record, message };
}

/** `message` with the record behind it and counted. */
export function withTsig(message: Uint8Array, record: TsigRecord): Uint8Array {
  const wire = recordWire(record);
  const bytes = new Uint8Array(message.length + wire.length);
  bytes.set(message);
  bytes.set(wire, message.length);
  putUint16(bytes, 10, uint16(message, 10) + 1);
  return bytes;
}

/** The TSIG variables of a digest (§4.3.3). */
export function tsigVariables(record: TsigRecord): Uint8Array {
  const key = nameToWire(record.keyName);
  const algorithm = nameToWire(record.algorithm);
  const wire = new Uint8Array(key.length + 6 + algorithm.length + 12 + record.other.length);
  wire.set(key);
  putUint16(wire, key.length, CLASS.ANY);
  // The TTL is 0.
  let at = key.length + 6;
  wire.set(algorithm, at);
  at += algorithm.length;
  wire.set(tsigTimers(record), at);
  putUint16(wire, at + 8, record.error);
  putUint16(wire, at + 10, record.other.length);
  wire.set(record.other, at + 12);
  return wire;
}

/** The timers alone, for messages after the first of an answer (§5.3.1). */
export function tsigTimers(record: TsigRecord): Uint8Array {
  const wire = new Uint8Array(8);
  putTime(wire, 0, record.timeSigned);
  putUint16(wire, 6, record.fudge);
  return wire;
}

/** An earlier MAC as it goes into a digest: its length first (§4.3.1). */
export function priorMac(mac: Uint8Array): Uint8Array {
  const wire = new Uint8Array(2 + mac.length);
  putUint16(wire, 0, mac.length);
  wire.set(mac, 2);
  return wire;
}

/** A time of 48 bits, as in TSIG's fields. */
export function timeOctets(seconds: number): Uint8Array {
  const wire = new Uint8Array(6);
  putTime(wire, 0, seconds);
  return wire;
}

function readRecord(bytes: Uint8Array, offset: number): TsigRecord | undefined {
  const owner = nameFromWire(bytes, offset);
  if (owner === undefined) return undefined;
  // §4.2: class ANY, TTL 0
  if (uint16(bytes, owner.end + 2) !== CLASS.ANY || uint32(bytes, owner.end + 4) !== 0) return undefined;
  const start = owner.end + 10;
  const end = bytes.length;
  // §4.2: the algorithm's name is not compressed
  const behind = skipWireName(bytes, start, end);
  const algorithm = nameFromWire(bytes, start, end);
  if (behind === undefined || algorithm === undefined || behind + 10 > end) return undefined;
  const macAt = behind + 10;
  const rest = macAt + uint16(bytes, behind + 8);
  if (rest + 6 > end) return undefined;
  const otherAt = rest + 6;
  if (otherAt + uint16(bytes, rest + 4) !== end) return undefined;
  return {
    keyName: owner.name,
    algorithm: algorithm.name,
    timeSigned: uint16(bytes, behind) * 2 ** 32 + uint32(bytes, behind + 2),
    fudge: uint16(bytes, behind + 6),
    mac: bytes.slice(macAt, rest),
    originalId: uint16(bytes, rest),
    error: uint16(bytes, rest + 2),
    other: bytes.slice(otherAt, end),
  };
}

function recordWire(record: TsigRecord): Uint8Array {
  const key = nameToWire(record.keyName);
  const algorithm = nameToWire(record.algorithm);
  const rdataLength = algorithm.length + 16 + record.mac.length + record.other.length;
  const wire = new Uint8Array(key.length + 10 + rdataLength);
  wire.set(key);
  let at = key.length;
  putUint16(wire, at, RRTYPE.TSIG);
  putUint16(wire, at + 2, CLASS.ANY);
  putUint16(wire, at + 8, rdataLength);
  at += 10;
  wire.set(algorithm, at);
  at += algorithm.length;
  wire.set(tsigTimers(record), at);
  putUint16(wire, at + 8, record.mac.length);
  wire.set(record.mac, at + 10);
  at += 10 + record.mac.length;
  putUint16(wire, at, record.originalId);
  putUint16(wire, at + 2, record.error);
  putUint16(wire, at + 4, record.other.length);
  wire.set(record.other, at + 6);
  return wire;
}

function putTime(wire: Uint8Array, at: number, seconds: number): void {
  putUint16(wire, at, Math.floor(seconds / 2 ** 32));
  putUint32(wire, at + 2, seconds >>> 0);
}
