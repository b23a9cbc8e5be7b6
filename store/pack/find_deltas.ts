/**
 * Which objects of a pack to write as deltas, and on what. Objects are sorted so that those that are alike stand near
 * each other, and each is tried on those in a window before it (git's pack-heuristics). Hot when a pack is made.
 * Benchmark: tests/bench/pack_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { createDelta, deltaIndex } from "./create_delta.ts";
import type { DeltaIndex } from "./create_delta.ts";
import { entryType } from "./entry.ts";
import type { PackKind, PackObject, Pause } from "./types.ts";

/** An object that is to go into a pack, or that a thin pack may build on. */
export interface PackItem<Id extends string = string> {
  readonly id: Id;
  readonly kind: PackKind;
  /** Of its content, in bytes. */
  readonly size: number;
  /** Objects of one group are likely alike: for files, `nameHash` of the path. Near numbers are tried on each other too. */
  readonly group?: number | undefined;
}

export interface FindDeltasOptions<Id extends string = string> {
  readonly zlib: Zlib;
  /** How many objects each is tried on; 0 for none. Default 10. */
  readonly window?: number | undefined;
  /** The longest chain. Default 50. */
  readonly depth?: number | undefined;
  /** Contents and indexes held in the window; larger objects are not tried. Default 32 MiB. */
  readonly windowBytes?: number | undefined;
  /** Deltas kept for the writing; others are made again then. Default 16 MiB. */
  readonly cacheBytes?: number | undefined;
  /** Objects that the reader has already: bases for deltas, not themselves sent (a thin pack). */
  readonly thinBases?: readonly PackItem<Id>[] | undefined;
  /** The base of a delta that is stored already and will be used again: such objects are left alone. */
  readonly reused?: ((id: Id) => Id | undefined) | undefined;
  /** The pack that an object lies in: two of one pack were tried on each other when that was made, and are not again. */
  readonly packOf?: ((id: Id) => unknown) | undefined;
  readonly pause?: Pause | undefined;
}

/** A delta that was found worth it. */
export interface FoundDelta<Id extends string = string> {
  readonly base: Id;
  /** Bytes of the delta, inflated. */
  readonly size: number;
  /** Where it was kept. */
  readonly deflated: Uint8Array | undefined;
}

export interface FoundDeltas<Id extends string = string> {
  of(id: Id): FoundDelta<Id> | undefined;
  readonly count: number;
}

