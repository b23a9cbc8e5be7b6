/**
 * Reading for walks out of the entries that packs hold. Hot when a clone is served: an entry was compared with its CRC when
 * it was looked up, so what is inflated from it is not hashed once more; and of a tree that is a delta on a tree already
 * seen only what the delta changes is looked at, since all the rest of it was met before.
 * Benchmark: tests/bench/clone_bench.ts.
 */
import { oidFromBytes } from "../../object/oid.ts";
import { scanTree } from "../../object/tree_scan.ts";
import { applyDelta, deltaSizes } from "../../pack/delta.ts";
import { decodeEntryHeader, entryType } from "../../pack/entry.ts";
import type { PackReader } from "../../pack/read_pack.ts";
import type { PackSource } from "../../pack/write_pack.ts";
import type { ObjectKind, ObjectReader, Oid, StoredEntry } from "../../types.ts";
import { StoreError } from "../../types.ts";
import type { Inflater, Zlib } from "../../zlib/zlib.ts";
import type { StreamSource } from "./pack_stream.ts";

/** Reads like the source it has below it, and what lies whole in a pack without hashing it. */
export function storedObjects<T extends ObjectReader & PackSource<Oid>>(source: T, zlib: Zlib): ObjectReader {
  return {
    has: (oid) => source.has(oid),
    read(oid) {
      const entry = source.storedEntry?.(oid);
      if (entry !== undefined && entry.kind !== "delta") {
        const content = inflated(entry, zlib);
        if (content !== undefined) return Promise.resolve({ kind: entry.kind, content });
      }
      return source.read(oid);
    },
  };
}

/** An entry of a tree: its mode, its name's place in `content`, its id's 20 bytes at nameEnd + 1. */
export type VisitTree = (content: Uint8Array, mode: number, nameAt: number, nameEnd: number) => void;

/** Trees for one walk. Ids are given as 20 bytes at a place. */
export class TreeReader {
  readonly #source: ObjectReader & StreamSource;
  readonly #inflater: Inflater | undefined;
  readonly #packs: readonly WalkedPack[];
  readonly #room = new Slabs();

  /** Without zlib every tree is read as any object is. */
  constructor(source: ObjectReader & StreamSource, zlib: Zlib | undefined) {
    this.#source = source;
    this.#inflater = zlib?.inflater();
    this.#packs = zlib === undefined ? [] : (source.packReaders?.() ?? []).map(walkedPack);
  }

  /**
   * Shows the entries of a tree, but for those that it shares with a tree that `seen` knows; where it could not be told
   * which those are, all. Gives the kind of what is no tree. @throws {StoreError} `missing`, `corrupt`, `malformed`
   */
  visit(
    ids: Uint8Array,
    at: number,
    seen: (ids: Uint8Array, at: number) => boolean,
    visit: VisitTree,
  ): ObjectKind | Promise<ObjectKind> {
    for (const pack of this.#packs) {
      const rank = pack.rankOf(ids, at);
      const tree = rank < 0 ? undefined : this.#stored(pack, rank);
      if (tree === undefined) continue;
      const all = tree.base < 0 || !seen(pack.reader.index.ids, tree.base * 20);
      visitEntries(tree, all ? 0 : tree.from, all ? tree.starts.length - 1 : tree.to, visit);
      return "tree";
    }
    return this.#visitRead(oidFromBytes(ids, at), visit);
  }

