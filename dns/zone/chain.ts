/** Finds the chain of a signed zone, and lays it out for the searches of `dns/image/denial.ts`. */
import { coverNsec3, type Denial, key, type Nsec3Chain, nsec3Hash, sortKey } from "../image/denial.ts";
import { CELL, CELL3, type Cells, ENTRY, findEntry, FLAG, labelAt, RECORD_HEAD } from "../image/layout.ts";
import { createNameScan } from "../image/scan.ts";
import { RRTYPE } from "../rr/types.ts";
import { cellWords, isDead, release, scanCell, writeCellName } from "./heap.ts";
import { sharedNumbers } from "./memory.ts";
import { compareCells } from "./order.ts";
import { readBase32 } from "./read.ts";

/**
 * Chains with more iterations are not served: validators take no proof from them, and each answer would cost as many
 * hashes (RFC 9276 §3.2).
 */
const MOST_ITERATIONS = 500;

/**
 * The chain that a zone's answers are proven with. NSEC counts where the apex has it; an NSEC3 chain where NSEC3PARAM
 * announces it (RFC 5155 §4) with SHA-1, flags 0 and not too many iterations, and the apex itself has its record.
 */
export function findChain(cells: Cells, end: number, apex: number, originLabels: number): Denial | undefined {
  if (findEntry(cells, apex, RRTYPE.NSEC) !== 0) return nsecChain(cells, end, originLabels);
  const entry = findEntry(cells, apex, RRTYPE.NSEC3PARAM);
  if (entry === 0) return undefined;
  const { words, bytes } = cells;
  let at = (apex << 2) + words[entry + ENTRY.start];
  for (let left = words[entry] & 0xffff; left > 0; left--) {
    const rdata = at + RECORD_HEAD;
    at = rdata + (bytes[at + 10] << 8 | bytes[at + 11]);
    if (bytes[rdata] !== 1 || bytes[rdata + 1] !== 0) continue;
    const iterations = bytes[rdata + 2] << 8 | bytes[rdata + 3];
    if (iterations > MOST_ITERATIONS) continue;
    const salt = bytes.slice(rdata + 5, rdata + 5 + bytes[rdata + 4]);
    const chain = nsec3Chain(cells, end, apex, iterations, new Uint8Array(salt));
    if (chain !== undefined) return chain;
  }
  return undefined;
}

function nsecChain(cells: Cells, end: number, originLabels: number): Denial {
  const list = sortedCells(cells, end, (cell) => findEntry(cells, cell, RRTYPE.NSEC) !== 0);
  const scan = createNameScan();
  const high = new Uint32Array(new SharedArrayBuffer(list.length * 4));
  const low = new Uint32Array(new SharedArrayBuffer(list.length * 4));
  for (let i = 0; i < list.length; i++) {
    scanCell(cells, list[i], scan, 0);
    sortKey(scan, originLabels);
    high[i] = key.high;
    low[i] = key.low;
  }
  return { kind: "nsec", cells: list, high, low };
}

function nsec3Chain(
  cells: Cells,
  end: number,
  apex: number,
  iterations: number,
  salt: Uint8Array,
): Nsec3Chain | undefined {
  const { words, bytes } = cells;
  const own = new Uint8Array(20);
  // Base32hex sorts as the hashes do.
  const list = sortedCells(cells, end, isLink);
  if (list.length === 0) return undefined;
  const hashes = new Uint8Array(new SharedArrayBuffer(list.length * 20));
  for (let i = 0; i < list.length; i++) {
    readBase32(bytes, own, labelAt(cells, list[i]));
    hashes.set(own, i * 20);
  }
  const chain: Nsec3Chain = { kind: "nsec3", iterations, salt, hashes, cells: list };
  const name = new Uint8Array(256);
  nsec3Hash(own, chain, name, 0, writeCellName(cells, apex, name, 0));
  return matchOf(chain, own) === 0 ? undefined : chain;

  function isLink(cell: number): boolean {
    if (words[cell + CELL.parent] !== apex || !isHashed(cells, cell)) return false;
    const rdata = (cell << 2) + words[cell + cells.headWords + ENTRY.start] + RECORD_HEAD;
    if (bytes[rdata] !== 1 || (bytes[rdata + 2] << 8 | bytes[rdata + 3]) !== iterations) return false;
    if (bytes[rdata + 4] !== salt.length) return false;
    for (let i = 0; i < salt.length; i++) if (bytes[rdata + 5 + i] !== salt[i]) return false;
    return readBase32(bytes, own, labelAt(cells, cell));
  }
}

/** The living cells of which something holds, in canonical order; signers write them so, and then nothing is sorted. */
function sortedCells(cells: Cells, end: number, holds: (cell: number) => boolean): Int32Array {
  let list = new Int32Array(1 << 10);
  let count = 0;
  let sorted = true;
  for (let cell = 2; cell < end; cell += cellWords(cells, cell)) {
    if (isDead(cells, cell) || !holds(cell)) continue;
    sorted &&= count === 0 || compareCells(cells, list[count - 1], cell) < 0;
    if (count === list.length) list = grown(list);
    list[count++] = cell;
  }
  const found = sharedNumbers(list.subarray(0, count));
  release(list);
  return sorted ? found : found.sort((a, b) => compareCells(cells, a, b));
}

function grown(list: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(list.length * 2);
  larger.set(list);
  release(list);
  return larger;
}

/** One NSEC3 RRset, perhaps signed, and no names below. */
function isHashed(cells: Cells, cell: number): boolean {
  const head = cells.words[cell + CELL.head];
  return (head >>> 8 & 0xff) === 1 && (head & 0xff) === 0 &&
    cells.words[cell + cells.headWords] >>> 16 === RRTYPE.NSEC3;
}

/** Sets, for each cell that is no record of the chain, which records prove things of it (`CELL3`). */
export function setProofs(cells: Cells, end: number, chain: Nsec3Chain, inChain: Uint8Array): void {
  const { words } = cells;
  const name = new Uint8Array(260);
  const hash = new Uint8Array(20);
  name[0] = 1;
  name[1] = 0x2a;
  for (let cell = 2; cell < end; cell += cellWords(cells, cell)) {
    if (isDead(cells, cell) || inChain[cell >>> 1] === 1 || isOccluded(cells, cell)) continue;
    const behind = writeCellName(cells, cell, name, 2);
    nsec3Hash(hash, chain, name, 2, behind - 2);
    words[cell + CELL3.match] = matchOf(chain, hash);
    if ((words[cell + CELL.head] & FLAG.wildcard) !== 0 || behind > 255) continue;
    nsec3Hash(hash, chain, name, 0, behind);
    words[cell + CELL3.coversWildcard] = coverNsec3(chain, hash) + 1;
  }
}

/** Below a delegation or a DNAME. */
function isOccluded({ words }: Cells, cell: number): boolean {
  for (let up = words[cell + CELL.parent]; up !== 0; up = words[up + CELL.parent]) {
    if ((words[up + CELL.head] & (FLAG.cut | FLAG.dname)) !== 0) return true;
  }
  return false;
}

/** The cells of a chain, as marks at half their numbers. */
export function marksOf(chain: Nsec3Chain, end: number): Uint8Array {
  const marks = new Uint8Array(end >>> 1);
  for (const cell of chain.cells) marks[cell >>> 1] = 1;
  return marks;
}

function matchOf(chain: Nsec3Chain, hash: Uint8Array): number {
  const index = coverNsec3(chain, hash);
  for (let i = 0; i < 20; i++) if (chain.hashes[index * 20 + i] !== hash[i]) return 0;
  return index + 1;
}
