import { StoreError } from "../types.ts";
import type { GitObject, Oid, StoredEntry } from "../types.ts";
import { hashObject } from "../object/hash.ts";
import { oidFromBytes } from "../object/oid.ts";
import { decodePackIndex } from "../pack/index_file.ts";
import type { PackIndex } from "../pack/index_file.ts";
import { applyDelta, deltaSizes } from "../pack/delta.ts";
import { decodeEntryHeader, entryType, kindOfType, longestEntryHeader } from "../pack/entry.ts";
import type { EntryHeader } from "../pack/entry.ts";
import { nodeZlib } from "../zlib/node.ts";
import { ioError, listFolder, readFileIfThere } from "./files.ts";
import { newSha1 } from "./sha1.ts";

/**
 * The packs of a folder, each found by its index. What is asked of the packs known so far costs no look at the folder: to
 * be tried first, and for many objects; `read` and `has` look for packs that came later when they find nothing.
 */
export interface PackedHeap {
  read(oid: Oid): Promise<GitObject | undefined>;
  has(oid: Oid): Promise<boolean>;
  readKnown(oid: Oid): GitObject | undefined;
  hasKnown(oid: Oid): boolean;
  /** @throws {StoreError} `corrupt` where the entry's bytes are not those that were indexed */
  entryKnown(oid: Oid): StoredEntry | undefined;
  /** Looks for packs that came or went, where any may have. */
  refresh(): Promise<void>;
  rescan(): Promise<void>;
  close(): void;
}

export function packedHeap(folder: string): PackedHeap {
  let packs: Pack[] = [];
  let scannedAs: string | undefined;

  async function rescan(): Promise<void> {
    // Noted before the look: what comes during it is seen the next time.
    const stamp = await folderStamp(folder);
    const names = (await listFolder(folder)).map((entry) => entry.name);
    const indexes = names.filter((name) => /^pack-[0-9a-f]{40}\.idx$/.test(name));
    const bases = new Set(
      indexes.map((name) => name.slice(0, -4)).filter((base) => names.includes(`${base}.pack`)),
    );
    const kept: Pack[] = [];
    for (const pack of packs) {
      if (bases.delete(pack.base)) kept.push(pack);
      else pack.close();
    }
    for (const base of bases) {
      const pack = await openPack(folder, base);
      if (pack !== undefined) kept.push(pack);
    }
    packs = kept;
    scannedAs = stamp;
  }

  /** Whether there was anything to look at. */
  async function refresh(): Promise<boolean> {
    if (scannedAs !== undefined && scannedAs === await folderStamp(folder)) return false;
    await rescan();
    return true;
  }

  function find(oid: Oid): { pack: Pack; rank: number } | undefined {
    for (const pack of packs) {
      const rank = pack.index.rankOf(oid);
      if (rank !== undefined) return { pack, rank };
    }
    return undefined;
  }

  function hasKnown(oid: Oid): boolean {
    return find(oid) !== undefined;
  }

  function readKnown(oid: Oid): GitObject | undefined {
    const found = find(oid);
    if (found === undefined) return undefined;
    const object = found.pack.readAt(found.pack.index.offsetAt(found.rank), oid);
    if (oidFromBytes(hashObject(object.kind, object.content, newSha1)) !== oid) {
      throw new StoreError("corrupt", `object ${oid} is damaged in ${found.pack.base}.pack`);
    }
    return object;
  }

  return {
    rescan,
    hasKnown,
    readKnown,
    has: async (oid) => hasKnown(oid) || (await refresh() && hasKnown(oid)),
    read: async (oid) => readKnown(oid) ?? (await refresh() ? readKnown(oid) : undefined),
    entryKnown(oid) {
      const found = find(oid);
      return found?.pack.entryAt(found.rank);
    },
    async refresh() {
      await refresh();
    },
    close() {
      for (const pack of packs) pack.close();
      packs = [];
      scannedAs = undefined;
    },
  };
}

interface Pack {
  readonly base: string;
  readonly index: PackIndex<Oid>;
  readAt(offset: number, wanted: Oid): GitObject;
  entryAt(rank: number): StoredEntry;
  close(): void;
}

