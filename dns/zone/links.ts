/** What binds cells to each other: the index, numbers of parents, numbers of targets; and copies in which all of it holds. */
import { CELL, type Cells, ENTRY, EXTRA, FLAG, probe, RECORD_HEAD, slotOf } from "../image/layout.ts";
import { createNameScan, following, hashLabel, scanName, spread } from "../image/scan.ts";
import { expandName } from "./compress.ts";
import {
  cellWords,
  createCellHasher,
  createHeap,
  extras,
  findExtras,
  type Heap,
  isDead,
  makeRoom,
  putUint32,
  scanCell,
  slackFor,
  writeCellName,
} from "./heap.ts";
import { octetsBeforeTarget } from "./stage.ts";

/**
 * Puts all cells between two places that are not left out into an index. Some hundred hashes are worked out before their
 * places are looked for: those lie anywhere, and a short loop lets the processor wait for many of them at once.
 *
 * @param marks of the cells that are left out, at half their numbers
 */
export function indexOf(
  cells: Cells,
  from: number,
  end: number,
  slots: Int32Array,
  apexHash: number,
  except = 0,
  marks: Uint8Array = NO_MARKS,
): Int32Array {
  const { words, bytes, headWords } = cells;
  const hashOf = createCellHasher(cells, apexHash);
  let lastParent = 0;
  let parentHash = 0;
  let count = 0;
  for (let cell = from; cell < end;) {
    const at = cell;
    const head = words[at + CELL.head];
    cell += cellWords(cells, at);
    if ((head & FLAG.gone) !== 0 || at === except || (marks.length > 0 && marks[at >>> 1] === 1)) continue;
    const parent = words[at + CELL.parent];
    if (parent !== lastParent && parent !== 0) {
      lastParent = parent;
      parentHash = hashOf(parent);
    }
    const label = at + headWords + (head >>> 8 & 0xff) * ENTRY.size << 2;
    const hash = parent === 0 ? apexHash : hashLabel(parentHash, bytes, label);
    hashes[count] = hash;
    places[count++] = slotOf(hash, at);
    if (count === BLOCK) {
      placeAll(slots, count);
      count = 0;
    }
  }
  placeAll(slots, count);
  return slots;
}

function placeAll(slots: Int32Array, count: number): void {
  const size = slots.length;
  for (let i = 0; i < count; i++) {
    let at = spread(hashes[i], size);
    while (slots[at] !== 0) at = following(at, size);
    slots[at] = places[i];
  }
}

const BLOCK = 256;
/** In use within `indexOf` alone. */
const hashes = new Int32Array(BLOCK);
const places = new Int32Array(BLOCK);
const NO_MARKS = new Uint8Array(0);

/** Where a parent was written anew elsewhere, its children learn where it is now. */
export function fixParents(cells: Cells, end: number, slots: Int32Array, seed: number): void {
  const { words } = cells;
  const scan = createNameScan();
  let lastDead = 0;
  let lastLiving = 0;
  for (let cell = 2; cell < end; cell += cellWords(cells, cell)) {
    const parent = words[cell + CELL.parent];
    if (parent === 0 || isDead(cells, cell) || !isDead(cells, parent)) continue;
    if (parent !== lastDead) {
      scanCell(cells, parent, scan, seed);
      lastDead = parent;
      lastLiving = probe(cells, slots, scan, 0);
    }
    words[cell + CELL.parent] = lastLiving;
  }
}

/**
 * Sets the targets of all RRsets between two cells, from an index of the base. Names outside the zone and names that the
 * base has not are left 0.
 */
export function resolveTargets(
  cells: Cells,
  from: number,
  end: number,
  slots: Int32Array,
  originWire: Uint8Array,
  seed: number,
): void {
  const { words, bytes } = cells;
  const scan = createNameScan();
  const owner = new Uint8Array(256);
  const name = new Uint8Array(256);
  for (let cell = from; cell < end; cell += cellWords(cells, cell)) {
    if (isDead(cells, cell)) continue;
    const first = cell + cells.headWords;
    const last = first + (words[cell + CELL.head] >>> 8 & 0xff) * ENTRY.size;
    let ownerLength = 0;
    for (let entry = first; entry < last; entry += ENTRY.size) {
      if ((words[entry + ENTRY.octetsAndExtras] & EXTRA.targets) === 0) continue;
      if (ownerLength === 0) ownerLength = writeCellName(cells, cell, owner, 0);
      const blob = (cell << 2) + words[entry + ENTRY.start];
      findExtras(cells, cell, entry);
      const before = RECORD_HEAD + octetsBeforeTarget(words[entry] >>> 16);
      let record = blob;
      let at = extras.targets;
      for (let left = words[entry] & 0xffff; left > 0; left--, at += 4) {
        const length = expandName(cells, blob, record + before, owner, ownerLength, name, 0);
        putUint32(bytes, at, length === 1 && originWire.length > 1 ? 0 : find(length));
        record += RECORD_HEAD + (bytes[record + 10] << 8 | bytes[record + 11]);
      }
    }
  }

  function find(length: number): number {
    // A name that does not end like the origin is not looked for; most targets of many zones are such.
    const shift = length - originWire.length;
    if (shift < 0) return 0;
    for (let i = originWire.length - 1; i >= 0; i--) {
      const octet = name[shift + i];
      if ((octet - 0x41 >>> 0 < 26 ? octet | 0x20 : octet) !== originWire[i]) return 0;
    }
    scanName(scan, name, 0, length, seed);
    return probe(cells, slots, scan, 0);
  }
}

/** A heap with copies of all living cells, parents set right, and where each cell has gone: at half its old number. */
export function copyCells(
  from: Cells,
  end: number,
  headWords = from.headWords,
): { heap: Heap; moved: Int32Array } {
  const moved = new Int32Array(end >>> 1);
  let octets = 16;
  for (let cell = 2; cell < end; cell += cellWords(from, cell)) {
    if (!isDead(from, cell)) octets += cellWords(from, cell) * 4 + 8;
  }
  const heap = createHeap(octets + slackFor(octets), headWords);
  for (let cell = 2; cell < end; cell += cellWords(from, cell)) {
    if (!isDead(from, cell)) moved[cell >>> 1] = copyCell(from, cell, heap);
  }
  for (let cell = 2; cell < heap.end; cell += cellWords(heap, cell)) {
    heap.words[cell + CELL.parent] = moved[heap.words[cell + CELL.parent] >>> 1];
  }
  return { heap, moved };
}

/**
 * Appends a copy of a cell, its parent's number as it was. The two heaps may differ in the words of a head.
 */
export function copyCell(from: Cells, cell: number, to: Heap): number {
  const size = cellWords(from, cell);
  const more = to.headWords - from.headWords;
  makeRoom(to, size * 4 + 8);
  const made = to.end;
  const { words } = to;
  const head = from.words[cell + CELL.head];
  words[made + CELL.parent] = from.words[cell + CELL.parent];
  words[made + CELL.head] = head & ~(FLAG.patched | FLAG.gone);
  for (let i = CELL.size; i < to.headWords; i++) words[made + i] = 0;
  const rest = size - from.headWords;
  for (let i = 0; i < rest; i++) words[made + to.headWords + i] = from.words[cell + from.headWords + i];
  if (more !== 0) {
    const first = made + to.headWords;
    const last = first + (head >>> 8 & 0xff) * ENTRY.size;
    for (let entry = first; entry < last; entry += ENTRY.size) words[entry + ENTRY.start] += more * 4;
  }
  to.end = made + (size + more);
  return made;
}
