/**
 * Reachability bitmaps for a pack that was made: with them a clone is selected without a look at any tree. Each tree is
 * read about once, in the order of history: what a commit reaches is what one before it reaches, and a little more. A
 * commit that leads out of the pack gets none. Benchmark: tests/bench/clone_bench.ts.
 */
import type { Oid, Pause } from "../types.ts";
import { decodeCommit, decodeTag } from "../object/commit.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import { type Bits, decodeEwah, encodeEwah, hasBit, newBits, setBit } from "../pack/ewah.ts";
import { idTable } from "../pack/id_table.ts";
import type { PackIndex } from "../pack/index_file.ts";
import type { PackReader } from "../pack/read_pack.ts";
import { bitmapWriter } from "../pack/write_bitmap.ts";
import type { NewSha1 } from "../object/hash.ts";
import { createFile, randomSuffix } from "./files.ts";
import type { KnownPack } from "./packed_heap.ts";
import type { Heaps } from "./quarantine.ts";

/**
 * Puts bitmaps beside a pack, for what the tips among its commits reach; says whether it did: not where a tip's history
 * leads out of the pack, where something of it cannot be read, or where there is no commit.
 */
export async function makeBitmap(
  heaps: Heaps,
  pack: KnownPack,
  tips: Iterable<Oid>,
  pause: Pause,
): Promise<boolean> {
  const { device } = heaps;
  const file = await bitmapFile(pack, tips, { newSha1: heaps.tools.newSha1, pause });
  if (file === undefined) return false;
  const path = `objects/pack/${pack.base}`;
  const temporary = `objects/pack/tmp_bitmap_${randomSuffix()}`;
  try {
    await createFile(device, temporary, file, { access: "fixed", sync: true });
    return await heaps.inTurn(async () => {
      // It was taken away meanwhile, or is another one that took its name.
      if (device.look(`${path}.pack`)?.id !== pack.id) return false;
      await device.rename(temporary, `${path}.bitmap`);
      await device.sync("objects/pack");
      return true;
    });
  } finally {
    await device.remove(temporary);
  }
}

async function bitmapFile(
  pack: KnownPack,
  tips: Iterable<Oid>,
  { newSha1, pause }: { readonly newSha1: NewSha1; readonly pause: Pause },
): Promise<Uint8Array | undefined> {
  const { index, reader } = pack;
  if (index === undefined || reader === undefined) return undefined;
  const walk = new PackWalk(pack, index, reader, pause);
  const starts: number[] = [];
  for (const tip of tips) {
    const place = walk.commitOf(tip);
    if (place !== undefined) starts.push(place);
  }
  const history = await walk.history(starts);
  if (history === undefined || history.length === 0) return undefined;
  const writer = bitmapWriter(index.count, index.packChecksum, newSha1);
  for (const place of chosen(history, new Set(starts))) {
    const reached = await walk.reach(place);
    if (reached === undefined) return undefined;
    writer.add(walk.rankAt(place), reached);
  }
  return writer.finish(await walk.kinds());
}

/**
 * The tips, and commits below them with gaps that grow towards the oldest: so refs that are moved back, and clients of git's
 * that have a part, have one near. `history` has parents before their children.
 */
function chosen(history: readonly number[], tips: ReadonlySet<number>): number[] {
  const wanted = new Set<number>();
  let manyTips = mostTips;
  for (let i = history.length - 1, next = i; i >= 0; i--) {
    const place = history[i] as number;
    if (i === next) next -= Math.max(leastGap, Math.floor((history.length - i) / 10));
    else if (!tips.has(place) || manyTips-- <= 0) continue;
    wanted.add(place);
  }
  return history.filter((place) => wanted.has(place));
}

const leastGap = 100;
/** Each costs a bit for every object while it is made. */
const mostTips = 1000;

/** Walks through the objects of one pack, by their places in its order. */
class PackWalk {
  readonly #pack: KnownPack;
  readonly #index: PackIndex<Oid>;
  readonly #reader: PackReader<Oid>;
  readonly #pause: Pause;
  readonly #ranks: Uint32Array;
  readonly #places: Uint32Array;
  readonly #find: (bytes: Uint8Array, at: number) => number | undefined;
  readonly #commits: Bits;
  readonly #trees: Bits;
  readonly #blobs: Bits;
  /** Of each commit that was read, by its place: its tree, and its parents. */
  readonly #links = new Map<number, { readonly tree: number; readonly parents: readonly number[] }>();
  /** What commits reach, by their places. Compressed: there may be many. */
  readonly #reached = new Map<number, Uint8Array>();

  constructor(pack: KnownPack, index: PackIndex<Oid>, reader: PackReader<Oid>, pause: Pause) {
    this.#pack = pack;
    this.#index = index;
    this.#reader = reader;
    this.#pause = pause;
    this.#ranks = Uint32Array.from(reader.inPackOrder());
    this.#places = new Uint32Array(index.count);
    for (let place = 0; place < index.count; place++) this.#places[this.rankAt(place)] = place;
    this.#find = idTable(index.ids, index.count).find;
    this.#commits = newBits(index.count);
    this.#trees = newBits(index.count);
    this.#blobs = newBits(index.count);
  }

