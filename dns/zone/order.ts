/** Canonical order of a zone's names (RFC 4034 §6.1): parents before children, children by their first label. */
import { CELL, cellOfSlot, type Cells, FLAG, labelAt, probe, type ZoneImage } from "../image/layout.ts";
import { createNameScan } from "../image/scan.ts";
import { cellWords, isDead, scanCell, stateOf } from "./heap.ts";

/** The cells of a version in canonical order; what the base adds to that is worked out once. */
export function canonicalOrder(image: ZoneImage): Int32Array {
  if (image.broken) return new Int32Array(0);
  const base = baseOrder(image);
  return image.patches.length === 0 ? base : merged(image, base);
}

/** By the base's index, which versions share. */
const orders = new WeakMap<Int32Array, Int32Array>();

function baseOrder(image: ZoneImage): Int32Array {
  const known = orders.get(image.slots);
  if (known !== undefined) return known;
  const order = sortBase(image, stateOf(image).baseEnd);
  orders.set(image.slots, order);
  return order;
}

function sortBase(cells: Cells, end: number): Int32Array {
  const { words } = cells;
  let count = 0;
  let sorted = true;
  let before = 0;
  for (let cell = 2; cell < end; cell += cellWords(cells, cell)) {
    if (isDead(cells, cell)) continue;
    count++;
    sorted &&= before === 0 || compareCells(cells, before, cell) < 0;
    before = cell;
  }
  const list = new Int32Array(count);
  let at = 0;
  for (let cell = 2; cell < end; cell += cellWords(cells, cell)) if (!isDead(cells, cell)) list[at++] = cell;
  if (sorted) return list;
  // The children of the cell that is number n in the list stand in `children` from `starts[n]` on.
  const numbers = new Int32Array(end >>> 1);
  list.forEach((cell, number) => numbers[cell >>> 1] = number);
  const starts = new Int32Array(count + 1);
  let apex = 0;
  for (let i = 0; i < count; i++) {
    const parent = words[list[i] + CELL.parent];
    if (parent === 0) apex = i;
    else starts[numbers[parent >>> 1] + 1]++;
  }
  for (let i = 0; i < count; i++) starts[i + 1] += starts[i];
  const fill = starts.slice();
  const children = new Int32Array(count - 1);
  for (let i = 0; i < count; i++) {
    const parent = words[list[i] + CELL.parent];
    if (parent !== 0) children[fill[numbers[parent >>> 1]]++] = i;
  }
  for (let i = 0; i < count; i++) {
    if (starts[i + 1] - starts[i] > 1) sortSiblings(children.subarray(starts[i], starts[i + 1]));
  }
  const order = new Int32Array(count);
  const pending = [apex];
  for (let next = 0;; next++) {
    const number = pending.pop();
    if (number === undefined) break;
    order[next] = list[number];
    for (let i = starts[number + 1] - 1; i >= starts[number]; i--) pending.push(children[i]);
  }
  numbers.buffer.transfer(0);
  return order;

  function sortSiblings(siblings: Int32Array): void {
    let inOrder = true;
    for (let i = 1; i < siblings.length && inOrder; i++) {
      inOrder = compareLabels(cells, list[siblings[i - 1]], list[siblings[i]]) < 0;
    }
    if (!inOrder) siblings.sort((a, b) => compareLabels(cells, list[a], list[b]));
  }
}

/** The base's order with the cells laid over it in their places. */
function merged(image: ZoneImage, base: Int32Array): Int32Array {
  const { words, patches } = image;
  const over: number[] = [];
  for (const slot of patches) {
    const cell = cellOfSlot(slot);
    if (cell !== 0 && !isDead(image, cell)) over.push(cell);
  }
  over.sort((a, b) => compareCells(image, a, b));
  const order = new Int32Array(base.length + over.length);
  const scan = createNameScan();
  let count = 0;
  let next = 0;
  for (const cell of base) {
    if ((words[cell + CELL.head] & FLAG.patched) !== 0) {
      scanCell(image, cell, scan, image.seed);
      if (probe(image, patches, scan, 0) !== 0) continue;
    }
    while (next < over.length && compareCells(image, over[next], cell) < 0) order[count++] = over[next++];
    order[count++] = cell;
  }
  while (next < over.length) order[count++] = over[next++];
  return order.subarray(0, count);
}

/** Compares the names of two cells in canonical order. */
export function compareCells(cells: Cells, a: number, b: number): number {
  const { words } = cells;
  if (words[a + CELL.parent] === words[b + CELL.parent] && a !== b) return compareLabels(cells, a, b);
  let left = 0;
  for (let up = a; up !== 0; up = words[up + CELL.parent]) leftPath[left++] = up;
  let right = 0;
  for (let up = b; up !== 0; up = words[up + CELL.parent]) rightPath[right++] = up;
  // The last of both is the apex.
  for (left -= 2, right -= 2; left >= 0 && right >= 0; left--, right--) {
    if (leftPath[left] === rightPath[right]) continue;
    const order = compareLabels(cells, leftPath[left], rightPath[right]);
    if (order !== 0) return order;
  }
  return left - right;
}

const leftPath = new Int32Array(128);
const rightPath = new Int32Array(128);

function compareLabels(cells: Cells, a: number, b: number): number {
  if (a === b || cells.words[a + CELL.parent] === 0) return 0;
  const { bytes } = cells;
  const left = labelAt(cells, a);
  const right = labelAt(cells, b);
  const shared = Math.min(bytes[left], bytes[right]);
  for (let i = 1; i <= shared; i++) {
    if (bytes[left + i] !== bytes[right + i]) return bytes[left + i] - bytes[right + i];
  }
  return bytes[left] - bytes[right];
}
