/**
 * A base of its own for a version that lies over an older one: its cells copied together, what nothing leads to left
 * behind. In slices, so that it can go on beside other work.
 */
import type { Result } from "../../conduit/mod.ts";
import { CELL, type ZoneImage } from "../image/layout.ts";
import { createNameScan, scanName } from "../image/scan.ts";
import type { ZoneError } from "./builder.ts";
import { changedOwners } from "./diff.ts";
import {
  cellWords,
  createCellHasher,
  createHeap,
  createSlots,
  keepState,
  place,
  scanCell,
  slackFor,
  stateOf,
} from "./heap.ts";
import { copyCell, resolveTargets } from "./links.ts";
import { slotOf } from "../image/layout.ts";
import { nextImageId, NONE, sharedNumbers } from "./memory.ts";
import { cellAt, forEachCell } from "./read.ts";
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
  const cells: number[] = [];
  forEachCell(image, (cell) => {
    cells.push(cell);
  });
  yield;
  const octets = stateOf(image).end * 4;
  const heap = createHeap(octets + slackFor(octets), image.headWords);
  const moved = new Int32Array(stateOf(image).end >>> 1);
  for (let i = 0; i < cells.length; i++) {
    if (i % SLICE === SLICE - 1) yield;
    moved[cells[i] >>> 1] = copyCell(image, cells[i], heap);
  }
  const scan = createNameScan();
  const slots = createSlots(cells.length);
  for (let i = 0; i < cells.length; i++) {
    if (i % SLICE === SLICE - 1) yield;
    const parent = image.words[cells[i] + CELL.parent];
    if (parent === 0) continue;
    if (moved[parent >>> 1] === 0) {
      scanCell(image, parent, scan, image.seed);
      moved[parent >>> 1] = moved[cellAt(image, scan) >>> 1];
    }
    heap.words[moved[cells[i] >>> 1] + CELL.parent] = moved[parent >>> 1];
  }
  scanName(scan, image.originWire, 0, image.originWire.length, image.seed);
  const hashOf = createCellHasher(heap, scan.hashes[0]);
  for (let cell = 2, i = 0; cell < heap.end; cell += cellWords(heap, cell), i++) {
    if (i % SLICE === SLICE - 1) yield;
    const hash = hashOf(cell);
    place(slots, slotOf(hash, cell), hash);
  }
  for (let cell = 2; cell < heap.end;) {
    const from = cell;
    for (let i = 0; i < SLICE && cell < heap.end; i++) cell += cellWords(heap, cell);
    resolveTargets(heap, from, cell, slots, image.originWire, image.seed);
    yield;
  }
  keepState(heap, { baseEnd: heap.end, end: heap.end });
  const fresh: ZoneImage = {
    ...image,
    id: nextImageId(),
    bytes: heap.bytes,
    words: heap.words,
    view: new DataView(heap.bytes.buffer),
    slots: sharedNumbers(slots),
    patches: NONE,
    apex: moved[image.apex >>> 1],
  };
  return openZone(fresh);
}

/** Brings what `compaction(from)` made to the content of `now`, a later version of `from`, at the cost of what differs. */
export function rebase(fresh: Zone, from: Zone, now: Zone): Result<Zone, ZoneError> {
  const changes = changedOwners(from, now);
  if (changes.length === 0) return { ok: true, value: fresh };
  return fresh.patched(changes.map(({ owner, after }) => ({ owner, rrsets: after })));
}

/** Cells a step. */
const SLICE = 4096;
