import type { PackObject } from "./types.ts";

/** Objects by the place of their entry, up to a bound of bytes; those not used for the longest time go first. */
export interface BaseCache {
  get(offset: number): PackObject | undefined;
  put(offset: number, object: PackObject): void;
}

export function baseCache(cacheBytes: number): BaseCache {
  const kept = new Map<number, PackObject>();
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
      bytes += object.content.length + overhead;
      for (const [oldest, { content }] of kept) {
        if (bytes <= cacheBytes) break;
        kept.delete(oldest);
        bytes -= content.length + overhead;
      }
    },
  };
}

/** What an object costs beside its content: two objects, a buffer's keeping, a place in the map. */
const overhead = 200;
