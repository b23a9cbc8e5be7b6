/**
 * The first pass over a pack: a state machine fed with chunks of any size, which gives each entry as soon as it is
 * whole. Hot when a pack is indexed: an entry is inflated where it lies, as far as it has come, into a buffer that serves
 * for all.
 * Benchmark: tests/bench/pack_bench.ts.
 */
import { StoreError } from "../error.ts";
import { roomSize } from "./two_buffers.ts";
import type { NewSha1, PackLimits } from "./types.ts";
import { equalBytes } from "../zlib/bytes.ts";
import { longestDeflated } from "../zlib/zlib.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { decodeEntryHeader, longestEntryHeader } from "./entry.ts";

/** One entry as it stands in the pack. */
export interface ScannedEntry {
  /** Where it starts, and where the next one does. */
  readonly offset: number;
  readonly end: number;
  readonly type: number;
  /** Of the inflated data, in bytes. */
  readonly size: number;
  /** Inflated: an object's content, or a delta. Lent: good until the call returns. */
  readonly data: Uint8Array;
  /** CRC-32 over the entry as it stands. */
  readonly crc: number;
  /** Where an offset delta's base starts. */
  readonly baseOffset: number;
  /** The 20 bytes that name a ref delta's base. */
  readonly baseOid: Uint8Array | undefined;
}

export interface PackScanner {
  /** The chunk may be changed afterwards. @throws {StoreError} `malformed`, `limit` */
  push(chunk: Uint8Array): void;
  /** Whether the trailer was read and verified. */
  readonly done: boolean;
  /** The objects that the header declares; 0 before it was read. */
  readonly declared: number;
  /** The pack's bytes so far, the trailer with it once done. */
  readonly length: number;
  /** The trailer, once done. */
  readonly checksum: Uint8Array | undefined;
  /** Once done: the buffer that entries were inflated into, for other uses. */
  takeRoom(): Uint8Array<ArrayBuffer>;
}

