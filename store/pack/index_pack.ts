import { StoreError } from "../error.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { packHeader } from "./encode.ts";
import { PackEntries } from "./entries.ts";
import { decodeEntryHeader, encodeEntryHeader, entryType, kindOfType, longestEntryHeader } from "./entry.ts";
import { heldDeltas } from "./held_deltas.ts";
import { encodePackIndex } from "./index_file.ts";
import { entryInflater, pieceBytes } from "./inflate_entry.ts";
import { resolveDeltas } from "./resolve.ts";
import type { EntryData } from "./resolve.ts";
import { scanPack } from "./scan.ts";
import { smallBytes, twoBuffers } from "./two_buffers.ts";
import type { Identify, NewSha1, PackLimits, PackObject, Pause } from "./types.ts";

/** Where a pack is put while it is indexed: a file, or memory. Offsets and lengths in bytes. */
export interface PackStorage {
  append(bytes: Uint8Array): Promise<void>;
  /** Reads back what was appended. Lent: looked at before the next call, so that one buffer may serve for all. */
  read(offset: number, length: number): Uint8Array;
  overwrite(offset: number, bytes: Uint8Array): void;
  truncate(length: number): void;
}

export interface IndexPackOptions {
  readonly limits: PackLimits;
  readonly zlib: Zlib;
  /** For the pack's own checksum. */
  readonly newSha1: NewSha1;
  /** Names each object. */
  readonly identify: Identify;
  readonly storage: PackStorage;
  /** Bases of a thin pack, by their 20 bytes. Without it a pack must hold all its bases. */
  readonly external?: (oid: Uint8Array) => Promise<PackObject | undefined>;
  /**
   * Sees every object of the pack once, in no particular order; throws to refuse the pack. The content is lent, to this
   * and to `identify`: it is good until the call returns.
   */
  readonly onObject?: (object: PackObject, oid: Uint8Array) => void;
  /** Called often; lets others run where it is time for that. */
  readonly pause?: Pause;
}

export interface IndexedPack {
  /** Objects that were in the pack; the first of `oids`. Bases appended to a thin pack come after them. */
  readonly received: number;
  readonly count: number;
  /** 20 bytes an object, in the pack's order. */
  readonly oids: Uint8Array;
  /** What each object is, in the pack's order: the type that its entry would have undeltified. */
  readonly types: Uint8Array;
  /** The pack's checksum, which also names its files. */
  readonly checksum: Uint8Array;
  /** The index file's bytes. */
  readonly index: Uint8Array;
  readonly bytes: number;
}

/**
 * Takes a pack in, chunk by chunk: checks it, resolves its deltas, completes it where it is thin, and makes its index.
 * Reads no further than the pack's end. Memory: some ninety bytes an object, the two largest objects, and 25 MB
 * at most for what is held to save time.
 * @throws {StoreError} `malformed`, `limit`, and whatever `onObject` throws
 */
