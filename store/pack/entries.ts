import type { PackKind } from "./types.ts";
import { entryType } from "./entry.ts";

/** What is known of a pack's entries, in the order of the pack; grows as they come, never on a declared count. */
export class PackEntries {
  count = 0;
  readonly offsets: number[] = [];
  readonly ends: number[] = [];
  /** As in the pack; once resolved, a delta has its object's type here. */
  readonly types: number[] = [];
  readonly crcs: number[] = [];
  readonly baseOffsets: number[] = [];
  readonly baseOids: (Uint8Array | undefined)[] = [];
  #oids = new Uint8Array(20 * 64);
  #unresolved = 0;

  add(entry: {
    readonly offset: number;
    readonly end: number;
    readonly type: number;
    readonly crc: number;
    readonly baseOffset: number;
    readonly baseOid: Uint8Array | undefined;
  }): number {
    const index = this.count++;
    this.offsets.push(entry.offset);
    this.ends.push(entry.end);
    this.types.push(entry.type);
    this.crcs.push(entry.crc);
    this.baseOffsets.push(entry.baseOffset);
    this.baseOids.push(entry.baseOid);
    if (entry.type >= entryType.offsetDelta) this.#unresolved++;
    if (this.#oids.length < this.count * 20) {
      const larger = new Uint8Array(this.#oids.length * 2);
      larger.set(this.#oids);
      this.#oids = larger;
    }
    return index;
  }

  /** Notes what an entry turned out to be. */
  setObject(entry: number, kind: PackKind, oid: Uint8Array): void {
    if ((this.types[entry] ?? 0) >= entryType.offsetDelta) this.#unresolved--;
    this.types[entry] = entryType[kind];
    this.#oids.set(oid, entry * 20);
  }

  oid(entry: number): Uint8Array {
    return this.#oids.subarray(entry * 20, entry * 20 + 20);
  }

  oids(): Uint8Array {
    return this.#oids.subarray(0, this.count * 20);
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
      const at = this.offsets[middle] ?? 0;
      if (at === offset) return middle;
      if (at < offset) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }
}