export function scanPack(options: {
  readonly limits: PackLimits;
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  readonly onEntry: (entry: ScannedEntry) => void;
}): PackScanner {
  const { limits, zlib, onEntry } = options;
  const sha1 = options.newSha1();
  // Bytes [start, end) of the buffer are not yet consumed; buffer[0] lies at `origin` in the pack.
  let buffer = new Uint8Array(0);
  let start = 0;
  let end = 0;
  let origin = 0;
  let hashed = 0;
  let declared: number | undefined;
  let seen = 0;
  let partial: PartialEntry | undefined;
  const inflater = zlib.inflater();
  /** Where entries are inflated that are large, or come in pieces. */
  let room = new Uint8Array(roomSize(0, limits.objectBytes));
  let checksum: Uint8Array | undefined;

  return {
    push(chunk) {
      if (checksum !== undefined) throw surplus();
      append(chunk);
      while (checksum === undefined && step());
      if (checksum === undefined) hash(start);
      keepRest();
    },
    get done() {
      return checksum !== undefined;
    },
    get declared() {
      return declared ?? 0;
    },
    get length() {
      return origin + start;
    },
    get checksum() {
      return checksum;
    },
    takeRoom() {
      const taken = room;
      room = new Uint8Array(0);
      return taken;
    },
  };

  function append(chunk: Uint8Array): void {
    if (origin + end + chunk.length > limits.packBytes) {
      throw new StoreError("limit", `the pack is larger than ${limits.packBytes} bytes`);
    }
    const rest = end - start;
    if (rest === 0) {
      origin += start;
      buffer = chunk as Uint8Array<ArrayBuffer>;
    } else {
      const joined = new Uint8Array(rest + chunk.length);
      joined.set(buffer.subarray(start, end));
      joined.set(chunk, rest);
      origin += start;
      buffer = joined;
    }
    start = 0;
    hashed = 0;
    end = rest + chunk.length;
  }

  /** What is left is a part of a header or of the trailer: few bytes, copied, so that chunks are not held. */
  function keepRest(): void {
    const rest = buffer.slice(start, end);
    origin += start;
    buffer = rest;
    hashed -= start;
    end -= start;
    start = 0;
  }

  function hash(upTo: number): void {
    if (upTo > hashed) sha1.update(buffer.subarray(hashed, upTo));
    hashed = upTo;
  }

  /** Consumes one thing; false when more bytes are needed for that. */
  function step(): boolean {
    if (declared === undefined) return readHeader();
    if (partial !== undefined) return continueEntry(partial);
    return seen < declared ? readEntry() : readTrailer();
  }

  function readHeader(): boolean {
    if (end - start < 12) return false;
    const view = new DataView(buffer.buffer, buffer.byteOffset + start, 12);
    if (view.getUint32(0) !== 0x5041434b) {
      throw new StoreError("malformed", "not a pack: it does not start with PACK");
    }
    const version = view.getUint32(4);
    if (version !== 2 && version !== 3) {
      throw new StoreError("malformed", `a pack of unknown version ${version}`);
    }
    declared = view.getUint32(8);
    if (declared > limits.objects) {
      throw new StoreError("limit", `the pack holds ${declared} objects, more than ${limits.objects}`);
    }
    start += 12;
    return true;
  }

  function readEntry(): boolean {
    const header = decodeEntryHeader(buffer, start, end);
    if (header === undefined) {
      if (end - start > longestEntryHeader) {
        throw new StoreError("malformed", "a pack entry's header without an end");
      }
      return false;
    }
    const offset = origin + start;
    if (header.size > limits.objectBytes) {
      throw new StoreError(
        "limit",
        `the pack entry at ${offset} declares ${header.size} bytes, more than ${limits.objectBytes}`,
      );
    }
    if (header.distance > offset) {
      throw new StoreError("malformed", `the delta at ${offset} has no base in the pack`);
    }
    const dataAt = start + header.length;
    if (dataAt === end) return false;
    const longest = longestDeflated(header.size);
    const known = {
      offset,
      type: header.type,
      size: header.size,
      baseOffset: offset - header.distance,
      baseOid: header.baseAt < 0 ? undefined : buffer.slice(header.baseAt, header.baseAt + 20),
    };
    inflater.reset();
    partial = { ...known, crc: zlib.crc32(buffer.subarray(start, dataAt), 0), taken: 0, made: 0, longest };
    start = dataAt;
    return continueEntry(partial);
  }

  function continueEntry(entry: PartialEntry): boolean {
    for (;;) {
      if (entry.made === room.length) enlargeRoom();
      const step = inflater.push(buffer.subarray(start, end), room.subarray(entry.made, entry.size + 1));
      if (step.state === "bad") throw badStream(entry.offset, step.message);
      entry.crc = zlib.crc32(buffer.subarray(start, start + step.consumed), entry.crc);
      entry.taken += step.consumed;
      entry.made += step.produced;
      start += step.consumed;
      if (entry.taken > entry.longest) throw badStream(entry.offset, "far longer than what it holds");
      if (entry.made > entry.size) throw badStream(entry.offset, `more than ${entry.size} bytes`);
      if (step.state === "full") continue;
      if (step.state === "more") return false;
      break;
    }
    if (entry.made !== entry.size) throw badStream(entry.offset, wrongSize(entry.made, entry.size));
    partial = undefined;
    emit(entry, room.subarray(0, entry.made), entry.crc);
    return true;
  }

  /** By what has really come. */
  function enlargeRoom(): void {
    const larger = new Uint8Array(roomSize(room.length, limits.objectBytes));
    larger.set(room);
    room = larger;
  }

  function emit(
    known: Pick<PartialEntry, "offset" | "type" | "size" | "baseOffset" | "baseOid">,
    data: Uint8Array,
    crc: number,
  ): void {
    seen++;
    const { offset, type, size, baseOffset, baseOid } = known;
    onEntry({ offset, end: origin + start, type, size, data, crc, baseOffset, baseOid });
  }

  function readTrailer(): boolean {
    if (end - start < 20) return false;
    if (end - start > 20) throw surplus();
    hash(start);
    const trailer = buffer.slice(start, end);
    start = end;
    if (!equalBytes(sha1.digest(), trailer)) {
      throw new StoreError("malformed", "the pack's checksum does not fit its content");
    }
    checksum = trailer;
    return true;
  }
}

interface PartialEntry {
  readonly offset: number;
  readonly type: number;
  readonly size: number;
  readonly baseOffset: number;
  readonly baseOid: Uint8Array | undefined;
  readonly longest: number;
  crc: number;
  /** Bytes consumed and given so far. */
  taken: number;
  made: number;
}

function badStream(offset: number, why: string): StoreError {
  return new StoreError("malformed", `the pack entry at ${offset} does not inflate: ${why}`);
}

function wrongSize(given: number, size: number): string {
  return `${given} bytes where ${size} are declared`;
}

function surplus(): StoreError {
  return new StoreError("malformed", "bytes after the pack's end");
}
