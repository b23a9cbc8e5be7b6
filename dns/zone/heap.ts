/** The memory of an image while it is written: the heap of cells, and what the main thread alone knows about it. */
import {
  CELL,
  cellOfSlot,
  type Cells,
  ENTRY,
  EXTRA,
  FLAG,
  labelAt,
  MOST,
  type ZoneImage,
} from "../image/layout.ts";
import { following, hashLabel, type NameScan, scanName, spread } from "../image/scan.ts";

/** A heap that still grows. */
export interface Heap {
  bytes: Uint8Array;
  words: Int32Array;
  headWords: number;
  /** Words in use; even. The first two are never a cell, so that 0 can mean "none". */
  end: number;
}

/** Octets of the largest heap: a slot has 26 bits for a cell, and cells stand at every eighth octet. */
export const MAX_HEAP_OCTETS = MOST.cells * 8;

export function createHeap(octets: number, headWords: number): Heap {
  const size = Math.min(MAX_HEAP_OCTETS, Math.max(256, octets + 7 & ~7));
  const buffer = new SharedArrayBuffer(size);
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), headWords, end: 2 };
}

/** Sees to it that so many octets more can be written; false when no heap is that large. */
export function makeRoom(heap: Heap, octets: number): boolean {
  const needed = (heap.end << 2 >>> 0) + octets;
  if (needed <= heap.bytes.length) return true;
  if (needed > MAX_HEAP_OCTETS) return false;
  let size = heap.bytes.length;
  while (size < needed) size *= 2;
  resizeHeap(heap, size);
  return true;
}

export function resizeHeap(heap: Heap, octets: number): void {
  const larger = createHeap(octets, heap.headWords);
  larger.words.set(heap.words.subarray(0, heap.end));
  heap.bytes = larger.bytes;
  heap.words = larger.words;
}

/** Room that a heap is given for the patches to come: as much again for a small one, an eighth for a large one. */
export function slackFor(octets: number): number {
  return Math.max(Math.min(octets, 1 << 20), octets >>> 3, 1 << 11);
}

/** Octets of a cell with all its blobs. */
function cellOctets(cells: Cells, cell: number): number {
  const { words, bytes } = cells;
  const rrsets = words[cell + CELL.head] >>> 8 & 0xff;
  if (rrsets === 0) return labelAt(cells, cell) + labelOctets(cells, cell) - (cell << 2);
  const entry = cell + cells.headWords + (rrsets - 1) * ENTRY.size;
  const shape = words[entry + ENTRY.octetsAndExtras];
  let end = words[entry + ENTRY.start] + (shape & 0xff_ffff);
  const base = cell << 2;
  if ((shape & EXTRA.fixups) !== 0) end += 2 + 2 * (bytes[base + end] << 8 | bytes[base + end + 1]);
  if ((shape & EXTRA.signatures) !== 0) end += 6 + uint32At(bytes, base + end + 2);
  if ((shape & EXTRA.targets) !== 0) end += 4 * (words[entry] & 0xffff);
  return end;
}

/** Words that a cell takes up, an even number. */
export function cellWords(cells: Cells, cell: number): number {
  return cellOctets(cells, cell) + 7 >>> 3 << 1;
}

/** Octets of a cell's label: of the apex, which has no parent, its whole name. */
export function labelOctets(cells: Cells, cell: number): number {
  return cells.words[cell + CELL.parent] === 0
    ? nameOctets(cells, cell)
    : 1 + cells.bytes[labelAt(cells, cell)];
}

/** Octets of a cell's whole name. */
export function nameOctets(cells: Cells, cell: number): number {
  return cells.words[cell + CELL.head] >>> 16 & 0xff;
}

/** Writes a cell's whole name; gives the offset behind it. */
export function writeCellName(cells: Cells, cell: number, into: Uint8Array, offset: number): number {
  let at = offset;
  for (let up = cell; up !== 0; up = cells.words[up + CELL.parent]) {
    const from = labelAt(cells, up);
    const octets = labelOctets(cells, up);
    for (let i = 0; i < octets; i++) into[at + i] = cells.bytes[from + i];
    at += octets;
  }
  return at;
}

const nameBuffer = new Uint8Array(256);

/** Reads the name of a cell into a scan. */
export function scanCell(cells: Cells, cell: number, into: NameScan, seed: number): void {
  scanName(into, nameBuffer, 0, writeCellName(cells, cell, nameBuffer, 0), seed);
}

/** Where blobs keep their extras: offsets in `bytes`, 0 for what an RRset has not. */
export const extras = {
  fixups: 0,
  fixupCount: 0,
  signatures: 0,
  signatureCount: 0,
  signatureOctets: 0,
  targets: 0,
};

