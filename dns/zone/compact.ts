/**
 * A base of its own for a version that lies over an older one: its cells copied together, what nothing leads to left
 * behind. In slices, so that it can go on beside other work.
 */
import type { Result } from "../../conduit/mod.ts";
import { CELL, cellOfSlot, FLAG, probe, slotOf, type ZoneImage } from "../image/layout.ts";
import { createNameScan, scanName } from "../image/scan.ts";
import type { ZoneError } from "./builder.ts";
import { changedOwners } from "./diff.ts";
import {
  cellWords,
  createCellHasher,
  createHeap,
  createSharedSlots,
  isDead,
  keepState,
  place,
  release,
  scanCell,
  slackFor,
  stateOf,
} from "./heap.ts";
import { copyCell, resolveTargets } from "./links.ts";
import { nextImageId, NONE } from "./memory.ts";
import { cellAt } from "./read.ts";
import { openZone, type Zone } from "./zone.ts";

/** Compacts at once. */
export function compactedZone(zone: Zone): Zone {
  const steps = compaction(zone);
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/**
 * Makes a zone with the same content that shares nothing with `zone`. Each step takes about a millisecond; between steps
 * anything may happen, patches of `zone` among it, which `rebase` then carries over. A zone with a chain of denial, or
 * over which nothing lies, is given back as it is.
 */
export function* compaction(zone: Zone): Generator<void, Zone> {
  const { image } = zone;
  if (image.broken || image.denial !== undefined || image.patches.length === 0) return zone;
  const { words, patches, seed, originWire } = image;
  const { baseEnd, end } = stateOf(image);
  // There is room for everything, so that the heap never grows, which would be one long step.
  const heap = createHeap(end * 4 + slackFor(end * 4), image.headWords);
  /** Where each cell has gone, at half its old number: in pieces, since much memory at once is long in coming and going. */
  const moved: (Int32Array | undefined)[] = [];
  const scan = createNameScan();
  let count = 0;
  let steps = 0;
  const isSlice = () => ++steps % SLICE === 0;
  const copy = (cell: number) => {
    pieceOf(cell)[cell >>> 1 & IN_PIECE] = copyCell(image, cell, heap);
    count++;
  };
  yield;

  for (let cell = FIRST; cell < baseEnd; cell += cellWords(image, cell)) {
    if (isSlice()) yield;
    if (!isDead(image, cell) && !isLaidOver(cell)) copy(cell);
  }
  for (const slot of patches) {
    if (isSlice()) yield;
    const cell = cellOfSlot(slot);
    if (cell !== 0 && !isDead(image, cell)) copy(cell);
  }

  const slots = createSharedSlots(count);
  scanName(scan, originWire, 0, originWire.length, seed);
  const hashOf = createCellHasher(heap, scan.hashes[0]);
  for (let cell = FIRST; cell < heap.end; cell += cellWords(heap, cell)) {
    if (isSlice()) yield;
    const parent = heap.words[cell + CELL.parent];
    if (parent !== 0) heap.words[cell + CELL.parent] = movedTo(parent);
  }
  for (let cell = FIRST; cell < heap.end; cell += cellWords(heap, cell)) {
    if (isSlice()) yield;
    const hash = hashOf(cell);
    place(slots, slotOf(hash, cell), hash);
  }
  for (let cell = FIRST; cell < heap.end;) {
    const from = cell;
    while (cell < heap.end) {
      cell += cellWords(heap, cell);
      if (isSlice()) break;
    }
    resolveTargets(heap, from, cell, slots, originWire, seed);
    yield;
  }
  const apex = movedTo(image.apex);
  for (const piece of moved) {
    if (piece !== undefined) release(piece);
    yield;
  }
  keepState(heap, { baseEnd: heap.end, end: heap.end });
  const fresh: ZoneImage = {
    ...image,
    id: nextImageId(),
    bytes: heap.bytes,
    words: heap.words,
    view: new DataView(heap.bytes.buffer),
    slots,
    patches: NONE,
    apex,
  };
  return openZone(fresh);

  /** Whether this version has another cell for the name of one of the base. */
  function isLaidOver(cell: number): boolean {
    if ((words[cell + CELL.head] & FLAG.patched) === 0) return false;
    scanCell(image, cell, scan, seed);
    return probe(image, patches, scan, 0) !== 0;
  }

  function pieceOf(cell: number): Int32Array {
    return moved[cell >>> 1 + PIECE] ??= new Int32Array(1 << PIECE);
  }

  /** Where a cell is now, or the one that this version has in its place. */
  function movedTo(cell: number): number {
    const piece = pieceOf(cell);
    const at = cell >>> 1 & IN_PIECE;
    if (piece[at] === 0) {
      scanCell(image, cell, scan, seed);
      const now = cellAt(image, scan);
      piece[at] = pieceOf(now)[now >>> 1 & IN_PIECE];
    }
    return piece[at];
  }
}

/** Brings what `compaction(from)` made to the content of `now`, a later version of `from`, at the cost of what differs. */
export function rebase(fresh: Zone, from: Zone, now: Zone): Result<Zone, ZoneError> {
  const changes = changedOwners(from, now);
  if (changes.length === 0) return { ok: true, value: fresh };
  return fresh.patched(changes.map(({ owner, after }) => ({ owner, rrsets: after })));
}

/** Cells a step: at a microsecond each until the compiler has seen to it, and far less from then on. */
const SLICE = 1024;
/** Bits of the place in a piece of `moved`. */
const PIECE = 16;
const IN_PIECE = (1 << PIECE) - 1;
/** The first cell of a heap. */
const FIRST = 2;
