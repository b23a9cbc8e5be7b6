/**
 * Zone files (RFC 1035 §5, RFC 2308 §4, RFC 3597 §5) from bytes to records.
 *
 * Hot: the way of a plain record makes the record's own objects and nothing else; types and classes are looked up by
 * their packed octets, and an owner written as before is not read again. `tests/bench/zonefile_bench.ts` shows it.
 */
import { MAX_LABEL_OCTETS, MAX_NAME_OCTETS, nameFromWire, nameOctets, nameToWire, ROOT } from "../name.ts";
import { Arena, RdataFault, RdataInput, WireWriter } from "../rr/descriptor.ts";
import { explainBadName, isDigit, readDuration, writeTextName } from "../rr/fields.ts";
import { readRdata } from "../rr/rdata.ts";
import { soaMinimum } from "../rr/soa.ts";
import { CLASS, classFromName, className, isMetaType, RRTYPE, typeFromName, typeName } from "../rr/types.ts";
import type { Fault, Name, Position, ResourceRecord } from "../types.ts";
import { type LexicalProblem, printable, QUOTED, readEntry, Tokens } from "./tokens.ts";

export interface ZoneFileInput {
  /** The file's name as positions give it. */
  readonly file: string;
  readonly bytes: Uint8Array;
  /** What relative names are completed with until a `$ORIGIN`. */
  readonly origin: Name;
  /** Reads the file of an `$INCLUDE`; without it every `$INCLUDE` is a fault. */
  readonly include?: IncludeReader;
  readonly limits?: Partial<ZoneFileLimits>;
}

/**
 * `path` is as written, `from` the file that names it. The outcome is the content, with the resolved name where there is
 * one; `undefined` when there is no such file, a reason when it may not be read.
 */
export type IncludeReader = (
  path: string,
  from: string,
) =>
  | Uint8Array
  | { readonly file: string; readonly bytes: Uint8Array }
  | { readonly reason: string }
  | undefined;

export interface ZoneFileLimits {
  /** After so many faults reading stops, with one more fault that says so. */
  readonly faults: number;
  /** How deep files may include files. */
  readonly includeDepth: number;
  /** Bytes of all included files together. */
  readonly includeBytes: number;
}

export const ZONE_FILE_LIMITS: ZoneFileLimits = {
  faults: 1_000,
  includeDepth: 10,
  includeBytes: 256 * 2 ** 20,
};

/** Where parts of a record stand in the bytes of the file that its position names: offsets from 0. */
export interface RecordSpan {
  /** The entry, from the start of its line to behind its line feed. */
  readonly start: number;
  readonly end: number;
  readonly type: number;
  /** The first piece of the data; where the entry ends if there is none. */
  readonly rdata: number;
}

export type RecordSink = (record: ResourceRecord, position: Position, span: RecordSpan) => void;

/** A record in wire form. The object and its buffers serve again for the next one. */
export interface WireEntry {
  /** Begins with the owner name, uncompressed, in the case it is written in. */
  readonly owner: Uint8Array;
  /** The owner is that of the entry before. */
  readonly ownerIsSame: boolean;
  /** The name above the owner is, octet for octet, that above the owner of the entry before; not always said where it is. */
  readonly parentIsSame: boolean;
  readonly type: number;
  readonly ttl: number;
  readonly rdata: Uint8Array;
  readonly rdataStart: number;
  readonly rdataOctets: number;
  /** As a `RecordSink` is told it; made when it is asked for. */
  position(): Position;
}

/** Takes a record; `false` ends the reading. */
export type WireSink = (entry: WireEntry) => false | void;

/** As `parseZoneFile`, for who takes octets: no object and no string is made for a record. */
export function parseZoneWire(input: ZoneFileInput, sink: WireSink): Fault[] {
  const reading = newReading(input, { sink, entry: new Entry() });
  new FileParser(reading, input.file, input.bytes, input.origin, NO_OWNER).run();
  return reading.faults;
}

/**
 * Reads a zone file: each record goes to `sink` in the order of the text, with the position of its owner (of its first
 * token where the owner is left out). Gives every fault found; after one, reading goes on with the next entry. Whether
 * the records make a zone is not judged here. Rdata are views of shared buffers: copy what is to outlive its zone.
 */
export function parseZoneFile(input: ZoneFileInput, sink: RecordSink): Fault[] {
  const reading = newReading(input, sink);
  new FileParser(reading, input.file, input.bytes, input.origin, NO_OWNER).run();
  return reading.faults;
}

