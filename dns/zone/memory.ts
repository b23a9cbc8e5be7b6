/** Where images lie: exactly sized, in memory that all workers share. */
import type { ZoneImage } from "../image/layout.ts";
import type { Name } from "../types.ts";

/** A shared copy of the first `length` octets. */
export function octetsOf(from: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(length));
  copy.set(from.subarray(0, length));
  return copy;
}

/** A shared copy of the first `length` numbers. */
export function numbersOf(from: Int32Array, length: number): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(length * 4));
  copy.set(from.subarray(0, length));
  return copy;
}

/** A number that no other image of this process has. */
export function nextImageId(): number {
  return ++lastImageId;
}

/** An image without nodes. */
export function emptyImage(
  origin: Name,
  originWire: Uint8Array,
  originLabels: number,
  seed: number,
): ZoneImage {
  return {
    id: nextImageId(),
    origin,
    originWire,
    originLabels,
    seed,
    broken: false,
    names: octetsOf(new Uint8Array(0), 0),
    nodes: numbersOf(new Int32Array(0), 0),
    slots: numbersOf(new Int32Array(4), 4),
    rrsets: numbersOf(new Int32Array(0), 0),
    records: octetsOf(new Uint8Array(0), 0),
    recordCount: 0,
    soa: new Uint8Array(0),
    negativeSoa: new Uint8Array(0),
    soaPointers: [0, 0],
  };
}

let lastImageId = 0;
