/**
 * What a record type is: a row of fields, each of which knows its text, its wire form, and how to check both. One
 * descriptor drives the zone-file parser, the printer, the packet codec and DNSSEC's canonical form.
 */
import { CONTROL, ESCAPED, INNER_QUOTE, type Tokens } from "../zonefile/tokens.ts";

export interface Descriptor {
  readonly fields: readonly Field[];
  /** What is wrong across fields of rdata whose fields are well-formed, as a sentence without a final dot. */
  readonly check?: (rdata: Uint8Array) => string | undefined;
  /** False for rdata that the text form cannot express exactly; it is printed in the form of RFC 3597. */
  readonly lossless?: (rdata: Uint8Array) => boolean;
}

export interface Field {
  /** From text to wire. @throws {RdataFault} */
  read(input: RdataInput, out: WireWriter): void;
  /** From wire to text; only for rdata that was checked. Empty when the field has nothing to print. */
  print(wire: WireCursor): string;
  /** Checks the field at `at` and gives the offset behind it; -1 when it is malformed or reaches over `end`. */
  skip(bytes: Uint8Array, at: number, end: number): number;
  /** For a domain name: what may be done with it. */
  readonly name?: NameRules;
}

export interface NameRules {
  /** May be compressed when sent (RFC 3597 §4: the types of RFC 1035 only). */
  readonly compress: boolean;
  /** Is expanded when received (RFC 3597 §4: some types more). */
  readonly expand: boolean;
  /** Is lower-cased in canonical form (RFC 4034 §6.2 as changed by RFC 6840 §5.1). */
  readonly lower: boolean;
}

/** Why a text is no rdata; thrown inside the room, a value at its door. */
export class RdataFault extends Error {
  override readonly name = "RdataFault";
  /** `token` is the index of the token concerned, `tokens.count` for the end of the entry. */
  constructor(readonly code: RdataErrorCode, message: string, readonly token: number) {
    super(message);
  }
}

export type RdataErrorCode =
  | "missing-field"
  | "extra-field"
  | "bad-number"
  | "bad-name"
  | "bad-address"
  | "bad-string"
  | "string-too-long"
  | "bad-base64"
  | "bad-base32"
  | "bad-hex"
  | "bad-time"
  | "bad-type"
  | "bad-location"
  | "bad-parameter"
  | "bad-rdata"
  | "rdata-too-long";

/** The tokens of an entry, read one by one. */
export class RdataInput {
  tokens: Tokens;
  next = 0;
  /** The origin in wire form; empty for none. */
  origin: Uint8Array;

  constructor(tokens: Tokens, next: number, origin: Uint8Array) {
    this.tokens = tokens;
    this.next = next;
    this.origin = origin;
  }

  get more(): boolean {
    return this.next < this.tokens.count;
  }

  /** The next token's index. @throws {RdataFault} when there is none */
  take(what: string): number {
    if (this.next >= this.tokens.count) {
      throw new RdataFault("missing-field", `${what} is missing at the end of the record`, this.tokens.count);
    }
    return this.next++;
  }

  /** The text of a short token with nothing special in it, for mnemonics and the like. */
  word(index: number, limit = 64): string | undefined {
    const { bytes, start, end, flags } = this.tokens;
    if (flags[index] & (ESCAPED | INNER_QUOTE | CONTROL) || end[index] - start[index] > limit) {
      return undefined;
    }
    let text = "";
    for (let i = start[index]; i < end[index]; i++) text += String.fromCharCode(bytes[i]);
    return text;
  }

  fault(code: RdataErrorCode, token: number, message: string): RdataFault {
    return new RdataFault(code, message, token);
  }
}

/** The longest rdata (RFC 1035 §3.2.1: RDLENGTH has 16 bits). */
export const MAX_RDATA_OCTETS = 65_535;

/** Where rdata is put together; reused from record to record. */
export class WireWriter {
  readonly bytes = new Uint8Array(MAX_RDATA_OCTETS + 512);
  length = 0;

  octet(value: number, token: number): void {
    if (this.length >= MAX_RDATA_OCTETS) throw tooLong(token);
    this.bytes[this.length++] = value;
  }

  uint16(value: number, token: number): void {
    this.octet(value >>> 8, token);
    this.octet(value & 0xff, token);
  }

  uint32(value: number, token: number): void {
    this.uint16(value >>> 16, token);
    this.uint16(value & 0xffff, token);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.bytes.slice(0, this.length);
  }
}

/**
 * Copies for many small pieces that live and die together. In Deno a typed array with a buffer of its own costs most of
 * a microsecond, a view of a shared one a twentieth of that; the price is that one piece keeps its whole chunk.
 */
export class Arena {
  #chunk = new ArrayBuffer(1_024);
  #view = new Uint8Array(this.#chunk);
  #used = 0;

  copy(bytes: Uint8Array, length: number): Uint8Array {
    if (this.#used + length > this.#chunk.byteLength) {
      if (length > MAX_CHUNK / 8) return bytes.slice(0, length);
      this.#chunk = new ArrayBuffer(Math.min(this.#chunk.byteLength * 2 + 8 * length, MAX_CHUNK));
      this.#view = new Uint8Array(this.#chunk);
      this.#used = 0;
    }
    const from = this.#used;
    for (let i = 0; i < length; i++) this.#view[from + i] = bytes[i];
    this.#used += length;
    return new Uint8Array(this.#chunk, from, length);
  }
}

const MAX_CHUNK = 65_536;

function tooLong(token: number): RdataFault {
  return new RdataFault("rdata-too-long", `the data takes more than ${MAX_RDATA_OCTETS} octets`, token);
}

/** A place in rdata that was checked. */
export class WireCursor {
  constructor(readonly bytes: Uint8Array, public at = 0, readonly end: number = bytes.length) {}

  octet(): number {
    return this.bytes[this.at++];
  }

  uint16(): number {
    return this.octet() << 8 | this.octet();
  }

  uint32(): number {
    return (this.uint16() * 0x10000) + this.uint16();
  }

  take(length: number): Uint8Array {
    const from = this.at;
    this.at += length;
    return this.bytes.subarray(from, this.at);
  }

  rest(): Uint8Array {
    return this.take(this.end - this.at);
  }
}
