/**
 * Reading objects out of an indexed pack. Hot when history is walked and when fetches are served: small entries are
 * inflated whole, and bases kept for the next reads; large ones go by weight through two buffers.
 * Benchmark: tests/bench/read_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { mostInflated } from "../zlib/zlib.ts";
import { byteCache } from "./byte_cache.ts";
import { applyDelta, deltaApplier, deltaSizes, endsSizes, longestSizes } from "./delta.ts";
import { decodeEntryHeader, entryType, kindOfType, longestEntryHeader } from "./entry.ts";
import type { EntryHeader } from "./entry.ts";
import { idFromBytes } from "./id.ts";
import type { PackIndex } from "./index_file.ts";
import { entryInflater } from "./inflate_entry.ts";
import type { MapPack } from "./inflate_entry.ts";
import type { PackedEntry, PackKind, PackObject } from "./types.ts";

export interface ReadPackOptions<Id extends string = string> {
  /** For errors. */
  readonly name: string;
  readonly index: PackIndex<Id>;
  /** Of the pack, its trailer included, in bytes. */
  readonly size: number;
  readonly map: MapPack;
  readonly zlib: Zlib;
  /** Bytes of bases and deltas that are kept for the next reads. Default 32 MiB. */
  readonly cacheBytes?: number | undefined;
  /** What is larger when it is inflated is taken for damage. Default 1 GiB. */
  readonly objectBytes?: number | undefined;
  /** Longer chains of deltas are taken for damage. Default 4096, beyond what git writes (`pack.depth`). */
  readonly deltaDepth?: number | undefined;
}

/** What can be known of an object without making it. */
export interface Weight {
  readonly kind: PackKind;
  /** Of the object, in bytes. */
  readonly size: number;
  /** Of the largest object in its chain: two buffers of so many bytes are enough to make it. */
  readonly weight: number;
  /** How many deltas it is made by. */
  readonly depth: number;
}

/**
 * A pack whose objects are asked for by rank, their place in the order of ids (`index.rankOf`). What is damaged is told
 * for the object asked for, by its id and the place of the entry; the others stay readable.
 */
export interface PackReader<Id extends string = string> {
  readonly index: PackIndex<Id>;
  /** Of the pack, its trailer included, in bytes. */
  readonly size: number;
  /** Bytes of the pack as they lie there; to be looked at before the next are asked for. */
  readonly map: MapPack;
  /** The object; not compared with its id. @throws {StoreError} `corrupt` */
  read(rank: number): PackObject;
  /** The entry as it lies in the pack, compared with the CRC of the index. @throws {StoreError} `corrupt` */
  entryAt(rank: number): PackedEntry<Id>;
  /** Reads no more than headers and the first bytes of deltas. @throws {StoreError} `corrupt` */
  weigh(rank: number): Weight;
  /** Which object's entry starts there: the reverse of `index.offsetAt`. */
  rankAt(offset: number): number | undefined;
  /** Where the entry ends. @throws {StoreError} `corrupt` */
  endOf(rank: number): number;
  /** All ranks, in the order in which the entries lie in the pack. */
  inPackOrder(): Iterable<number>;
}

