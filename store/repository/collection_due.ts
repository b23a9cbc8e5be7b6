import type { CollectionThresholds } from "../types.ts";
import type { Heaps } from "./quarantine.ts";

/** How many loose objects, about, and packs there are. */
export type Stock = Required<CollectionThresholds>;

export async function stockOf(heaps: Heaps): Promise<Stock> {
  await heaps.packed.refresh();
  return { looseObjects: await heaps.loose.estimate(), packs: heaps.packed.packs().length };
}

/** Whether so many came, since a collection left what it left, that another pays. */
export function isCollectionDue(stock: Stock, left: Stock, thresholds: CollectionThresholds = {}): boolean {
  const { looseObjects = defaults.looseObjects, packs = defaults.packs } = thresholds;
  return stock.looseObjects > left.looseObjects + looseObjects || stock.packs > left.packs + packs;
}

/** Git's `gc.auto` and `gc.autoPackLimit`. */
const defaults: Stock = { looseObjects: 6700, packs: 50 };
