/** Images without cells, and copies in memory that all workers share. */
import { CELL, type ZoneImage } from "../image/layout.ts";
import type { Name } from "../types.ts";

/** A shared copy, which is the whole of its memory. */
export function shared(from: Uint8Array): Uint8Array {
  const copy = new Uint8Array(new SharedArrayBuffer(from.length));
  copy.set(from);
  return copy;
}

/** A shared copy, which is the whole of its memory. */
export function sharedNumbers(from: Int32Array): Int32Array {
  const copy = new Int32Array(new SharedArrayBuffer(from.length * 4));
  copy.set(from);
  return copy;
}

/** No numbers. */
export const NONE = new Int32Array(new SharedArrayBuffer(0));

/** A number that no other image of this process has. */
export function nextImageId(): number {
  return ++lastImageId;
}

/** The image of a zone that was never good. */
export function emptyImage(
  origin: Name,
  originWire: Uint8Array,
  originLabels: number,
  seed: number,
): ZoneImage {
  const buffer = new SharedArrayBuffer(0);
  return {
    id: nextImageId(),
    origin,
    originWire,
    originLabels,
    seed,
    broken: true,
    bytes: new Uint8Array(buffer),
    words: new Int32Array(buffer),
    view: new DataView(buffer),
    slots: NONE,
    patches: NONE,
    apex: 0,
    headWords: CELL.size,
    serial: 0,
    negativeTtl: 0,
    recordCount: 0,
    denial: undefined,
  };
}

let lastImageId = 0;