export function readPack<Id extends string = string>(options: ReadPackOptions<Id>): PackReader<Id> {
  const { name, index, size, map, zlib } = options;
  const objectBytes = options.objectBytes ?? 2 ** 30;
  const deltaDepth = options.deltaDepth ?? 4096;
  const cacheBytes = options.cacheBytes ?? 32 * 1024 * 1024;
  // Deltas are small: keeping them saves more for each byte than keeping what they make.
  const contents = byteCache<PackObject>(cacheBytes * 0.75);
  const deltas = byteCache<SmallDelta>(cacheBytes * 0.25);
  /** Where small contents are made that are bases and nothing else. */
  let work = [new Uint8Array(1 << 16), new Uint8Array(1 << 16)];
  const offsets = Float64Array.from({ length: index.count }, (_, rank) => index.offsetAt(rank)).sort();
  const inflater = zlib.inflater();
  let block = new Uint8Array(0);
  let used = 0;
  const entries = entryInflater(inflater, map);
  let ranks: Uint32Array | undefined;

  return {
    index,
    size,
    map,
    read: (rank) => guarded(rank, () => readAt(index.offsetAt(rank))),
    entryAt: (rank) => guarded(rank, () => packedEntry(rank)),
    weigh: (rank) => guarded(rank, () => weighAt(index.offsetAt(rank))),
    rankAt(offset) {
      const place = placeOf(offset);
      return place === undefined ? undefined : ranksByPlace()[place];
    },
    endOf: (rank) => guarded(rank, () => endOf(index.offsetAt(rank))),
    inPackOrder: () => ranksByPlace(),
  };

  /** Turns what is found wrong into damage of this pack, naming the object. */
  function guarded<T>(rank: number, work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof StoreError) || (error.code !== "malformed" && error.code !== "corrupt")) {
        throw error;
      }
      throw new StoreError(
        "corrupt",
        `object ${index.oidAt(rank)} is damaged in ${name}: ${error.message}`,
        { cause: error },
      );
    }
  }

  /** The place among the entries, in the order of the pack, of the one that starts at `offset`. */
  function placeOf(offset: number): number | undefined {
    let low = 0;
    let high = offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((offsets[middle] as number) < offset) low = middle + 1;
      else high = middle;
    }
    return offsets[low] === offset ? low : undefined;
  }

  /** Made when it is first needed. */
  function ranksByPlace(): Uint32Array {
    if (ranks === undefined) {
      ranks = new Uint32Array(index.count);
      for (let rank = 0; rank < index.count; rank++) ranks[placeOf(index.offsetAt(rank)) as number] = rank;
    }
    return ranks;
  }

  /** An entry ends where the next begins. */
  function endOf(offset: number): number {
    const place = placeOf(offset);
    const end = place === undefined ? offset : offsets[place + 1] ?? size - 20;
    if (end > size - 20 || end <= offset) throw damage(offset, "there is no entry");
    return end;
  }

  function headerAt(offset: number, bytes: Uint8Array): EntryHeader {
    const header = decodeEntryHeader(bytes, 0, Math.min(bytes.length, longestEntryHeader));
    if (header === undefined) throw damage(offset, "it is cut short");
    if (header.size > objectBytes) throw damage(offset, `it declares ${header.size} bytes`);
    if (header.type === entryType.offsetDelta && (header.distance === 0 || header.distance > offset)) {
      throw damage(offset, "its base lies outside the pack");
    }
    return header;
  }

  function baseOf(offset: number, header: EntryHeader, bytes: Uint8Array): number {
    if (header.type === entryType.offsetDelta) return offset - header.distance;
    const base = index.find(idFromBytes<Id>(bytes, header.baseAt));
    if (base === undefined) throw damage(offset, "its base is not in the pack");
    return base;
  }

  function readAt(start: number): PackObject {
    const chain: SmallDelta[] = [];
    let object = contents.get(start);
    if (object !== undefined) return object;
    let weight = 0;
    let at = start;
    for (;;) {
      const link = deltas.get(at) ?? smallEntry(at);
      if (link === undefined) return readByWeight(start);
      if ("kind" in link) {
        object = link;
        if (chain.length > 0) contents.put(at, object, object.content.length);
        break;
      }
      weight = Math.max(weight, link.makes);
      chain.push(link);
      if (chain.length > deltaDepth) throw damage(at, `it ends a chain of more than ${deltaDepth} deltas`);
      at = link.base;
      object = contents.get(at);
      if (object !== undefined) break;
    }
    if (chain.length === 0) return object;
    if ((work[0]?.length ?? 0) < weight) work = [new Uint8Array(weight * 2), new Uint8Array(weight * 2)];
    const { kind } = object;
    let { content } = object;
    for (let i = chain.length - 1; i >= 0; i--) {
      const { delta, offset, makes } = chain[i] as SmallDelta;
      content = applyTo(content, delta, (work[i & 1] as Uint8Array).subarray(0, makes), offset);
    }
    // What leads there was made in buffers that serve again. A copy costs less than room that has to be cleared.
    object = { kind, content: content.slice() };
    // A short chain is soon gone again, and the room is worth more for what many chains end in.
    if (chain.length > longChain) contents.put(start, object, content.length);
    return object;
  }

  /** An entry inflated whole; `undefined` where it is not small. */
  function smallEntry(offset: number): SmallDelta | PackObject | undefined {
    const end = endOf(offset);
    if (end - offset > smallBytes) return undefined;
    const bytes = map(offset, end - offset);
    const header = headerAt(offset, bytes);
    if (header.size > smallBytes) return undefined;
    if (header.type < entryType.offsetDelta) {
      return { kind: kindOfType(header.type), content: inflateWhole(bytes, header, offset) };
    }
    const data = inflateDelta(bytes, header, offset);
    const makes = named(offset, () => deltaSizes(data)).result;
    if (makes > smallBytes) return undefined;
    const link: SmallDelta = { delta: data, offset, base: baseOf(offset, header, bytes), makes };
    deltas.put(offset, link, data.length);
    return link;
  }

  /** As `inflateWhole`; short deltas lie side by side in one block, since a buffer for each costs more than they hold. */
  function inflateDelta(bytes: Uint8Array, header: EntryHeader, offset: number): Uint8Array {
    const { size } = header;
    if (size > blockBytes / 16) return inflateWhole(bytes, header, offset);
    if (used + size + 1 > block.length) {
      block = new Uint8Array(blockBytes);
      used = 0;
    }
    inflater.reset();
    const step = inflater.push(bytes.subarray(header.length), block.subarray(used, used + size + 1));
    if (step.state !== "done" || step.produced !== size) {
      throw damage(offset, `it does not give ${size} bytes`);
    }
    used += size;
    return block.subarray(used - size, used);
  }

  function inflateWhole(bytes: Uint8Array, header: EntryHeader, offset: number): Uint8Array {
    const inflated = zlib.inflate(bytes.subarray(header.length), header.size);
    if (inflated.state === "bad") throw damage(offset, `it does not inflate: ${inflated.message}`);
    if (inflated.state === "more") throw damage(offset, "it is cut short");
    if (inflated.output.length !== header.size) {
      throw damage(offset, `${inflated.output.length} bytes where ${header.size} are declared`);
    }
    return inflated.output;
  }

  /** From the object asked for down to the one that is whole. */
  function chainOf(start: number): Link[] {
    const chain: Link[] = [];
    for (let at = start;;) {
      const end = endOf(at);
      const bytes = map(at, Math.min(longestEntryHeader, end - at));
      const header = headerAt(at, bytes);
      const dataAt = at + header.length;
      // Nothing is made room for that cannot come.
      if (header.size > mostInflated(end - dataAt)) throw damage(at, `it cannot hold ${header.size} bytes`);
      const delta = header.type >= entryType.offsetDelta;
      const link: Link = {
        offset: at,
        dataAt,
        end,
        type: header.type,
        size: header.size,
        makes: header.size,
      };
      chain.push(link);
      if (!delta) return chain;
      link.makes = named(at, () => resultSize(link));
      if (chain.length > deltaDepth) throw damage(at, `it ends a chain of more than ${deltaDepth} deltas`);
      at = baseOf(at, header, bytes);
    }
  }

  /** What a delta declares to make, by its first bytes alone. */
  function resultSize({ dataAt, end, size }: Link): number {
    let result: number | undefined;
    entries.through(dataAt, end, size, (window) => {
      if (window.length < Math.min(size, longestSizes) && !endsSizes(window)) return 0;
      result = deltaSizes(window).result;
      return "enough";
    });
    if (result === undefined) throw new StoreError("malformed", "a delta without readable sizes");
    if (result > objectBytes) throw new StoreError("malformed", `a delta that makes ${result} bytes`);
    return result;
  }

  function weighAt(offset: number): Weight {
    const chain = chainOf(offset);
    const root = chain[chain.length - 1] as Link;
    let weight = 0;
    for (const link of chain) weight = Math.max(weight, link.makes);
    return {
      kind: kindOfType(root.type),
      size: (chain[0] as Link).makes,
      weight,
      depth: chain.length - 1,
    };
  }

  /** Two buffers as large as the largest object on the way, whatever the length of the way. */
  function readByWeight(start: number): PackObject {
    const chain = chainOf(start);
    const root = chain[chain.length - 1] as Link;
    let weight = 0;
    for (const link of chain) weight = Math.max(weight, link.makes);
    let from = new Uint8Array(weight + 1);
    let to = chain.length > 1 ? new Uint8Array(weight + 1) : from;
    named(root.offset, () => entries.into(root.dataAt, root.end, root.size, from));
    let content: Uint8Array = from.subarray(0, root.size);
    for (let i = chain.length - 2; i >= 0; i--) {
      const { offset, dataAt, end, size: deltaBytes } = chain[i] as Link;
      const applier = deltaApplier(content, () => to);
      content = named(offset, () => {
        entries.through(dataAt, end, deltaBytes, applier.push);
        return applier.finish();
      });
      [from, to] = [to, from];
    }
    return { kind: kindOfType(root.type), content };
  }

  function packedEntry(rank: number): PackedEntry<Id> {
    const offset = index.offsetAt(rank);
    const bytes = map(offset, endOf(offset) - offset);
    if (zlib.crc32(bytes, 0) !== index.crcAt(rank)) throw damage(offset, "it is not what was indexed");
    const header = headerAt(offset, bytes);
    const deflated = bytes.subarray(header.length);
    if (header.type < entryType.offsetDelta) {
      return { kind: kindOfType(header.type), size: header.size, deflated };
    }
    return { kind: "delta", base: baseId(offset, header, bytes), size: header.size, deflated };
  }

  function baseId(offset: number, header: EntryHeader, bytes: Uint8Array): Id {
    if (header.type === entryType.refDelta) return idFromBytes<Id>(bytes, header.baseAt);
    const place = placeOf(offset - header.distance);
    if (place === undefined) throw damage(offset, "its base is no entry");
    return index.oidAt(ranksByPlace()[place] as number);
  }
}

/** Up to here objects and deltas are inflated whole. */
const smallBytes = 1 << 20;

const longChain = 12;
const blockBytes = 1 << 16;

interface SmallDelta {
  readonly delta: Uint8Array;
  /** Where it starts, and where its base does. */
  readonly offset: number;
  readonly base: number;
  /** Bytes of the object that comes of it. */
  readonly makes: number;
}

interface Link {
  readonly offset: number;
  readonly dataAt: number;
  readonly end: number;
  readonly type: number;
  /** Of the inflated data. */
  readonly size: number;
  /** Of the object that comes of it. */
  makes: number;
}

function applyTo(base: Uint8Array, delta: Uint8Array, room: Uint8Array, offset: number): Uint8Array {
  try {
    return applyDelta(base, delta, room);
  } catch (error) {
    if (error instanceof StoreError && error.code === "malformed") throw damage(offset, error.message, error);
    throw error;
  }
}

function named<T>(offset: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof StoreError && error.code === "malformed") throw damage(offset, error.message, error);
    throw error;
  }
}

function damage(offset: number, why: string, cause?: unknown): StoreError {
  return new StoreError("corrupt", `the entry at ${offset}: ${why}`, { cause });
}