/** Chains longer than this are taken for damage; git writes up to 4095 (`pack.depth`). */
const deepestChain = 4096;
/** An inflated size beyond this is taken for damage. */
const largestObject = 1 << 30;
/** Bytes of bases kept for the next reads of the same pack. */
const cacheBytes = 16 * 1024 * 1024;

async function openPack(folder: string, base: string): Promise<Pack | undefined> {
  const bytes = await readFileIfThere(`${folder}/${base}.idx`);
  if (bytes === undefined) return undefined;
  const index = decodePackIndex<Oid>(bytes);
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${folder}/${base}.pack`, { read: true });
  } catch (error) {
    // Repacked away between the look and now.
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError(`cannot open ${base}.pack`, error);
  }
  const size = file.statSync().size;
  const damaged = (why: string) => new StoreError("corrupt", `${base}.pack is damaged: ${why}`);
  if (size < 32) throw damaged("it is cut short");
  const offsets = Float64Array.from({ length: index.count }, (_, rank) => index.offsetAt(rank)).sort();
  const read = windowedReader(file, size);
  let ranks: Uint32Array | undefined;
  const cache = baseCache();

  /** The place among the entries, in the order of the pack, of the one that starts at `offset`. */
  function placeOf(offset: number): number {
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((offsets[middle] ?? 0) < offset) low = middle + 1;
      else high = middle;
    }
    if (offsets[low] !== offset) throw damaged(`no entry at ${offset}`);
    return low;
  }

  /** An entry ends where the next begins, so one read of just its bytes is enough. */
  function entryBytes(offset: number): Uint8Array {
    const end = offsets[placeOf(offset) + 1] ?? size - 20;
    if (end > size - 20 || end <= offset) throw damaged(`no entry at ${offset}`);
    return read(offset, end - offset);
  }

  /** Which object starts at `offset`; the table for that is made when it is first needed. */
  function oidAtOffset(offset: number): Oid {
    if (ranks === undefined) {
      ranks = new Uint32Array(index.count);
      for (let rank = 0; rank < index.count; rank++) ranks[placeOf(index.offsetAt(rank))] = rank;
    }
    return index.oidAt(ranks[placeOf(offset)] ?? 0);
  }

  function headerOf(bytes: Uint8Array, offset: number): EntryHeader {
    const header = decodeEntryHeader(bytes, 0, Math.min(bytes.length, longestEntryHeader));
    if (header === undefined) throw damaged(`the entry at ${offset} is cut short`);
    if (header.type === entryType.offsetDelta && (header.distance === 0 || header.distance > offset)) {
      throw damaged(`the delta at ${offset} has no base`);
    }
    return header;
  }

  function entryAt(rank: number): StoredEntry {
    const offset = index.offsetAt(rank);
    const bytes = entryBytes(offset);
    if (nodeZlib.crc32(bytes, 0) !== index.crcAt(rank)) {
      throw damaged(`the entry at ${offset} is not what was indexed`);
    }
    const header = headerOf(bytes, offset);
    const { type, size } = header;
    const deflated = bytes.subarray(header.length);
    if (type < entryType.offsetDelta) return { kind: kindOfType(type), size, deflated };
    const base = type === entryType.offsetDelta
      ? oidAtOffset(offset - header.distance)
      : oidFromBytes(bytes, header.baseAt);
    return { kind: "delta", base, size, deflated };
  }

  function inflateEntry(
    bytes: Uint8Array,
    headerLength: number,
    declared: number,
    offset: number,
  ): Uint8Array {
    if (declared > largestObject) throw damaged(`the entry at ${offset} declares ${declared} bytes`);
    const inflated = nodeZlib.inflate(bytes.subarray(headerLength), declared);
    if (inflated.state !== "done" || inflated.output.length !== declared) {
      throw damaged(`the entry at ${offset} does not inflate`);
    }
    return inflated.output;
  }

  function readAt(offset: number, wanted: Oid): GitObject {
    const deltas: { readonly delta: Uint8Array; readonly offset: number }[] = [];
    let at = offset;
    let object: GitObject | undefined;
    try {
      while (object === undefined) {
        object = cache.get(at);
        if (object !== undefined) break;
        const bytes = entryBytes(at);
        const header = headerOf(bytes, at);
        const data = inflateEntry(bytes, header.length, header.size, at);
        if (header.type < entryType.offsetDelta) {
          object = { kind: kindOfType(header.type), content: data };
          if (deltas.length > 0) cache.put(at, object);
          break;
        }
        deltas.push({ delta: data, offset: at });
        if (deltas.length > deepestChain) {
          throw damaged(`a chain of more than ${deepestChain} deltas at ${offset}`);
        }
        if (header.type === entryType.offsetDelta) {
          at -= header.distance;
        } else {
          const base = index.find(oidFromBytes(bytes, header.baseAt));
          if (base === undefined) throw damaged(`the delta at ${at} has no base in its pack`);
          at = base;
        }
      }
      let { kind, content } = object;
      for (const { delta, offset: of } of deltas.reverse()) {
        if (deltaSizes(delta).result > largestObject) throw damaged(`the delta at ${of} declares too much`);
        content = applyDelta(content, delta);
        cache.put(of, { kind, content });
      }
      return { kind, content };
    } catch (error) {
      if (error instanceof StoreError && error.code === "malformed") {
        throw new StoreError("corrupt", `object ${wanted} in ${base}.pack: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
  }

  return { base, index, readAt, entryAt, close: () => file.close() };
}