function newReading(input: ZoneFileInput, sink: Reading["sink"]): Reading {
  return {
    sink,
    faults: [],
    limits: { ...ZONE_FILE_LIMITS, ...input.limits },
    include: input.include,
    includedBytes: 0,
    files: [],
    out: new WireWriter(),
    arena: new Arena(),
    defaultTtl: undefined,
    lastTtl: undefined,
    owners: 0,
    lastOwner: -1,
    parents: 0,
    lastParent: -1,
    stopped: false,
  };
}

/** The position of an offset in a file. */
export function positionAt(file: string, bytes: Uint8Array, offset: number): Position {
  let line = 1;
  let lineStart = 0;
  for (let feed = bytes.indexOf(LF); feed !== -1 && feed < offset; feed = bytes.indexOf(LF, feed + 1)) {
    line++;
    lineStart = feed + 1;
  }
  return { file, line, column: offset - lineStart + 1 };
}

/** The greatest TTL (RFC 2181 §8). */
export const MAX_TTL = 2 ** 31 - 1;

const LF = 0x0a;
const DOT = 0x2e;

/** What a file and the files it includes share. */
interface Reading {
  readonly sink: RecordSink | { readonly sink: WireSink; readonly entry: Entry };
  readonly faults: Fault[];
  readonly limits: ZoneFileLimits;
  readonly include: IncludeReader | undefined;
  readonly out: WireWriter;
  /** Where rdata goes: a zone's records stay together. */
  readonly arena: Arena;
  /** The files being read, outermost first. */
  readonly files: string[];
  includedBytes: number;
  /** Of `$TTL`. */
  defaultTtl: number | undefined;
  /** The last one stated with a record. */
  lastTtl: number | undefined;
  /** Owners read so far, and the number of the one that a sink was given last. */
  owners: number;
  lastOwner: number;
  /** The same for the names above owners. */
  parents: number;
  lastParent: number;
  stopped: boolean;
}

/** The owner of an entry: as text for a sink of records, in wire form for one of octets. */
interface Owner {
  readonly number: number;
  readonly name: Name;
  readonly wire: Uint8Array;
  /** It could not be read, and records that leave their owner out belong to no one. */
  readonly isFaulty: boolean;
}

const NO_OWNER: Owner = { number: -1, name: ROOT, wire: new Uint8Array(0), isFaulty: false };

/** What a `WireSink` is given, over and over. */
class Entry implements WireEntry {
  owner: Uint8Array = NO_OWNER.wire;
  ownerIsSame = false;
  parentIsSame = false;
  type = 0;
  ttl = 0;
  rdata: Uint8Array = NO_OWNER.wire;
  readonly rdataStart = 0;
  rdataOctets = 0;
  parser: FileParser | undefined = undefined;

  position(): Position {
    if (this.parser === undefined) throw new RangeError("no entry was read yet");
    return this.parser.place();
  }
}

class FileParser {
  readonly #reading: Reading;
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #tokens = new Tokens();
  readonly #input: RdataInput;
  /** What a plain owner is made of. */
  readonly #plain: Uint8Array;
  #origin: Name = ROOT;
  #originSuffix = "";
  #originOctets = 1;
  /** -1: none yet. */
  #ownerNumber: number;
  #ownerName: Name;
  /** With room for what is found to be too long for a name. */
  readonly #ownerWire = new Uint8Array(4 * MAX_NAME_OCTETS);
  /** Where the owner was written last with this origin. */
  #ownerStart = 0;
  #ownerEnd = 0;
  /** Where its first label ended there; of use as long as `#parentNumber` is not -1. */
  #ownerDot = 0;
  /** The number of the name above the owner; -1 where no other can be known to be the same. */
  #parentNumber = -1;
  #ownerIsFaulty = false;
  #line = 1;
  #unclosed = 0;

  constructor(reading: Reading, file: string, bytes: Uint8Array, origin: Name, owner: Owner) {
    this.#reading = reading;
    this.#file = file;
    this.#bytes = bytes;
    this.#input = new RdataInput(this.#tokens, 0, nameToWire(origin));
    this.#setOrigin(origin);
    this.#plain = typeof reading.sink === "function" ? PLAIN : PLAIN_IN_WIRE;
    this.#ownerNumber = owner.number;
    this.#ownerName = owner.name;
    this.#ownerIsFaulty = owner.isFaulty;
    this.#ownerWire.set(owner.wire);
  }

