import type { CollectionThresholds } from "../types.ts";
import { isMuchUnmapped } from "./collection_plan.ts";
import type { Heaps } from "./quarantine.ts";

/**
 * How many loose objects, about, and packs there are; and how many objects are in packs without reachability bitmaps, 0
 * where those are too few beside the others to matter.
 */
export type Stock = Required<CollectionThresholds>;

export async function stockOf(heaps: Heaps): Promise<Stock> {
  await heaps.packed.refresh();
  const packs = heaps.packed.packs();
  let mapped = 0;
  let packed = 0;
  for (const pack of packs) {
    const count = pack.index?.count ?? 0;
    packed += count;
    if (pack.hasBitmap()) mapped = Math.max(mapped, count);
  }
  return {
    looseObjects: await heaps.loose.estimate(),
    packs: packs.length,
    unmappedObjects: isMuchUnmapped(packed - mapped, mapped) ? packed - mapped : 0,
  };
}

/** Whether so many came, since a collection left what it left, that another pays. */
export function isCollectionDue(stock: Stock, left: Stock, thresholds: CollectionThresholds = {}): boolean {
  return (["looseObjects", "packs", "unmappedObjects"] as const).some((what) =>
    stock[what] > left[what] + (thresholds[what] ?? defaults[what])
  );
}

/** Git's `gc.auto` and `gc.autoPackLimit`; with fewer objects than the last, a clone is quick without bitmaps too. */
const defaults: Stock = { looseObjects: 6700, packs: 50, unmappedObjects: 20_000 };
