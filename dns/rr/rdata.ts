/** Rdata between text, wire and canonical form, for every type. */
import type { Result } from "../../conduit/mod.ts";
import { nameFromWire, nameToWire } from "../name.ts";
import type { Name, ResourceRecord } from "../types.ts";
import { readEntry, Tokens } from "../zonefile/tokens.ts";
import {
  type Descriptor,
  MAX_RDATA_OCTETS,
  type RdataErrorCode,
  RdataFault,
  RdataInput,
  WireCursor,
  WireWriter,
} from "./descriptor.ts";
import { encodeHex, readDecimal, readHex } from "./fields.ts";
import { descriptorOf } from "./registry.ts";
import { className, typeName } from "./types.ts";

/** Nothing here waits, so one is enough. */
const SCRATCH = new WireWriter();

/** Why a text is no rdata of a type. */
export interface RdataError {
  readonly code: RdataErrorCode;
  /** One sentence without a final dot that quotes the text and says what to do. */
  readonly message: string;
}

/**
 * Reads rdata from presentation form, for instance `10 mail.example.test.` for MX, or from the form of RFC 3597 §5,
 * `\# 4 C0000201`, which is checked too where the type is known. Relative names are completed with `origin`; without
 * one they are taken as absolute.
 */
export function rdataFromText(type: number, text: string, origin?: Name): Result<Uint8Array, RdataError> {
  const tokens = new Tokens();
  // A newline would end the entry: rdata is one line.
  const bytes = new TextEncoder().encode(text);
  readEntry(bytes, 0, tokens);
  if (tokens.problem !== undefined || tokens.next < bytes.length) {
    return {
      ok: false,
      error: { code: "bad-rdata", message: "the data is not one line with its quotes closed" },
    };
  }
  const input = new RdataInput(tokens, 0, origin === undefined ? new Uint8Array(0) : nameToWire(origin));
  try {
    readRdata(type, input, SCRATCH);
  } catch (error) {
    if (!(error instanceof RdataFault)) throw error;
    return { ok: false, error: { code: error.code, message: error.message } };
  }
  return { ok: true, value: SCRATCH.finish() };
}

/** Reads the rest of `input` as rdata of a type into `out`. @throws {RdataFault} */
export function readRdata(type: number, input: RdataInput, out: WireWriter): void {
  out.length = 0;
  const first = input.next;
  const descriptor = descriptorOf(type);
  if (isGeneric(input)) return readGeneric(type, input, out);
  if (descriptor === undefined) {
    throw input.fault(
      "bad-rdata",
      first,
      `the data of type ${
        typeName(type)
      } is known in the generic form only; write \\#, the number of octets, and hexadecimal digits (RFC 3597)`,
    );
  }
  for (const field of descriptor.fields) field.read(input, out);
  if (input.more) {
    throw input.fault(
      "extra-field",
      input.next,
      `"${input.tokens.text(input.next)}" is more than ${
        typeName(type)
      } takes; take it out, or put text with blanks in quotes`,
    );
  }
  const wrong = descriptor.check?.(out.bytes.subarray(0, out.length));
  if (wrong !== undefined) throw input.fault("bad-rdata", first, wrong);
}

/** Rdata in presentation form with absolute names; in the form of RFC 3597 where the type or the octets need it. */
export function rdataToText(type: number, rdata: Uint8Array): string {
  const descriptor = descriptorOf(type);
  if (descriptor === undefined || !isValid(descriptor, rdata) || descriptor.lossless?.(rdata) === false) {
    return rdata.length === 0 ? "\\# 0" : `\\# ${rdata.length} ${encodeHex(rdata)}`;
  }
  const wire = new WireCursor(rdata);
  return descriptor.fields.map((field) => field.print(wire)).filter((text) => text !== "").join(" ");
}

/** A record as one line of a zone file with everything written out, without a newline. */
export function recordToText(record: ResourceRecord): string {
  const { owner, ttl, type, rdata } = record;
  return `${owner} ${ttl} ${className(record.class)} ${typeName(type)} ${rdataToText(type, rdata)}`;
}

/** True when the octets are well-formed rdata of the type, without compression; any octets of an unknown type are. */
export function rdataIsValid(type: number, rdata: Uint8Array): boolean {
  const descriptor = descriptorOf(type);
  return descriptor === undefined ? rdata.length <= MAX_RDATA_OCTETS : isValid(descriptor, rdata);
}

export interface EmbeddedName {
  readonly offset: number;
  readonly length: number;
  /** May be compressed in a message (RFC 3597 §4). */
  readonly compressible: boolean;
}

/** Where names stand in valid rdata; none in rdata that is not valid. */
export function rdataNames(type: number, rdata: Uint8Array): readonly EmbeddedName[] {
  const descriptor = descriptorOf(type);
  if (descriptor === undefined || !hasNames(descriptor)) return [];
  const names: EmbeddedName[] = [];
  let at = 0;
  for (const field of descriptor.fields) {
    const end = field.skip(rdata, at, rdata.length);
    if (end === -1) return [];
    if (field.name) names.push({ offset: at, length: end - at, compressible: field.name.compress });
    at = end;
  }
  return names;
}