  /** Where the present entry stands: its owner, or its first token where that is left out. */
  place(): Position {
    return this.#position(this.#tokens.offset(0));
  }

  run(): void {
    const bytes = this.#bytes;
    const tokens = this.#tokens;
    this.#reading.files.push(this.#file);
    let at = 0;
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      at = 3;
      tokens.bytes = bytes;
      this.#fault(0, "byte-order-mark", "the file begins with a byte order mark; take it out", "warning");
    }
    const isForWire = typeof this.#reading.sink !== "function";
    while (at < bytes.length && !this.#reading.stopped) {
      const next = isForWire ? this.#plainLine(at) : -1;
      if (next !== -1) {
        this.#line++;
        at = next;
        continue;
      }
      readEntry(bytes, at, tokens);
      if (tokens.problem !== undefined) {
        this.#lexicalFault(tokens.problem);
        this.#line += countLines(bytes, at, tokens.next);
      } else {
        if (tokens.count > 0) this.#entry();
        this.#line += tokens.lines;
      }
      at = tokens.next;
    }
    this.#reading.files.pop();
  }

  /**
   * Takes a line like `www 300 IN A 192.0.2.1`, TTL and class at will, in which all is written in the plainest way: the bulk
   * of large zones. Gives the offset of the next line; -1 when the line is another one, and nothing was done.
   */
  #plainLine(from: number): number {
    const bytes = this.#bytes;
    const size = bytes.length;
    const plain = this.#plain;
    let at = from;
    while (at < size && plain[bytes[at]] === 1) at++;
    const dot = at;
    while (at < size && (plain[bytes[at]] === 1 || bytes[at] === DOT)) at++;
    const to = at;
    if (to === from || !isBlank(bytes[at])) return -1;
    while (isBlank(bytes[at])) at++;

    const reading = this.#reading;
    const hasTtl = isDigit(bytes[at]);
    let ttl = 0;
    if (hasTtl) {
      const start = at;
      for (; isDigit(bytes[at]); at++) ttl = ttl * 10 + bytes[at] - 0x30;
      if (at - start > 9 || !isBlank(bytes[at])) return -1;
      while (isBlank(bytes[at])) at++;
    } else {
      ttl = reading.defaultTtl ?? reading.lastTtl ?? -1;
      if (ttl === -1) return -1;
    }
    if ((bytes[at] | 0x20) === 0x69 && (bytes[at + 1] | 0x20) === 0x6e && isBlank(bytes[at + 2])) {
      at += 3;
      while (isBlank(bytes[at])) at++;
    }
    if ((bytes[at] | 0x20) !== 0x61 || !isBlank(bytes[at + 1])) return -1;
    at += 2;
    while (isBlank(bytes[at])) at++;

    let address = 0;
    for (let octet = 0; octet < 4; octet++) {
      if (octet > 0 && bytes[at++] !== DOT) return -1;
      const start = at;
      let value = 0;
      for (; isDigit(bytes[at]) && at - start < 3; at++) value = value * 10 + bytes[at] - 0x30;
      if (at === start || value > 255 || (bytes[start] === 0x30 && at - start > 1)) return -1;
      address = address << 8 | value;
    }
    while (isBlank(bytes[at])) at++;
    if (bytes[at] === 0x0d) at++;
    if (at >= size || bytes[at] !== LF) return -1;

    if (!this.#isOwnerAgain(from, to)) {
      if (!this.#ownerBeside(from, dot, to) && !this.#plainOwner(from, to)) return -1;
      this.#ownerNumber = reading.owners++;
      this.#ownerIsFaulty = false;
      this.#ownerWas(from, dot, to);
    }
    const tokens = this.#tokens;
    tokens.from = tokens.start[0] = from;
    tokens.flags[0] = 0;
    tokens.lines = 1;
    tokens.problem = undefined;
    if (hasTtl) reading.lastTtl = ttl;
    const { out } = reading;
    out.bytes[0] = address >>> 24;
    out.bytes[1] = address >>> 16;
    out.bytes[2] = address >>> 8;
    out.bytes[3] = address;
    out.length = 4;
    this.#give(RRTYPE.A, ttl, 0);
    return at + 1;
  }

  #entry(): void {
    const { bytes, start, flags, leadingBlank } = this.#tokens;
    if (bytes[start[0]] === DOLLAR && !leadingBlank && (flags[0] & QUOTED) === 0) this.#directive();
    else this.#record();
  }

  #record(): void {
    const tokens = this.#tokens;
    const { bytes, start, end, flags } = tokens;
    let index = 0;
    if (!tokens.leadingBlank) {
      this.#readOwner();
      index = 1;
    }
    if (this.#ownerNumber === -1) {
      return this.#fault(
        tokens.offset(0),
        "no-owner",
        `the line begins with a blank, which means "the owner before", and there is none; write the owner in the first column`,
      );
    }

    // TTL and class in either order, each at most once (RFC 1035 §5.1).
    let ttl = -1;
    let hasClass = false;
    let isServed = !this.#ownerIsFaulty;
    let type = -1;
    for (; index < tokens.count; index++) {
      if (flags[index] & QUOTED) break;
      const from = start[index];
      if (isDigit(bytes[from])) {
        if (ttl !== -1) break;
        ttl = this.#readTtl(index);
        if (ttl === -1) return;
        continue;
      }
      const packed = pack(bytes, from, end[index]);
      if (packed !== CLASS_IN) {
        type = packed === -1 ? this.#longType(index) : COMMON_TYPES.get(packed) ?? -1;
        if (type !== -1) break;
      }
      const value = hasClass ? undefined : packed === CLASS_IN ? CLASS.IN : this.#readClass(index);
      if (value === undefined) break;
      hasClass = true;
      isServed &&= value === CLASS.IN;
    }
    if (type === -1) return this.#noType(index, hasClass, ttl);
    if (isMetaType(type)) {
      return this.#fault(
        start[index],
        "meta-type",
        `${typeName(type)} is for messages and is no data of a zone; take the record out`,
      );
    }

    if (!this.#readRdata(type, index + 1)) return;
    if (ttl !== -1) this.#reading.lastTtl = ttl;
    else ttl = this.#impliedTtl(type);
    if (ttl === -1) {
      return this.#fault(
        start[index],
        "no-ttl",
        `the ${
          typeName(type)
        } record has no TTL and none was stated before; write "$TTL 3600" at the top of the file`,
      );
    }
    if (isServed) this.#give(type, ttl, index);
  }

  /** Gives the record that was read to the sink. */
  #give(type: number, ttl: number, typeToken: number): void {
    const reading = this.#reading;
    const { out } = reading;
    if (typeof reading.sink === "function") {
      const tokens = this.#tokens;
      reading.sink(
        {
          owner: this.#ownerName,
          type,
          class: CLASS.IN,
          ttl,
          rdata: reading.arena.copy(out.bytes, out.length),
        },
        this.place(),
        {
          start: tokens.from,
          end: tokens.next,
          type: tokens.start[typeToken],
          rdata: typeToken + 1 < tokens.count ? tokens.offset(typeToken + 1) : tokens.end[typeToken],
        },
      );
    } else {
      const { sink, entry } = reading.sink;
      entry.owner = this.#ownerWire;
      entry.ownerIsSame = reading.lastOwner === this.#ownerNumber;
      entry.parentIsSame = this.#parentNumber !== -1 && reading.lastParent === this.#parentNumber;
      reading.lastOwner = this.#ownerNumber;
      reading.lastParent = this.#parentNumber;
      entry.type = type;
      entry.ttl = ttl;
      entry.rdata = out.bytes;
      entry.rdataOctets = out.length;
      entry.parser = this;
      if (sink(entry) === false) reading.stopped = true;
    }
  }

  /** Reads the data into `out`. */
  #readRdata(type: number, first: number): boolean {
    this.#input.next = first;
    try {
      readRdata(type, this.#input, this.#reading.out);
      return true;
    } catch (error) {
      if (!(error instanceof RdataFault)) throw error;
      const tokens = this.#tokens;
      const at = error.token < tokens.count ? tokens.offset(error.token) : tokens.end[tokens.count - 1];
      this.#fault(at, error.code, `${typeName(type)}: ${error.message}`);
      return false;
    }
  }

  /** Reads the entry's first token as the owner. */
  #readOwner(): void {
    const tokens = this.#tokens;
    const from = tokens.start[0];
    const to = tokens.end[0];
    if (this.#isOwnerAgain(from, to)) return;
    const quoted = (tokens.flags[0] & QUOTED) !== 0;
    this.#ownerNumber = this.#reading.owners++;
    const isPlain = !quoted && this.#plainOwner(from, to);
    if (quoted || !(isPlain || this.#carefulOwner())) {
      const why = quoted
        ? `"${tokens.text(0)}" is in quotes; write it without`
        : explainBadName(tokens, 0, this.#input.origin);
      this.#fault(tokens.offset(0), "bad-name", `the owner ${why}`);
      // Records below that leave their owner out are read for their faults and belong to no one.
      this.#ownerIsFaulty = true;
      this.#forgetOwnerText();
      return;
    }
    this.#ownerIsFaulty = false;
    let dot = from;
    while (dot < to && this.#bytes[dot] !== DOT) dot++;
    this.#ownerWas(from, dot, to);
    if (!isPlain) this.#parentNumber = -1;
  }

  /** The same text need not mean the same name any more. */
  #forgetOwnerText(): void {
    this.#ownerStart = this.#ownerEnd = 0;
    this.#parentNumber = -1;
  }

  /** Remembers where the owner is written, and what a plain one has above it. */
  #ownerWas(from: number, dot: number, to: number): void {
    if (this.#parentNumber === -1 || !this.#hasSameParent(dot, to)) {
      this.#parentNumber = this.#reading.parents++;
    }
    this.#ownerStart = from;
    this.#ownerDot = dot;
    this.#ownerEnd = to;
  }

  /** Whether a plain owner has behind its first label what the owner before had, which was plain too. */
  #hasSameParent(dot: number, to: number): boolean {
    const bytes = this.#bytes;
    const before = this.#ownerDot;
    if (to - dot !== this.#ownerEnd - before) return false;
    for (let i = to - dot - 1; i >= 0; i--) if (bytes[dot + i] !== bytes[before + i]) return false;
    return true;
  }

  /** Takes a plain owner that differs from the one before in its first label alone, and not in how long that is. */
  #ownerBeside(from: number, dot: number, to: number): boolean {
    if (
      this.#parentNumber === -1 || dot - from !== this.#ownerDot - this.#ownerStart ||
      !this.#hasSameParent(dot, to)
    ) return false;
    const bytes = this.#bytes;
    const wire = this.#ownerWire;
    for (let i = from; i < dot; i++) wire[i - from + 1] = bytes[i];
    return true;
  }

  #isOwnerAgain(from: number, to: number): boolean {
    const bytes = this.#bytes;
    const before = this.#ownerStart;
    if (to - from !== this.#ownerEnd - before) return false;
    for (let i = to - from - 1; i >= 0; i--) if (bytes[from + i] !== bytes[before + i]) return false;
    return true;
  }

  /** Takes an owner of `#plain` characters and dots; `false` for all others. */
  #plainOwner(from: number, to: number): boolean {
    const bytes = this.#bytes;
    const size = to - from;
    if (size > MAX_NAME_OCTETS) return false;
    const wire = this.#ownerWire;
    let labelStart = from;
    for (let i = from; i < to; i++) {
      const byte = bytes[i];
      if (byte === DOT) {
        if (i === labelStart || i - labelStart > MAX_LABEL_OCTETS) return false;
        wire[labelStart - from] = i - labelStart;
        labelStart = i + 1;
      } else if (this.#plain[byte] === 0) {
        return false;
      } else {
        wire[i - from + 1] = byte;
      }
    }
    const isWhole = labelStart === to;
    if (isWhole) {
      if (size + 1 > MAX_NAME_OCTETS) return false;
      wire[size] = 0;
    } else {
      if (to - labelStart > MAX_LABEL_OCTETS || size + 1 + this.#originOctets > MAX_NAME_OCTETS) return false;
      wire[labelStart - from] = to - labelStart;
      const { origin } = this.#input;
      for (let i = 0; i < origin.length; i++) wire[size + 1 + i] = origin[i];
    }
    if (typeof this.#reading.sink === "function") {
      this.#ownerName = ascii(bytes, from, to) + (isWhole ? "" : this.#originSuffix) as Name;
    }
    return true;
  }

  /** Takes an owner by the whole grammar; `false` for what is no name. */
  #carefulOwner(): boolean {
    const end = writeTextName(this.#tokens, 0, this.#input.origin, this.#ownerWire, 0);
    if (end === -1) return false;
    if (typeof this.#reading.sink !== "function") return true;
    const name = nameFromWire(this.#ownerWire, 0, end)?.name;
    if (name !== undefined) this.#ownerName = name;
    return name !== undefined;
  }

  /** A token's name by the whole grammar. */
  #carefulName(token: number): Name | undefined {
    const { bytes } = this.#reading.out;
    const end = writeTextName(this.#tokens, token, this.#input.origin, bytes, 0);
    return end === -1 ? undefined : nameFromWire(bytes, 0, end)?.name;
  }

  #readTtl(token: number): number {
    const { bytes, start, end } = this.#tokens;
    const ttl = readDuration(bytes, start[token], end[token]);
    if (ttl === undefined) {
      this.#fault(
        start[token],
        "bad-ttl",
        `"${
          this.#tokens.text(token)
        }" stands where a TTL may stand and is none; write seconds, or units as in 1h30m${
          this.#ownerLooksLikeType(token) ? "; a line without owner begins with a blank" : ""
        }`,
      );
      return -1;
    }
    if (ttl > MAX_TTL) {
      this.#fault(
        start[token],
        "bad-ttl",
        `the TTL "${
          this.#tokens.text(token)
        }" is over the limit of ${MAX_TTL} seconds (RFC 2181 section 8); write a smaller one`,
      );
      return -1;
    }
    return ttl;
  }

  /** `A 192.0.2.1` in the first column: the owner was meant to be left out. */
  #ownerLooksLikeType(token: number): boolean {
    return token === 1 && !this.#tokens.leadingBlank && this.#longType(0) !== -1;
  }

  /** RFC 2308 §4 and RFC 1035 §5.1: `$TTL`, else the last one stated, else the SOA's own minimum for the SOA. */
  #impliedTtl(type: number): number {
    const { defaultTtl, lastTtl, out } = this.#reading;
    if (defaultTtl !== undefined) return defaultTtl;
    if (lastTtl !== undefined) return lastTtl;
    return type === RRTYPE.SOA ? Math.min(soaMinimum(out.bytes.subarray(0, out.length)), MAX_TTL) : -1;
  }

  #longType(token: number): number {
    const word = this.#input.word(token, 16);
    return word === undefined ? -1 : typeFromName(word) ?? -1;
  }

  /** A class by its mnemonic; one other than IN is a fault, and the rest of the line is read for more. */
  #readClass(token: number): number | undefined {
    const value = classFromName(this.#input.word(token, 16) ?? "");
    if (value !== undefined && value !== CLASS.IN) {
      this.#fault(
        this.#tokens.start[token],
        "class-not-in",
        `the class ${className(value)} is not served; write IN or leave it out`,
      );
    }
    return value;
  }

  #noType(token: number, hasClass: boolean, ttl: number): void {
    const tokens = this.#tokens;
    if (token >= tokens.count) {
      return this.#fault(
        tokens.end[tokens.count - 1],
        "missing-type",
        `the record ends before its type; write a type and its data, as in "A 192.0.2.1", or take the line out`,
      );
    }
    const missing = ["type", ...(hasClass ? [] : ["class"]), ...(ttl === -1 ? ["TTL"] : [])];
    this.#fault(
      tokens.offset(token),
      "unknown-type",
      `"${tokens.text(token)}" is no ${
        missing.join(", ")
      }; write a type such as A, or TYPE and its number (RFC 3597); a line without owner begins with a blank`,
    );
  }

  #directive(): void {
    const tokens = this.#tokens;
    const name = (this.#input.word(0, 16) ?? "").toUpperCase();
    switch (name) {
      case "$ORIGIN":
        return this.#originDirective();
      case "$TTL":
        return this.#ttlDirective();
      case "$INCLUDE":
        return this.#includeDirective();
      case "$GENERATE":
        return this.#fault(
          tokens.start[0],
          "unsupported-directive",
          "$GENERATE is not supported yet; write the records out",
        );
      default:
        return this.#fault(
          tokens.start[0],
          "unknown-directive",
          `"${
            tokens.text(0)
          }" is no directive; write $ORIGIN, $TTL or $INCLUDE, or \\$ for a name that begins so`,
        );
    }
  }

  #originDirective(): void {
    if (!this.#hasArguments(1, 1, "$ORIGIN takes one name, as in: $ORIGIN example.test.")) return;
    const origin = this.#nameArgument(1, "$ORIGIN");
    if (origin !== undefined) this.#setOrigin(origin);
  }

  #ttlDirective(): void {
    if (!this.#hasArguments(1, 1, "$TTL takes one time, as in: $TTL 1h")) return;
    const ttl = this.#readTtl(1);
    if (ttl !== -1) this.#reading.defaultTtl = ttl;
  }

  /** RFC 1035 §5.1: the file's origin is the second argument or ours; ours, and our owner, stay what they were. */
  #includeDirective(): void {
    if (!this.#hasArguments(1, 2, "$INCLUDE takes a path and, if one likes, an origin")) return;
    const tokens = this.#tokens;
    const reading = this.#reading;
    const origin = tokens.count > 2 ? this.#nameArgument(2, "$INCLUDE") : this.#origin;
    if (origin === undefined) return;
    const at = tokens.offset(1);
    const shown = tokens.text(1, 200);
    const path = this.#pathOf(1);
    if (path === undefined) {
      return this.#fault(
        at,
        "include-refused",
        `"${shown}" is no path; write one in UTF-8 without control characters`,
      );
    }
    if (reading.include === undefined) {
      return this.#fault(
        at,
        "include-refused",
        `"${shown}" cannot be included here; put its records into this file`,
      );
    }
    if (reading.files.length > reading.limits.includeDepth) {
      return this.#fault(
        at,
        "include-too-deep",
        `"${shown}" would be included ${reading.files.length} levels deep and the limit is ${reading.limits.includeDepth} (${
          reading.files.slice(-3).join(" includes ")
        }); look for a loop`,
      );
    }
    const found = reading.include(path, this.#file);
    if (found === undefined) {
      return this.#fault(
        at,
        "include-not-found",
        `there is no file "${shown}"; mend the path or add the file`,
      );
    }
    if ("reason" in found) {
      return this.#fault(at, "include-refused", `"${shown}" may not be included: ${found.reason}`);
    }
    const { file, bytes } = found instanceof Uint8Array ? { file: path, bytes: found } : found;
    if (reading.files.includes(file)) {
      const loop = [...reading.files.slice(reading.files.indexOf(file)), file].join(" includes ");
      return this.#fault(
        at,
        "include-loop",
        `the files include each other without end: ${loop}; take one out`,
      );
    }
    // A small cost each keeps a million includes of an empty file bounded as well.
    reading.includedBytes += bytes.length + 1_024;
    if (reading.includedBytes > reading.limits.includeBytes) {
      reading.stopped = true;
      return this.#fault(
        at,
        "include-too-large",
        `the included files have more than ${reading.limits.includeBytes} bytes together; nothing is read from "${shown}" on`,
      );
    }
    const owner = {
      number: this.#ownerNumber,
      name: this.#ownerName,
      wire: this.#ownerWire,
      isFaulty: this.#ownerIsFaulty,
    };
    new FileParser(reading, file, bytes, origin, owner).run();
  }

  #pathOf(token: number): string | undefined {
    const { bytes, start, end } = this.#tokens;
    if (end[token] === start[token] || end[token] - start[token] > 4_096) return undefined;
    const path = new TextDecoder().decode(bytes.subarray(start[token], end[token]));
    // deno-lint-ignore no-control-regex
    return /[\u0000-\u001f\u007f\ufffd]/.test(path) ? undefined : path;
  }

  #hasArguments(least: number, most: number, usage: string): boolean {
    const given = this.#tokens.count - 1;
    if (given >= least && given <= most) return true;
    const at = given < least ? this.#tokens.end[given] : this.#tokens.offset(most + 1);
    this.#fault(
      at,
      "bad-directive",
      `${usage}; there ${given === 1 ? "is 1 argument" : `are ${given} arguments`}`,
    );
    return false;
  }

  #nameArgument(token: number, directive: string): Name | undefined {
    const name = this.#carefulName(token);
    if (name === undefined) {
      this.#fault(
        this.#tokens.offset(token),
        "bad-name",
        `${directive}: ${explainBadName(this.#tokens, token, this.#input.origin)}`,
      );
    }
    return name;
  }

  #setOrigin(origin: Name): void {
    this.#origin = origin;
    this.#originSuffix = origin === ROOT ? "." : `.${origin}`;
    this.#originOctets = nameOctets(origin);
    this.#input.origin = nameToWire(origin);
    // The same text now means another name.
    this.#forgetOwnerText();
  }

  #lexicalFault(problem: LexicalProblem): void {
    const at = this.#tokens.problemAt;
    this.#fault(at, problem, LEXICAL_MESSAGES[problem](this.#bytes, at));
    // Each one may have been looked for to the end of the file: enough is enough.
    if (problem === "unclosed-parenthesis" && ++this.#unclosed === 20) {
      this.#reading.stopped = true;
      this.#fault(
        at,
        "more-faults",
        "so many parentheses are left open that the rest of the file was not read",
      );
    }
  }

  /** The position of an offset inside the present entry. */
  #position(offset: number): Position {
    let line = this.#line;
    let lineStart = this.#tokens.from;
    if (this.#tokens.lines > 1 || this.#tokens.problem !== undefined) {
      for (let feed = this.#bytes.indexOf(LF, lineStart); feed !== -1 && feed < offset;) {
        line++;
        lineStart = feed + 1;
        feed = this.#bytes.indexOf(LF, lineStart);
      }
    }
    return { file: this.#file, line, column: offset - lineStart + 1 };
  }

  #fault(offset: number, code: string, message: string, severity: Fault["severity"] = "error"): void {
    const { faults, limits } = this.#reading;
    if (faults.length > limits.faults) return;
    const position = this.#position(offset);
    if (faults.length < limits.faults) {
      faults.push({ position, severity, code, message });
      return;
    }
    this.#reading.stopped = true;
    faults.push({
      position,
      severity: "error",
      code: "more-faults",
      message: `there are more than ${limits.faults} faults; the rest of the file was not read`,
    });
  }
}

