import type { CollectionThresholds } from "../types.ts";
import type { Heaps } from "./quarantine.ts";

/** Git's `gc.auto` and `gc.autoPackLimit`. */
const defaults = { looseObjects: 6700, packs: 50 };

export async function collectionDue(heaps: Heaps, thresholds: CollectionThresholds = {}): Promise<boolean> {
  await heaps.packed.refresh();
  if (heaps.packed.packs().length > (thresholds.packs ?? defaults.packs)) return true;
  return await heaps.loose.estimate() > (thresholds.looseObjects ?? defaults.looseObjects);
}
