import type { CollectionReport, CollectOptions, Refs, ShallowCommits } from "../types.ts";
import { StoreError } from "../types.ts";
import type { Heaps } from "./quarantine.ts";
import type { Reliance } from "./reliance.ts";

export interface CollectionRoots {
  readonly refs: Refs;
  readonly shallow: ShallowCommits;
  readonly reliance: Reliance;
}

export function collect(
  _heaps: Heaps,
  _roots: CollectionRoots,
  _options: CollectOptions,
): Promise<CollectionReport> {
  return Promise.reject(new StoreError("io", "not yet"));
}
