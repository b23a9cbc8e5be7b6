import { StoreError } from "../error.ts";
import type { PackEntries } from "./entries.ts";
import { entryType } from "./entry.ts";
import { idTable } from "./id_table.ts";

/** Which deltas wait for which base: lists in flat arrays, since there may be millions. */
export interface Children {
  /**
   * The first delta on this entry, whose id is known; `none` where there is no more. Taken once: a second time there is
   * none. `nextOf` gives those after it.
   */
  takeFirst(entry: number): number;
  nextOf(child: number): number;
  /** The bases that are named by id and were not met yet: a place in `baseIds` for each. */
  awaited(): number[];
  awaits(place: number): boolean;
}

export const none = 0xffffffff;

/** @throws {StoreError} `malformed` where there are too many entries to number */
export function groupChildren(entries: PackEntries): Children {
  const { count, types, bases, baseIds, refDeltas } = entries;
  if (count >= none) throw new StoreError("limit", `a pack of ${count} objects`);
  const next = new Uint32Array(count).fill(none);
  const byEntry = new Uint32Array(count).fill(none);
  const byId = new Uint32Array(refDeltas).fill(none);
  const table = idTable(baseIds, refDeltas);
  let left = 0;
  // From the end, so that each list is in the order of the pack.
  for (let entry = count - 1; entry >= 0; entry--) {
    if (types[entry] === entryType.offsetDelta) {
      const base = bases[entry] as number;
      next[entry] = byEntry[base] as number;
      byEntry[base] = entry;
    } else if (types[entry] === entryType.refDelta) {
      const list = table.find(baseIds, (bases[entry] as number) * 20) as number;
      if (byId[list] === none) left++;
      next[entry] = byId[list] as number;
      byId[list] = entry;
    }
  }

  /** The list of those that name the entry by its id. */
  function takeById(entry: number): number {
    if (left === 0) return none;
    const list = table.find(entries.idOf(entry), 0);
    if (list === undefined || byId[list] === none) return none;
    const head = byId[list] as number;
    byId[list] = none;
    left--;
    return head;
  }

  return {
    takeFirst(entry) {
      const byOffset = entry < count ? byEntry[entry] as number : none;
      if (entry < count) byEntry[entry] = none;
      const named = takeById(entry);
      if (byOffset === none) return named;
      if (named !== none) {
        let last = byOffset;
        while (next[last] !== none) last = next[last] as number;
        next[last] = named;
      }
      return byOffset;
    },
    nextOf: (child) => next[child] as number,
    awaited() {
      const places: number[] = [];
      for (let list = 0; list < refDeltas; list++) if (byId[list] !== none) places.push(list);
      return places;
    },
    awaits: (place) => byId[place] !== none,
  };
}