export async function indexPack(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: IndexPackOptions,
): Promise<IndexedPack> {
  const { limits, zlib, newSha1, storage } = options;
  const pause = options.pause ?? (() => Promise.resolve());
  const entries = new PackEntries();
  const held = heldDeltas();

  const admit = (object: PackObject): Uint8Array => {
    const id = options.identify(object.kind, object.content);
    options.onObject?.(object, id);
    return id;
  };
  const scanner = scanPack({
    limits,
    zlib,
    newSha1,
    onEntry(entry) {
      const base = entry.type === entryType.offsetDelta ? entries.entryAt(entry.baseOffset) : undefined;
      if (entry.type === entryType.offsetDelta && base === undefined) {
        throw new StoreError("malformed", `the delta at ${entry.offset} has no base where it says`);
      }
      const number = entries.add({ ...entry, base }, scanner.declared);
      if (entry.type < entryType.offsetDelta) {
        const kind = kindOfType(entry.type);
        entries.setObject(number, kind, admit({ kind, content: entry.data }));
      } else {
        held.offer(number, entry.data);
      }
    },
  });
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue;
    scanner.push(chunk);
    await storage.append(chunk);
    if (scanner.done) break;
    await pause();
  }
  if (scanner.checksum === undefined) {
    throw new StoreError(
      "malformed",
      `the pack is cut short: ${entries.count} of ${scanner.declared} objects in ${scanner.length} bytes`,
    );
  }

  const received = entries.count;
  const buffers = twoBuffers(limits.objectBytes, scanner.takeRoom());
  entries.end = scanner.length - 20;
  await resolveDeltas(entries, {
    limits,
    data: entryData(),
    buffers,
    onResolved: (_, object) => admit(object),
    appendBase,
    pause,
  });
  buffers.release();
  held.release();
  const complete = entries.count === received
    ? { checksum: scanner.checksum, bytes: scanner.length }
    : await finishThinPack();
  const oids = entries.ids();
  const index = await encodePackIndex(
    { count: entries.count, oids, crcs: entries.crcs, offsets: entries.offsets },
    complete.checksum,
    newSha1,
    { pause },
  );
  return {
    received,
    count: entries.count,
    oids,
    types: entries.types.subarray(0, entries.count),
    index,
    ...complete,
  };

  function entryData(): EntryData {
    const inflated = entryInflater(zlib.inflater(), storage.read);
    const changed = () => new StoreError("io", "the pack changed while it was indexed");
    /** Where the deflated data starts. */
    const dataAt = (entry: number): number => {
      const offset = entries.offsets[entry] as number;
      const bytes = storage.read(offset, Math.min(longestEntryHeader, entries.endOf(entry) - offset));
      const header = decodeEntryHeader(bytes, 0, bytes.length);
      if (header === undefined) throw changed();
      return offset + header.length;
    };
    return {
      sizeOf: (entry) => entries.sizes[entry] as number,
      whole(entry, room) {
        const size = entries.sizes[entry] as number;
        const kept = held.get(entry, size);
        if (kept !== undefined) return kept;
        if (size > smallBytes) {
          const target = room(size);
          inflated.into(dataAt(entry), entries.endOf(entry), size, target);
          return target.subarray(0, size);
        }
        const offset = entries.offsets[entry] as number;
        const bytes = storage.read(offset, entries.endOf(entry) - offset);
        const header = decodeEntryHeader(bytes, 0, bytes.length);
        const outcome = header === undefined
          ? undefined
          : zlib.inflate(bytes.subarray(header.length), header.size);
        if (outcome?.state !== "done") throw changed();
        return outcome.output;
      },
      through(entry, take) {
        inflated.through(dataAt(entry), entries.endOf(entry), entries.sizes[entry] as number, take);
      },
    };
  }

  async function appendBase(id: Uint8Array): Promise<number | undefined> {
    const object = await options.external?.(id);
    if (object === undefined) return undefined;
    const { kind, content } = object;
    if (content.length > limits.objectBytes) {
      throw new StoreError(
        "limit",
        `a delta's base has ${content.length} bytes, more than ${limits.objectBytes}`,
      );
    }
    const offset = entries.end;
    if (entries.count === received) storage.truncate(offset);
    const header = encodeEntryHeader(kind, content.length);
    const deflated = zlib.deflate(content);
    await storage.append(header);
    await storage.append(deflated);
    const number = entries.add({
      offset,
      end: offset + header.length + deflated.length,
      type: entryType[kind],
      size: content.length,
      crc: zlib.crc32(deflated, zlib.crc32(header, 0)),
      baseOid: undefined,
    }, entries.count * 1.25);
    entries.setObject(number, kind, id);
    return number;
  }

  /** The count in the header has changed, and with it the checksum of the whole. */
  async function finishThinPack(): Promise<{ checksum: Uint8Array; bytes: number }> {
    const { end } = entries;
    storage.overwrite(0, packHeader(entries.count));
    const sha1 = newSha1();
    for (let at = 0; at < end; at += pieceBytes) {
      sha1.update(storage.read(at, Math.min(pieceBytes, end - at)));
      await pause();
    }
    const checksum = sha1.digest();
    await storage.append(checksum);
    return { checksum, bytes: end + 20 };
  }
}