const LEXICAL_MESSAGES: Readonly<Record<LexicalProblem, (bytes: Uint8Array, at: number) => string>> = {
  "unclosed-parenthesis": () => `the "(" opened here is never closed; write ")" at the end of the record`,
  "nested-parenthesis": () =>
    `the "(" opened here is still open where another one follows; write ")" at the end of the record, parentheses do not nest`,
  "stray-parenthesis": () => `there is no "(" that this ")" could close; take it out, or put text in quotes`,
  "unclosed-quote": (bytes, at) =>
    `the quote in ${
      printable(bytes, at, Math.min(lineFeed(bytes, at), at + 200), 40)
    } is not closed on its line; write the closing quote, or \\" for a quote inside`,
  "too-many-tokens": () =>
    "the record has more pieces than any record can need; look for a parenthesis left open",
};

const DOLLAR = 0x24;

/** What an owner may hold to be its own canonical text. */
const PLAIN = new Uint8Array(256);
for (const character of "abcdefghijklmnopqrstuvwxyz0123456789-_*/") PLAIN[character.charCodeAt(0)] = 1;
/** The wire form keeps upper case as it is. */
const PLAIN_IN_WIRE = PLAIN.slice();
for (const character of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") PLAIN_IN_WIRE[character.charCodeAt(0)] = 1;

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09;
}

