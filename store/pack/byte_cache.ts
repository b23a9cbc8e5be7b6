/**
 * What was made, by the place of its entry, up to a bound of bytes. Two generations: what is asked for again lives on in
 * the younger one, and when that has grown to half of the bound the older one goes. Nearly the order of use, at the price
 * of one look.
 */
export interface ByteCache<T> {
  get(offset: number): T | undefined;
  /** `bytes` is what it holds; what it costs to keep is added. */
  put(offset: number, value: T, bytes: number): void;
}

export function byteCache<T>(most: number): ByteCache<T> {
  interface Kept {
    readonly value: T;
    readonly bytes: number;
  }
  let young = new Map<number, Kept>();
  let old = new Map<number, Kept>();
  let grown = 0;

  const keep = (offset: number, kept: Kept) => {
    young.set(offset, kept);
    grown += kept.bytes;
    if (grown <= most / 2) return;
    old = young;
    young = new Map();
    grown = 0;
  };
  return {
    get(offset) {
      const kept = young.get(offset);
      if (kept !== undefined) return kept.value;
      const again = old.get(offset);
      if (again === undefined) return undefined;
      old.delete(offset);
      keep(offset, again);
      return again.value;
    },
    put(offset, value, bytes) {
      if (bytes > most / 8 || young.has(offset)) return;
      old.delete(offset);
      keep(offset, { value, bytes: bytes + overhead });
    },
  };
}

/** Objects, a buffer's keeping, a place in a map. */
const overhead = 200;