  async #visitRead(oid: Oid, visit: VisitTree): Promise<ObjectKind> {
    const object = await this.#source.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    const { kind, content } = object;
    if (kind === "tree") scanTree(content, (mode, nameAt, nameEnd) => visit(content, mode, nameAt, nameEnd));
    return kind;
  }

  /** Out of a pack, where that can be done with little; what is wrong with an entry is told by whoever reads the object. */
  #stored(pack: WalkedPack, wanted: number): Tree | undefined {
    try {
      return this.#built(pack, wanted);
    } catch (error) {
      if (error instanceof Error) return undefined;
      throw error;
    }
  }

  #built(pack: WalkedPack, wanted: number): Tree | undefined {
    const inflater = this.#inflater;
    if (inflater === undefined) return undefined;
    const { reader } = pack;
    const { index } = reader;
    const chain: { readonly rank: number; readonly delta: Uint8Array }[] = [];
    let rank = wanted;
    let tree = pack.kept.get(rank);
    while (tree === undefined) {
      const start = index.offsetAt(rank);
      const length = reader.endOf(rank) - start;
      if (length > SMALL || chain.length > DEEPEST) return undefined;
      const entry = reader.map(start, length);
      const header = decodeEntryHeader(entry, 0, length);
      if (header === undefined || header.size > SMALL) return undefined;
      // With room for one byte more, or the end of the stream would not be seen.
      const room = this.#room.bytes(header.size + 1);
      inflater.reset();
      const done = inflater.push(entry.subarray(header.length), room);
      if (done.state !== "done" || done.produced !== header.size) return undefined;
      const data = room.subarray(0, header.size);
      if (header.type === entryType.tree) {
        tree = wholeTree(data);
        pack.kept.keep(rank, tree);
        break;
      }
      if (header.type !== entryType.offsetDelta && header.type !== entryType.refDelta) return undefined;
      if (deltaSizes(data).result > SMALL) return undefined;
      chain.push({ rank, delta: data });
      const base = header.type === entryType.offsetDelta
        ? reader.rankAt(start - header.distance)
        : pack.rankOf(entry, header.baseAt);
      if (base === undefined || base < 0) return undefined;
      rank = base;
      tree = pack.kept.get(rank);
    }
    for (let link = chain.pop(); link !== undefined; link = chain.pop()) {
      tree = changedTree(rank, tree, link.delta, this.#room);
      rank = link.rank;
      pack.kept.keep(rank, tree);
    }
    return tree;
  }
}

/** A pack that trees are read out of, and those that were. */
interface WalkedPack {
  readonly reader: PackReader<Oid>;
  /** -1 for what it has not. */
  rankOf(ids: Uint8Array, at: number): number;
  readonly kept: Kept;
}

function walkedPack(reader: PackReader<Oid>): WalkedPack {
  const { ids, count } = reader.index;
  // The first two bytes leave next to nothing to search; for a small pack the table would cost more than it saves.
  const shift = count > 8192 ? 0 : 8;
  const firstOf = (bytes: Uint8Array, at: number) => (bytes[at] * 256 + bytes[at + 1]) >>> shift;
  const places = 65536 >>> shift;
  const fanOut = new Uint32Array(places + 1);
  for (let rank = 0; rank < count; rank++) fanOut[firstOf(ids, rank * 20) + 1] = rank + 1;
  for (let first = 1; first <= places; first++) fanOut[first] = Math.max(fanOut[first], fanOut[first - 1]);
  return {
    reader,
    kept: new Kept(),
    rankOf(wanted, at) {
      const first = firstOf(wanted, at);
      let low = fanOut[first];
      let high = fanOut[first + 1];
      while (low < high) {
        const middle = (low + high) >>> 1;
        let difference = 0;
        for (let i = 0; i < 20 && difference === 0; i++) difference = ids[middle * 20 + i] - wanted[at + i];
        if (difference === 0) return middle;
        if (difference < 0) low = middle + 1;
        else high = middle;
      }
      return -1;
    },
  };
}

/** Trees for a while after they were read, by rank. */
class Kept {
  #kept = new Map<number, Tree>();
  /** What was kept before: given up as a whole, so that nothing is spent on choosing. */
  #before = new Map<number, Tree>();
  #bytes = 0;

  get(rank: number): Tree | undefined {
    return this.#kept.get(rank) ?? this.#before.get(rank);
  }

