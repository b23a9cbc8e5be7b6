/**
 * The first pass over a pack: a state machine fed with chunks of any size, which gives each entry as soon as it is
 * whole. Hot when a pack is indexed: an entry that lies whole in the buffer is inflated in one call, without copying.
 * Benchmark: tests/bench/pack_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { NewSha1, PackLimits } from "./types.ts";
import { equalBytes } from "../zlib/bytes.ts";
import { longestDeflated } from "../zlib/zlib.ts";
import type { Inflater, Zlib } from "../zlib/zlib.ts";
import { decodeEntryHeader, longestEntryHeader } from "./entry.ts";

/** One entry as it stands in the pack. */
export interface ScannedEntry {
  /** Where it starts, and where the next one does. */
  readonly offset: number;
  readonly end: number;
  readonly type: number;
  /** Inflated: an object's content, or a delta. */
  readonly data: Uint8Array;
  /** CRC-32 over the entry as it stands. */
  readonly crc: number;
  /** Where an offset delta's base starts. */
  readonly baseOffset: number;
  /** The 20 bytes that name a ref delta's base. */
  readonly baseOid: Uint8Array | undefined;
}

export interface PackScanner {
  /** @throws {StoreError} `malformed`, `limit` */
  push(chunk: Uint8Array): void;
  /** Whether the trailer was read and verified. */
  readonly done: boolean;
  /** The objects that the header declares; 0 before it was read. */
  readonly declared: number;
  /** The pack's bytes so far, the trailer with it once done. */
  readonly length: number;
  /** The trailer, once done. */
  readonly checksum: Uint8Array | undefined;
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
  let checksum: Uint8Array | undefined;

  return {
    push(chunk) {
      if (checksum !== undefined) throw surplus();
      append(chunk);
      while (checksum === undefined && step());
      if (checksum === undefined) hash(start);
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
    const input = buffer.subarray(dataAt, Math.min(end, dataAt + longest));
    const inflated = zlib.inflate(input, header.size);
    const known = {
      offset,
      type: header.type,
      size: header.size,
      baseOffset: offset - header.distance,
      baseOid: header.baseAt < 0 ? undefined : buffer.slice(header.baseAt, header.baseAt + 20),
    };
    if (inflated.state === "bad") throw badStream(offset, inflated.message);
    if (inflated.state === "done") {
      if (inflated.output.length !== header.size) {
        throw badStream(offset, wrongSize(inflated.output, header.size));
      }
      const stop = dataAt + inflated.consumed;
      const crc = zlib.crc32(buffer.subarray(start, stop), 0);
      start = stop;
      emit(known, inflated.output, crc);
      return true;
    }
    // It goes on in later chunks: from here bytes are consumed as they come, so nothing is inflated twice.
    const inflater = zlib.inflater(header.size);
    partial = { ...known, inflater, crc: zlib.crc32(buffer.subarray(start, dataAt), 0), taken: 0, longest };
    start = dataAt;
    return true;
  }

  function continueEntry(entry: PartialEntry): boolean {
    if (start === end) return false;
    const inflated = entry.inflater.push(buffer.subarray(start, end));
    if (inflated.state === "bad") throw badStream(entry.offset, inflated.message);
    const consumed = inflated.state === "done" ? inflated.consumed : end - start;
    entry.crc = zlib.crc32(buffer.subarray(start, start + consumed), entry.crc);
    entry.taken += consumed;
    start += consumed;
    if (entry.taken > entry.longest) throw badStream(entry.offset, "far longer than what it holds");
    if (inflated.state === "more") return false;
    if (inflated.output.length !== entry.size) {
      throw badStream(entry.offset, wrongSize(inflated.output, entry.size));
    }
    partial = undefined;
    emit(entry, inflated.output, entry.crc);
    return true;
  }

  function emit(
    known: Pick<PartialEntry, "offset" | "type" | "baseOffset" | "baseOid">,
    data: Uint8Array,
    crc: number,
  ): void {
    seen++;
    const { offset, type, baseOffset, baseOid } = known;
    onEntry({ offset, end: origin + start, type, data, crc, baseOffset, baseOid });
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
  readonly inflater: Inflater;
  readonly longest: number;
  crc: number;
  taken: number;
}

function badStream(offset: number, why: string): StoreError {
  return new StoreError("malformed", `the pack entry at ${offset} does not inflate: ${why}`);
}

function wrongSize(output: Uint8Array, size: number): string {
  return `${output.length} bytes where ${size} are declared`;
}

function surplus(): StoreError {
  return new StoreError("malformed", "bytes after the pack's end");
}
