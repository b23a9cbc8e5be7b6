/**
 * A set of object ids by their 20 bytes, for walks that meet the same few ids over and over: a string made for each
 * meeting would cost more than all the rest. Open addressing; the hash is seeded, so that ids chosen by a peer do not
 * fall into one place. Benchmark: tests/bench/transfer_bench.ts.
 */
import type { Oid } from "../types.ts";
import { oidFromBytes, writeOid } from "./oid.ts";

export class OidSet {
  #size = 0;
  #ids = new Uint8Array(64 * 20);
  /** At a hash: one more than the id's number, or 0. At most half full. */
  #places = new Uint32Array(128);
  readonly #seed = crypto.getRandomValues(new Uint32Array(3));
  readonly #one = new Uint8Array(20);

  get size(): number {
    return this.#size;
  }

  /** Says whether the id was new. */
  add(bytes: Uint8Array, at = 0): boolean {
    const place = this.#find(bytes, at);
    if (this.#places[place] !== 0) return false;
    if (this.#ids.length < (this.#size + 1) * 20) {
      const larger = new Uint8Array(this.#ids.length * 2);
      larger.set(this.#ids);
      this.#ids = larger;
    }
    for (let i = 0, to = this.#size * 20; i < 20; i++) this.#ids[to + i] = bytes[at + i] as number;
    this.#places[place] = ++this.#size;
    if (this.#size * 2 > this.#places.length) this.#grow();
    return true;
  }

  has(bytes: Uint8Array, at = 0): boolean {
    return this.#places[this.#find(bytes, at)] !== 0;
  }

  /** How many were added before this one; -1 where it is not there. */
  numberOf(bytes: Uint8Array, at = 0): number {
    return (this.#places[this.#find(bytes, at)] as number) - 1;
  }

  numberOfOid(oid: Oid): number {
    writeOid(oid, this.#one, 0);
    return this.numberOf(this.#one);
  }

  /** The ids in the order in which they were added, 20 bytes each; to be asked for anew once more were added. */
  get ids(): Uint8Array {
    return this.#ids;
  }

  oidAt(number: number): Oid {
    if (number < 0 || number >= this.#size) {
      throw new RangeError(`a set of ${this.#size} ids has no ${number}th`);
    }
    return oidFromBytes(this.#ids, number * 20);
  }

  addOid(oid: Oid): boolean {
    writeOid(oid, this.#one, 0);
    return this.add(this.#one);
  }

  hasOid(oid: Oid): boolean {
    writeOid(oid, this.#one, 0);
    return this.has(this.#one);
  }

  /** In the order in which they were added. */
  *oids(): Iterable<Oid> {
    for (let number = 0; number < this.#size; number++) yield oidFromBytes(this.#ids, number * 20);
  }

  /** Where the id is, or where it would be put. */
  #find(bytes: Uint8Array, at: number): number {
    const mask = this.#places.length - 1;
    let place = this.#hash(bytes, at) & mask;
    for (;;) {
      const number = this.#places[place] as number;
      if (number === 0 || same(this.#ids, (number - 1) * 20, bytes, at)) return place;
      place = (place + 1) & mask;
    }
  }

  #hash(bytes: Uint8Array, at: number): number {
    const seed = this.#seed;
    const mixed = Math.imul(word(bytes, at) ^ (seed[0] as number), 0x9e3779b1) ^
      Math.imul(word(bytes, at + 8) ^ (seed[1] as number), 0x85ebca6b) ^
      Math.imul(word(bytes, at + 16) ^ (seed[2] as number), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  #grow(): void {
    this.#places = new Uint32Array(this.#places.length * 2);
    for (let number = 0; number < this.#size; number++) {
      this.#places[this.#find(this.#ids, number * 20)] = number + 1;
    }
  }
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number);
}

function same(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): boolean {
  for (let i = 0; i < 20; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