/** Canonical form (RFC 4034 §6.2): names of the older types in lower case. Gives `rdata` itself if that is it. */
export function canonicalRdata(type: number, rdata: Uint8Array): Uint8Array {
  const descriptor = descriptorOf(type);
  if (descriptor === undefined || !descriptor.fields.some((field) => field.name?.lower)) return rdata;
  let canonical = rdata;
  let at = 0;
  for (const field of descriptor.fields) {
    const end = field.skip(rdata, at, rdata.length);
    if (end === -1) return rdata;
    for (let i = at; field.name?.lower && i < end; i++) {
      // A length octet is at most 63 and so never taken for a letter.
      if (rdata[i] < 0x41 || rdata[i] > 0x5a) continue;
      if (canonical === rdata) canonical = rdata.slice();
      canonical[i] = rdata[i] | 0x20;
    }
    at = end;
  }
  return canonical;
}

/** The order of rdata in an RRset (RFC 4034 §6.3): as left-justified unsigned octets. Wants canonical forms. */
export function compareRdata(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}

/**
 * Takes rdata out of a message: checks it, and expands compressed names where RFC 1035 and RFC 3597 §4 know them, in
 * the case of the wire. `undefined` for malformed rdata.
 */
export function decompressRdata(
  type: number,
  message: Uint8Array,
  offset: number,
  length: number,
): Uint8Array | undefined {
  const end = offset + length;
  if (end > message.length) return undefined;
  const descriptor = descriptorOf(type);
  if (descriptor === undefined) return message.slice(offset, end);
  if (!hasNames(descriptor)) {
    const rdata = message.slice(offset, end);
    return isValid(descriptor, rdata) ? rdata : undefined;
  }
  const pieces: Uint8Array[] = [];
  let at = offset;
  for (const field of descriptor.fields) {
    const read = field.name?.expand ? expandName(message, at, end) : copyField(field, message, at, end);
    if (read === undefined) return undefined;
    pieces.push(read.octets);
    at = read.end;
  }
  if (at !== end) return undefined;
  const rdata = joined(pieces);
  return descriptor.check?.(rdata) === undefined ? rdata : undefined;
}

function isValid(descriptor: Descriptor, rdata: Uint8Array): boolean {
  if (rdata.length > MAX_RDATA_OCTETS) return false;
  let at = 0;
  for (const field of descriptor.fields) {
    at = field.skip(rdata, at, rdata.length);
    if (at === -1) return false;
  }
  return at === rdata.length && descriptor.check?.(rdata) === undefined;
}

function hasNames(descriptor: Descriptor): boolean {
  return descriptor.fields.some((field) => field.name !== undefined);
}

function isGeneric(input: RdataInput): boolean {
  if (!input.more) return false;
  const { bytes, start, end } = input.tokens;
  const at = start[input.next];
  return end[input.next] - at === 2 && bytes[at] === 0x5c && bytes[at + 1] === 0x23;
}

/** `\# length hex…` (RFC 3597 §5) */
function readGeneric(type: number, input: RdataInput, out: WireWriter): void {
  const marker = input.take("the marker \\#");
  const lengthAt = input.take("the number of octets");
  const length = readDecimal(input.tokens, lengthAt, MAX_RDATA_OCTETS, "the number of octets");
  const first = input.next;
  if (input.more) readHex(input, out, first, input.tokens.count, "the data");
  if (out.length !== length) {
    throw input.fault(
      "bad-rdata",
      lengthAt,
      `\\# announces ${length} octets and ${out.length} follow; mend the number or the digits`,
    );
  }
  if (!rdataIsValid(type, out.bytes.subarray(0, length))) {
    throw input.fault("bad-rdata", marker, `these octets are no well-formed data of type ${typeName(type)}`);
  }
}

interface Piece {
  readonly octets: Uint8Array;
  readonly end: number;
}

function copyField(
  field: Descriptor["fields"][number],
  message: Uint8Array,
  at: number,
  end: number,
): Piece | undefined {
  const behind = field.skip(message, at, end);
  return behind === -1 ? undefined : { octets: message.subarray(at, behind), end: behind };
}

/** The labels of a name that may be compressed, in the case of the wire. */
function expandName(message: Uint8Array, offset: number, end: number): Piece | undefined {
  // Checks everything: pointers, lengths, bounds.
  const read = nameFromWire(message, offset, end);
  if (read === undefined) return undefined;
  const octets: number[] = [];
  for (let at = offset; message[at] !== 0;) {
    if (message[at] >= 0xc0) {
      at = (message[at] & 0x3f) << 8 | message[at + 1];
      continue;
    }
    const behind = at + 1 + message[at];
    while (at < behind) octets.push(message[at++]);
  }
  octets.push(0);
  return { octets: Uint8Array.from(octets), end: read.end };
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}