/** Reads at a place of the file. The position is the file's own, so nothing may wait between the two steps. */
export function readExactly(file: Deno.FsFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) throw new StoreError("corrupt", "a pack file is shorter than its index says");
    at += count;
  }
  return bytes;
}

/**
 * Reads through windows of the file that are kept for a while, since entries asked for one after the other lie near each
 * other. Each begins at a multiple of half its size, so that what starts in its first half and is small lies whole in it.
 */
function windowedReader(file: Deno.FsFile, size: number): (offset: number, length: number) => Uint8Array {
  const kept = new Map<number, Uint8Array>();
  return (offset, length) => {
    if (length > windowBytes / 2) return readExactly(file, offset, length);
    const at = offset - (offset % (windowBytes / 2));
    let window = kept.get(at);
    if (window !== undefined) kept.delete(at);
    else window = readExactly(file, at, Math.min(windowBytes, size - at));
    // Put last again: the map's order is that of use.
    kept.set(at, window);
    if (kept.size > keptWindows) {
      for (const oldest of kept.keys()) {
        kept.delete(oldest);
        break;
      }
    }
    return window.subarray(offset - at, offset - at + length);
  };
}

const windowBytes = 65536;
const keptWindows = 32;

function baseCache(): {
  get(offset: number): GitObject | undefined;
  put(offset: number, object: GitObject): void;
} {
  const kept = new Map<number, GitObject>();
  let bytes = 0;
  return {
    get(offset) {
      const object = kept.get(offset);
      if (object !== undefined) {
        // Put last again: the map's order is that of use.
        kept.delete(offset);
        kept.set(offset, object);
      }
      return object;
    },
    put(offset, object) {
      if (object.content.length > cacheBytes / 4 || kept.has(offset)) return;
      kept.set(offset, object);
      bytes += object.content.length;
      for (const [oldest, { content }] of kept) {
        if (bytes <= cacheBytes) break;
        kept.delete(oldest);
        bytes -= content.length;
      }
    },
  };
}

async function folderStamp(folder: string): Promise<string> {
  try {
    const info = await Deno.stat(folder);
    const changed = info.mtime?.getTime() ?? 0;
    // The clock of file times ticks coarsely: what was changed just now may change again under the same time.
    const unsettled = Math.abs(Date.now() - changed) < 50;
    return `${info.ino} ${changed}${unsettled ? ` ${performance.now()}` : ""}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "absent";
    throw ioError(`cannot look at ${folder}`, error);
  }
}
