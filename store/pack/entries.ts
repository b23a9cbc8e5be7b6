import { entryType } from "./entry.ts";
import type { PackKind } from "./types.ts";

/**
 * What is known of a pack's entries, in the order of the pack: some forty bytes an entry, in flat arrays. They grow as
 * entries come, never on a declared count alone.
 */
export class PackEntries {
  count = 0;
  /** Where the last entry ends; every other ends where the next one starts. */
  end = 0;
  offsets = new Float64Array(first);
  /** As in the pack; once resolved, a delta has its object's type here. */
  types = new Uint8Array(first);
  /** Of the inflated data, in bytes; what is larger than this can hold has the most it can hold. */
  sizes = new Uint32Array(first);
  crcs = new Uint32Array(first);
  /** For an offset delta its base's number, for a ref delta its base's place in `baseIds`. */
  bases = new Uint32Array(first);
  /** 20 bytes a ref delta. */
  baseIds = new Uint8Array(first);
  refDeltas = 0;
  #ids = new Uint8Array(20 * first);
  #unresolved = 0;

  /** `expected` is the count that is likely, by which room is made; it is believed only so far as entries came. */
  add(
    entry: {
      readonly offset: number;
      readonly end: number;
      readonly type: number;
      readonly size: number;
      readonly crc: number;
      /** Of an offset delta: its base's number. */
      readonly base?: number;
      readonly baseOid: Uint8Array | undefined;
    },
    expected: number,
  ): number {
    const number = this.count++;
    if (number === this.types.length) this.#grow(Math.max(Math.min(number * 2, expected), number + first));
    this.offsets[number] = entry.offset;
    this.types[number] = entry.type;
    this.sizes[number] = Math.min(entry.size, 0xffffffff);
    this.crcs[number] = entry.crc;
    this.end = entry.end;
    if (entry.baseOid !== undefined) {
      const at = this.refDeltas * 20;
      if (at + 20 > this.baseIds.length) this.baseIds = enlarged(this.baseIds, this.baseIds.length * 2);
      this.baseIds.set(entry.baseOid, at);
      this.bases[number] = this.refDeltas++;
    } else if (entry.base !== undefined) {
      this.bases[number] = entry.base;
    }
    if (entry.type >= entryType.offsetDelta) this.#unresolved++;
    return number;
  }

  /** Notes what an entry turned out to be. */
  setObject(entry: number, kind: PackKind, id: Uint8Array): void {
    if ((this.types[entry] as number) >= entryType.offsetDelta) this.#unresolved--;
    this.types[entry] = entryType[kind];
    this.#ids.set(id, entry * 20);
  }

  idOf(entry: number): Uint8Array {
    return this.#ids.subarray(entry * 20, entry * 20 + 20);
  }

  ids(): Uint8Array {
    return this.#ids.subarray(0, this.count * 20);
  }

  endOf(entry: number): number {
    return entry + 1 < this.count ? this.offsets[entry + 1] as number : this.end;
  }

  /** How many deltas are still just that. */
  unresolved(): number {
    return this.#unresolved;
  }

  /** The entry that starts at this offset. */
  entryAt(offset: number): number | undefined {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const at = this.offsets[middle] as number;
      if (at === offset) return middle;
      if (at < offset) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  #grow(capacity: number): void {
    const offsets = new Float64Array(capacity);
    offsets.set(this.offsets);
    this.offsets = offsets;
    this.types = enlarged(this.types, capacity);
    this.#ids = enlarged(this.#ids, capacity * 20);
    for (const name of ["sizes", "crcs", "bases"] as const) {
      const larger = new Uint32Array(capacity);
      larger.set(this[name]);
      this[name] = larger;
    }
  }
}

const first = 64;

function enlarged(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(length);
  larger.set(bytes);
  return larger;
}