/** @throws {StoreError} `missing` where an object is not there, and what `read` throws */
export async function findDeltas<Id extends string>(
  items: readonly PackItem<Id>[],
  read: (id: Id) => Promise<PackObject | undefined>,
  options: FindDeltasOptions<Id>,
): Promise<FoundDeltas<Id>> {
  const { zlib, pause, thinBases = [] } = options;
  const window = options.window ?? 10;
  const deepest = options.depth ?? 50;
  const windowBytes = options.windowBytes ?? 32 * 1024 * 1024;
  const cacheBytes = options.cacheBytes ?? 16 * 1024 * 1024;
  const found = new Map<Id, FoundDelta<Id>>();
  const result: FoundDeltas<Id> = {
    of: (id) => found.get(id),
    get count() {
      return found.size;
    },
  };
  if (window === 0 || deepest === 0) return result;
  const below = await reusedDepths();
  const order = await candidates();
  let slots: Slot<Id>[] = [];
  let held = 0;
  let cached = 0;

  for (const number of order) {
    await pause?.();
    const target = number < items.length ? items[number] : thinBases[number - items.length];
    if (target === undefined) continue;
    const object = await read(target.id);
    if (object === undefined) throw new StoreError("missing", `object ${target.id} is not there`);
    const slot: Slot<Id> = {
      item: target,
      content: object.content,
      index: undefined,
      depth: 0,
      pack: options.packOf?.(target.id),
    };
    if (number < items.length) await tryOn(slot);
    slots.push(slot);
    held += slot.content.length;
    while (slots.length > window || (held > windowBytes && slots.length > 1)) {
      const [oldest] = slots;
      if (oldest === undefined) break;
      held -= oldest.content.length + (oldest.index?.bytes ?? 0);
      slots.shift();
    }
  }
  slots = [];
  return result;

  /** Tries the target on all in the window, the nearest first, and notes the shortest delta. */
  async function tryOn(target: Slot<Id>): Promise<void> {
    const size = target.content.length;
    const room = deepest - (below.get(target.item.id) ?? 0);
    let best: { readonly slot: Slot<Id>; readonly delta: Uint8Array } | undefined;
    for (let at = slots.length - 1; at >= 0; at--) {
      const slot = slots[at] as Slot<Id>;
      if (slot.item.kind !== target.item.kind) break;
      if (slot.depth >= room || (slot.pack !== undefined && slot.pack === target.pack)) continue;
      // The deeper the base, the more a delta has to save: else chains grow long for nothing (git's try_delta).
      const before = best === undefined ? Math.floor(size / 2) - 20 : best.delta.length;
      const beforeDepth = best === undefined ? 1 : best.slot.depth + 1;
      const most = Math.floor((before * (room - slot.depth)) / (room - beforeDepth + 1));
      const baseSize = slot.content.length;
      if (most <= 0 || size - baseSize >= most || size < baseSize / 32) continue;
      if (slot.index === undefined) {
        slot.index = deltaIndex(slot.content);
        held += slot.index.bytes;
      }
      const delta = createDelta(slot.index, target.content, { maxSize: most });
      await pause?.();
      if (delta === undefined) continue;
      // As short as another, but deeper: no gain.
      if (best !== undefined && delta.length === best.delta.length && slot.depth >= best.slot.depth) continue;
      best = { slot, delta };
    }
    if (best === undefined) return;
    const { slot, delta } = best;
    target.depth = slot.depth + 1;
    const deflated = zlib.deflate(delta);
    const keep = cached + deflated.length <= cacheBytes;
    if (keep) cached += deflated.length;
    found.set(target.item.id, {
      base: slot.item.id,
      size: delta.length,
      deflated: keep ? deflated : undefined,
    });
    // A good base stays in the window longer.
    slots.splice(slots.indexOf(slot), 1);
    slots.push(slot);
  }

  /** How many stored deltas hang below an object, one on the other. */
  async function reusedDepths(): Promise<Map<Id, number>> {
    const depths = new Map<Id, number>();
    if (options.reused === undefined) return depths;
    for (const { id } of items) {
      await pause?.();
      let depth = 0;
      let at: Id | undefined = id;
      // Ends where a longer chain was seen already, so also in a circle.
      while ((at = options.reused(at)) !== undefined && (depths.get(at) ?? 0) < ++depth) {
        depths.set(at, depth);
      }
    }
    return depths;
  }

  /** Numbers of the objects worth trying, like beside like; those of thin bases go on after those of items. */
  async function candidates(): Promise<Uint32Array> {
    const all = items.length + thinBases.length;
    const itemOf = (number: number) =>
      (number < items.length ? items[number] : thinBases[number - items.length]) as PackItem<Id>;
    const chosen = new Uint32Array(all);
    let count = 0;
    for (let number = 0; number < all; number++) {
      const { id, size } = itemOf(number);
      if (size < smallest || size > windowBytes / 4) continue;
      if (number < items.length && options.reused?.(id) !== undefined) continue;
      chosen[count++] = number;
    }
    await pause?.();
    return chosen.subarray(0, count).sort((a, b) => {
      const x = itemOf(a);
      const y = itemOf(b);
      return entryType[y.kind] - entryType[x.kind] || (y.group ?? 0) - (x.group ?? 0) ||
        // What the reader has comes first, that others find it in the window; then the larger, as a rule the newer.
        Number(a < items.length) - Number(b < items.length) || y.size - x.size || a - b;
    });
  }
}

/** A number for a path: near for paths that end alike (git's pack_name_hash; the last sixteen characters count). */
export function nameHash(path: string): number {
  let hash = 0;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    if (code === 0x20 || (code >= 9 && code <= 13)) continue;
    hash = ((hash >>> 2) + ((code & 0xff) << 24)) >>> 0;
  }
  return hash;
}

interface Slot<Id extends string> {
  readonly item: PackItem<Id>;
  readonly content: Uint8Array;
  index: DeltaIndex | undefined;
  depth: number;
  readonly pack: unknown;
}

/** Smaller objects gain nothing. */
const smallest = 50;