  rankAt(place: number): number {
    return this.#ranks[place] as number;
  }

  placeOf(oid: Oid): number | undefined {
    const rank = this.#index.rankOf(oid);
    return rank === undefined ? undefined : this.#places[rank];
  }

  /** Where the commit is that it names, itself or by tags. */
  commitOf(tip: Oid): number | undefined {
    for (let oid = tip;;) {
      const place = this.placeOf(oid);
      const object = place === undefined ? undefined : this.#pack.readAt(this.rankAt(place));
      if (object?.kind !== "tag") return object?.kind === "commit" ? place : undefined;
      oid = decodeTag(object.content).object;
    }
  }

  /** All commits that these lead to, parents before their children; `undefined` where one leads out of the pack. */
  async history(starts: readonly number[]): Promise<number[] | undefined> {
    const order: number[] = [];
    const stack: number[] = [];
    for (const start of starts) {
      stack.push(start);
      for (let place = stack.at(-1); place !== undefined; place = stack.at(-1)) {
        await this.#pause();
        const known = this.#links.get(place);
        if (known !== undefined) {
          // Met again: all it leads to is in line before it.
          stack.pop();
          if (setBit(this.#commits, place)) order.push(place);
          continue;
        }
        const links = this.#commitAt(place);
        if (links === undefined) return undefined;
        this.#links.set(place, links);
        for (const parent of links.parents) if (!this.#links.has(parent)) stack.push(parent);
      }
    }
    return order;
  }

  #commitAt(place: number): { readonly tree: number; readonly parents: readonly number[] } | undefined {
    const object = this.#pack.readAt(this.rankAt(place));
    if (object?.kind !== "commit") return undefined;
    const commit = decodeCommit(object.content);
    const tree = this.placeOf(commit.tree);
    const parents: number[] = [];
    for (const oid of commit.parents) {
      const parent = this.placeOf(oid);
      if (parent === undefined) return undefined;
      parents.push(parent);
    }
    return tree === undefined ? undefined : { tree, parents };
  }

  /** What a commit of the history reaches; `undefined` where that leads out of the pack. */
  async reach(start: number): Promise<Bits | undefined> {
    const bits = newBits(this.#index.count);
    const roots: number[] = [];
    const stack = [start];
    // All commits before any tree: most of those were met by what is known.
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      await this.#pause();
      if (hasBit(bits, place)) continue;
      const known = this.#reached.get(place);
      if (known !== undefined) {
        union(bits, decodeEwah(new DataView(known.buffer), 0, this.#index.count));
        continue;
      }
      setBit(bits, place);
      const links = this.#links.get(place);
      if (links === undefined) return undefined;
      roots.push(links.tree);
      stack.push(...links.parents);
    }
    // The oldest first: they were put into the pack's caches last.
    for (let root = roots.pop(); root !== undefined; root = roots.pop()) {
      if (!await this.#addTree(bits, root)) return undefined;
    }
    this.#reached.set(start, encodeEwah(bits, this.#index.count));
    return bits;
  }

  async #addTree(bits: Bits, root: number): Promise<boolean> {
    const stack = setBit(bits, root) ? [root] : [];
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      await this.#pause();
      setBit(this.#trees, place);
      const object = this.#pack.readAt(this.rankAt(place));
      if (object?.kind !== "tree") return false;
      const { content } = object;
      let whole = true;
      scanTree(content, (mode, _, nameEnd) => {
        if (isGitlinkMode(mode)) return;
        const rank = this.#find(content, nameEnd + 1);
        if (rank === undefined) {
          whole = false;
          return;
        }
        const found = this.#places[rank] as number;
        if (!setBit(bits, found)) return;
        if (isTreeMode(mode)) stack.push(found);
        else setBit(this.#blobs, found);
      });
      if (!whole) return false;
    }
    return true;
  }

  /** Which entries are of each kind, those too that no chosen commit reaches. */
  async kinds(): Promise<{ commit: Bits; tree: Bits; blob: Bits; tag: Bits }> {
    const kinds = {
      commit: this.#commits,
      tree: this.#trees,
      blob: this.#blobs,
      tag: newBits(this.#index.count),
    };
    for (let place = 0; place < this.#index.count; place++) {
      await this.#pause();
      if (hasBit(kinds.commit, place) || hasBit(kinds.tree, place) || hasBit(kinds.blob, place)) continue;
      setBit(kinds[this.#reader.weigh(this.rankAt(place)).kind], place);
    }
    return kinds;
  }
}

function union(bits: Bits, more: Bits | undefined): void {
  if (more === undefined) return;
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] as number) | (more[i] as number);
}
