import { StoreError } from "../error.ts";
import type { Identify, NewSha1, PackLimits, PackObject, Pause } from "./types.ts";
import { concatBytes } from "../zlib/bytes.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { encodePackIndex } from "./index_file.ts";
import { encodeEntryHeader, entryType, kindOfType } from "./entry.ts";
import { PackEntries } from "./entries.ts";
import { packHeader } from "./encode.ts";
import { decodeEntryHeader } from "./entry.ts";
import { resolveDeltas } from "./resolve.ts";
import { scanPack } from "./scan.ts";

/** Where a pack is put while it is indexed: a file, or memory. Offsets and lengths in bytes. */
export interface PackStorage {
  append(bytes: Uint8Array): Promise<void>;
  /** Reads back what was appended. */
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
  /** Sees every object of the pack once, in no particular order; throws to refuse the pack. */
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
  readonly types: readonly number[];
  /** The pack's checksum, which also names its files. */
  readonly checksum: Uint8Array;
  /** The index file's bytes. */
  readonly index: Uint8Array;
  readonly bytes: number;
}

/**
 * Takes a pack in, chunk by chunk: checks it, resolves its deltas, completes it where it is thin, and makes its index.
 * Reads no further than the pack's end. Chunks are kept for a while: they must not be changed after they were given.
 * @throws {StoreError} `malformed`, `limit`, and whatever `onObject` throws
 */
export async function indexPack(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: IndexPackOptions,
): Promise<IndexedPack> {
  const { limits, zlib, newSha1, storage } = options;
  const entries = new PackEntries();
  const held = heldData();

  const admit = (object: PackObject): Uint8Array => {
    const oid = options.identify(object.kind, object.content);
    options.onObject?.(object, oid);
    return oid;
  };
  const scanner = scanPack({
    limits,
    zlib,
    newSha1,
    onEntry(entry) {
      const index = entries.add(entry);
      if (entry.type < entryType.offsetDelta) {
        const kind = kindOfType(entry.type);
        entries.setObject(index, kind, admit({ kind, content: entry.data }));
      }
      held.offer(index, entry.data);
    },
  });
  for await (const chunk of chunks) {
    if (chunk.length === 0) continue;
    scanner.push(chunk);
    await storage.append(chunk);
    if (scanner.done) break;
    await options.pause?.();
  }
  if (scanner.checksum === undefined) {
    throw new StoreError(
      "malformed",
      `the pack is cut short: ${entries.count} of ${scanner.declared} objects in ${scanner.length} bytes`,
    );
  }

  const received = entries.count;
  let end = scanner.length - 20;
  await resolveDeltas(entries, {
    limits,
    dataOf: (entry) => held.take(entry) ?? readData(entry),
    onResolved: (_, object) => admit(object),
    appendBase,
    pause: options.pause ?? (() => Promise.resolve()),
  });
  const complete = entries.count === received
    ? { checksum: scanner.checksum, bytes: scanner.length }
    : await finishThinPack();
  const index = encodePackIndex(
    { count: entries.count, oids: entries.oids(), crcs: entries.crcs, offsets: entries.offsets },
    complete.checksum,
    newSha1,
  );
  return { received, count: entries.count, oids: entries.oids(), types: entries.types, index, ...complete };

  function readData(entry: number): Uint8Array {
    const offset = entries.offsets[entry] ?? 0;
    const bytes = storage.read(offset, (entries.ends[entry] ?? 0) - offset);
    const header = decodeEntryHeader(bytes, 0, bytes.length);
    const inflated = header === undefined
      ? undefined
      : zlib.inflate(bytes.subarray(header.length), header.size);
    if (inflated?.state !== "done") throw new StoreError("io", "the pack changed while it was indexed");
    return inflated.output;
  }

  async function appendBase(oid: Uint8Array): Promise<number | undefined> {
    const object = await options.external?.(oid);
    if (object === undefined) return undefined;
    if (object.content.length > limits.objectBytes) {
      throw new StoreError(
        "limit",
        `a delta's base has ${object.content.length} bytes, more than ${limits.objectBytes}`,
      );
    }
    if (entries.count === received) storage.truncate(end);
    const bytes = concatBytes([
      encodeEntryHeader(object.kind, object.content.length),
      zlib.deflate(object.content),
    ]);
    await storage.append(bytes);
    const index = entries.add({
      offset: end,
      end: end + bytes.length,
      type: entryType[object.kind],
      crc: zlib.crc32(bytes, 0),
      baseOffset: 0,
      baseOid: undefined,
    });
    end += bytes.length;
    entries.setObject(index, object.kind, oid);
    held.offer(index, object.content);
    return index;
  }

  /** The count in the header has changed, and with it the checksum of the whole. */
  async function finishThinPack(): Promise<{ checksum: Uint8Array; bytes: number }> {
    storage.overwrite(0, packHeader(entries.count));
    const sha1 = newSha1();
    for (let at = 0; at < end; at += 1 << 20) sha1.update(storage.read(at, Math.min(1 << 20, end - at)));
    const checksum = sha1.digest();
    await storage.append(checksum);
    return { checksum, bytes: end + 20 };
  }
}

/** Inflated data of the first pass, kept up to a bound, so that most entries are inflated only once. */
function heldData(): {
  offer(entry: number, data: Uint8Array): void;
  take(entry: number): Uint8Array | undefined;
} {
  const kept = new Map<number, Uint8Array>();
  let bytes = 0;
  return {
    offer(entry, data) {
      if (bytes + data.length > heldBytes) return;
      bytes += data.length;
      kept.set(entry, data);
    },
    take(entry) {
      return kept.get(entry);
    },
  };
}

const heldBytes = 64 * 1024 * 1024;