/** Up to four octets in upper case as one number; -1 for longer ones. */
function pack(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > 4) return -1;
  let packed = 0;
  for (let i = from; i < to; i++) {
    const byte = bytes[i];
    packed = packed << 8 | (byte >= 0x61 && byte <= 0x7a ? byte - 0x20 : byte);
  }
  return packed;
}

function packText(text: string): number {
  const bytes = new TextEncoder().encode(text);
  return pack(bytes, 0, bytes.length);
}

const COMMON_TYPES: ReadonlyMap<number, number> = new Map(
  Object.entries(RRTYPE).filter(([name]) => name.length <= 4).map(([name, type]) => [packText(name), type]),
);
// ANY is a class as well as a type and neither in a zone file; the type says so best.
const CLASS_IN = packText("IN");

function ascii(bytes: Uint8Array, from: number, to: number): string {
  let text = "";
  for (let i = from; i < to; i++) text += CHARACTERS[bytes[i]];
  return text;
}

const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

function countLines(bytes: Uint8Array, from: number, to: number): number {
  let lines = 0;
  for (let feed = bytes.indexOf(LF, from); feed !== -1 && feed < to; feed = bytes.indexOf(LF, feed + 1)) {
    lines++;
  }
  return lines;
}

function lineFeed(bytes: Uint8Array, at: number): number {
  const feed = bytes.indexOf(LF, at);
  return feed === -1 ? bytes.length : feed;
}