/** Finds the extras of an RRset; the answer stands in `extras`. */
export function findExtras(cells: Cells, cell: number, entry: number): void {
  const { words, bytes } = cells;
  const shape = words[entry + ENTRY.octetsAndExtras];
  let at = (cell << 2) + words[entry + ENTRY.start] + (shape & 0xff_ffff);
  extras.fixups = extras.signatures = extras.targets = 0;
  extras.fixupCount = extras.signatureCount = extras.signatureOctets = 0;
  if ((shape & EXTRA.fixups) !== 0) {
    extras.fixupCount = bytes[at] << 8 | bytes[at + 1];
    extras.fixups = at + 2;
    at += 2 + 2 * extras.fixupCount;
  }
  if ((shape & EXTRA.signatures) !== 0) {
    extras.signatureCount = bytes[at] << 8 | bytes[at + 1];
    extras.signatureOctets = uint32At(bytes, at + 2);
    extras.signatures = at + 6;
    at += 6 + extras.signatureOctets;
  }
  if ((shape & EXTRA.targets) !== 0) extras.targets = at;
}

/** An index with room for so many cells. */
export function createSlots(cells: number): Int32Array {
  return new Int32Array(slotsFor(cells));
}

/** As `createSlots`, for good: in memory that all workers see. */
export function createSharedSlots(cells: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(slotsFor(cells) * 4));
}

function slotsFor(cells: number): number {
  return Math.max(8, Math.ceil(cells / MAX_LOAD) + 1);
}

/** A search in an index that is fuller than this takes too long. */
export const MAX_LOAD = 0.7;

/**
 * Whether an index has no name of so many octets whose first label is the one at `label` of the heap, be it below the same
 * parent or another.
 */
export function isFree(
  { words, bytes, headWords }: Cells,
  slots: Int32Array,
  hash: number,
  octets: number,
  label: number,
): boolean {
  const size = slots.length;
  const tag = hash & 0xfc00_0000;
  for (let at = spread(hash, size);; at = following(at, size)) {
    const slot = slots[at];
    if (slot === 0) return true;
    if ((slot & 0xfc00_0000) !== tag) continue;
    const cell = cellOfSlot(slot);
    const head = words[cell + CELL.head];
    if ((head >>> 16 & 0xff) !== octets) continue;
    const other = cell + headWords + (head >>> 8 & 0xff) * ENTRY.size << 2;
    let i = 0;
    while (i <= bytes[label] && bytes[other + i] === bytes[label + i]) i++;
    if (i > bytes[label]) return false;
  }
}

/** Orders of labels: as octets, and the shorter first. */
export const ORDER = { octets: 1, length: 2, any: 3 } as const;

/** The orders in which one label stands truly before another. */
export function ordersOf(bytes: Uint8Array, before: number, after: number): number {
  const left = bytes[before];
  const right = bytes[after];
  const most = left < right ? left : right;
  let i = 1;
  while (i <= most && bytes[before + i] === bytes[after + i]) i++;
  if (i > most) return left < right ? ORDER.any : 0;
  const octets = bytes[before + i] < bytes[after + i] ? ORDER.octets : 0;
  return octets | (left < right || (left === right && octets !== 0) ? ORDER.length : 0);
}

/** Puts a cell that is not there yet into an index. */
export function place(slots: Int32Array, slot: number, hash: number): void {
  const size = slots.length;
  let at = spread(hash, size);
  while (slots[at] !== 0) at = following(at, size);
  slots[at] = slot;
}

/** Puts another cell in the place of one; both have the name that `hash` is of. */
export function replaceSlot(slots: Int32Array, before: number, after: number, hash: number): void {
  const size = slots.length;
  let at = spread(hash, size);
  while (slots[at] !== before) at = following(at, size);
  slots[at] = after;
}

/** Hashes of cells one after the other; cheap where neighbours have one parent. */
export function createCellHasher(cells: Cells, apexHash: number): (cell: number) => number {
  let lastParent = 0;
  let lastHash = 0;
  return hashOf;

  function hashOf(cell: number): number {
    const parent = cells.words[cell + CELL.parent];
    if (parent === 0) return apexHash;
    if (parent !== lastParent) {
      lastHash = hashOf(parent);
      lastParent = parent;
    }
    return hashLabel(lastHash, cells.bytes, labelAt(cells, cell));
  }
}

/** A cell that was written again elsewhere while its heap was made; nothing leads to it. */
export function isDead(cells: Cells, cell: number): boolean {
  return (cells.words[cell + CELL.head] & FLAG.gone) !== 0;
}

/** What the main thread knows of a heap, besides what its versions say. */
export interface HeapState {
  /** Where the cells of the base end, in words. */
  readonly baseEnd: number;
  /** Where the newest version's end. */
  end: number;
}

const states = new WeakMap<ArrayBufferLike, HeapState>();

export function keepState(image: Pick<ZoneImage, "bytes">, state: HeapState): void {
  states.set(image.bytes.buffer, state);
}

/** @throws {Error} for an image of another thread: only where it was made can it be walked or changed */
export function stateOf(image: Pick<ZoneImage, "bytes">): HeapState {
  const state = states.get(image.bytes.buffer);
  if (state === undefined) throw new Error("an image can be changed only in the thread that made it");
  return state;
}

export function uint32At(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Gives memory back at once, not only when the garbage collector comes by. */
export function release({ buffer }: Uint8Array | Int32Array): void {
  if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