  keep(rank: number, tree: Tree): void {
    this.#kept.set(rank, tree);
    this.#bytes += tree.content.length + tree.starts.byteLength + 200;
    if (this.#bytes <= KEPT_BYTES) return;
    this.#before = this.#kept;
    this.#kept = new Map();
    this.#bytes = 0;
  }
}

interface Tree {
  readonly content: Uint8Array;
  /** Where its entries start, and at last where they end. */
  readonly starts: Uint32Array;
  /** The rank of the tree that it is a delta on, or -1: the two have the same entries but for `from` to before `to`. */
  readonly base: number;
  readonly from: number;
  readonly to: number;
}

function wholeTree(content: Uint8Array): Tree {
  return { content, starts: startsOf(content, 0, content.length).slice(), base: -1, from: 0, to: 0 };
}

/** What a delta makes of a tree. Only what lies between the two ends that it leaves alone is taken apart anew. */
function changedTree(
  base: number,
  { content: old, starts: before }: Tree,
  delta: Uint8Array,
  room: Slabs,
): Tree {
  const content = applyDelta(old, delta, room.bytes(deltaSizes(delta).result));
  const ends = sameEnds(delta, old.length, content.length);
  const shift = content.length - old.length;
  const count = before.length - 1;
  // An entry is the same where it lies whole in an end that is the same.
  let first = count;
  while (first > 0 && (before[first] as number) > ends.front) first--;
  let last = first;
  while (last < count && (before[last] as number) < old.length - ends.back) last++;
  const from = before[first] as number;
  const to = (before[last] as number) + shift;
  if ((before[last] as number) < old.length - ends.back || to < from) return wholeTree(content);
  const between = startsOf(content, from, to);
  const starts = room.numbers(first + between.length + count - last);
  starts.set(before.subarray(0, first));
  starts.set(between, first);
  for (let i = last + 1, out = first + between.length; i <= count; i++) {
    starts[out++] = (before[i] as number) + shift;
  }
  return { content, starts, base, from: first, to: first + between.length - 1 };
}

/**
 * Starts of the entries in a part of a tree that holds whole ones, and the part's end; good until the next call.
 * @throws {StoreError} `malformed`
 */
function startsOf(content: Uint8Array, from: number, to: number): Uint32Array {
  let count = 0;
  startsRoom[count++] = from;
  for (let at = from; at < to;) {
    const nameEnd = content.indexOf(0, at);
    at = nameEnd + 21;
    if (nameEnd < 0 || at > to) throw new StoreError("malformed", "a tree entry is cut short");
    if (count === startsRoom.length) {
      const larger = new Uint32Array(count * 2);
      larger.set(startsRoom);
      startsRoom = larger;
    }
    startsRoom[count++] = at;
  }
  return startsRoom.subarray(0, count);
}

let startsRoom = new Uint32Array(1024);

function visitEntries({ content, starts }: Tree, from: number, to: number, visit: VisitTree): void {
  if (from >= to) return;
  const at = starts[from] as number;
  const part = content.subarray(at, starts[to]);
  scanTree(part, (mode, nameAt, nameEnd) => visit(part, mode, nameAt, nameEnd));
}

/** How many bytes at the front and at the back are the base's own, by the delta's first and last instruction. */
function sameEnds(delta: Uint8Array, oldLength: number, newLength: number): { front: number; back: number } {
  let { at } = deltaSizes(delta);
  let front = 0;
  let back = 0;
  for (let first = true; at < delta.length; first = false) {
    const op = delta[at++] as number;
    if ((op & 0x80) === 0) {
      at += op;
      back = 0;
      continue;
    }
    let offset = 0;
    let size = 0;
    if (op & 0x01) offset = delta[at++] as number;
    if (op & 0x02) offset |= (delta[at++] as number) << 8;
    if (op & 0x04) offset |= (delta[at++] as number) << 16;
    if (op & 0x08) offset += (delta[at++] as number) * 0x1000000;
    if (op & 0x10) size = delta[at++] as number;
    if (op & 0x20) size |= (delta[at++] as number) << 8;
    if (op & 0x40) size |= (delta[at++] as number) << 16;
    if (size === 0) size = 0x10000;
    if (first && offset === 0) front = size;
    back = offset + size === oldLength ? size : 0;
  }
  // The two may meet or overlap, where something was put in or taken out that repeats what is beside it.
  return { front, back: Math.min(back, Math.min(oldLength, newLength) - front) };
}

/** The content of an entry; `undefined` where it is large or damaged, and the source itself has to say so. */
function inflated({ deflated, size }: StoredEntry, zlib: Zlib): Uint8Array | undefined {
  if (size > SMALL) return undefined;
  const done = zlib.inflate(deflated, size);
  return done.state === "done" && done.output.length === size ? done.output : undefined;
}

/** Room for many small arrays in few large ones, since each buffer of its own costs more than what is put in it. */
class Slabs {
  #bytes = new Uint8Array(0);
  #numbers = new Uint32Array(0);

  bytes(length: number): Uint8Array<ArrayBuffer> {
    if (this.#bytes.length < length) this.#bytes = new Uint8Array(Math.max(length, SLAB));
    const room = this.#bytes.subarray(0, length);
    this.#bytes = this.#bytes.subarray(length);
    return room;
  }

  numbers(length: number): Uint32Array {
    if (this.#numbers.length < length) this.#numbers = new Uint32Array(Math.max(length, SLAB / 4));
    const room = this.#numbers.subarray(0, length);
    this.#numbers = this.#numbers.subarray(length);
    return room;
  }
}

const SLAB = 1 << 20;
const SMALL = 1 << 20;
/** Longer chains of deltas are left to the source, which knows what is too long. */
const DEEPEST = 4096;
/** Twice as much is kept at most. */
const KEPT_BYTES = 8 << 20;
