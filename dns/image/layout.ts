/**
 * The compiled form of a zone: flat arrays in shared memory, one copy for all workers, no object a record. All that belongs
 * to a name stands together in one **cell** of the heap, so that a question costs two cache lines: one of the index, one of
 * the cell. Cells are never written again, with the exception of one flag; a change appends new cells and gives them an
 * index of their own, laid over the first one. So every version of a zone is a snapshot, and its cost is that of the change.
 *
 * Hot path: `findCell` and `findEntry` are what the answer algorithm lives on (`tests/bench/answers`).
 *
 * A cell, in 32-bit words, its first at an even index that is the cell's number:
 *
 *     parent        number of the parent's cell; 0 for the apex
 *     head          flags (8 bits) | octets of the whole owner name (8) | RRsets (8) | children (8, 255 means "255 or more")
 *     [nsec3 ×2]    in zones with NSEC3 only, see `CELL3`
 *     entries       three words an RRset, ascending by type, see `ENTRY`
 *     label         the owner's first label in lower-case wire form (length octet, octets); the apex: its whole name
 *     blobs         of each RRset: its records, then what `EXTRA` says
 *
 * The records of a blob are ready to be copied into a message: owner (a pointer to octet 12, the question), type, class, TTL,
 * RDLENGTH, rdata. Names in the rdata of RFC 1035's types (RFC 3597 §4) are compressed already; where a pointer is needed
 * its two octets hold `0xc000 | v`, and the blob's fixups say where such a pair stands:
 *
 *     v < 0x2000    the suffix of the owner name (of a name that is a wildcard: of its parent at the nearest) that starts v
 *                   octets into it; the origin is such a suffix too
 *     v >= 0x2000   the name, or part of one, that stands v - 0x2000 octets into this blob
 */
import type { Name } from "../types.ts";
import type { Denial } from "./denial.ts";
import { following, type NameScan, spread } from "./scan.ts";

/** One version of a zone. Structured-cloneable; the big arrays lie in SharedArrayBuffers. */
export interface ZoneImage {
  /** Different for each version of each zone made in this process. */
  readonly id: number;
  readonly origin: Name;
  /** The origin in lower-case wire form. */
  readonly originWire: Uint8Array;
  readonly originLabels: number;
  /** What all hashes of this process start with, so that nobody outside can prepare collisions. */
  readonly seed: number;
  /** A zone that was never good: it is ours, and there is nothing to answer but SERVFAIL. All arrays are empty. */
  readonly broken: boolean;
  /** The heap of cells. Versions of one zone share it; behind what the newest one uses there is room. */
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly words: Int32Array;
  /** The same memory, for copies of several octets at once, which are not aligned. */
  readonly view: DataView;
  /** Index of the cells that the base was compiled into: `slotOf(hash, cell)`, 0 for free. */
  readonly slots: Int32Array;
  /** Index of the cells laid over the base, same form; empty when there are none. */
  readonly patches: Int32Array;
  /** The apex, as of this version. */
  readonly apex: number;
  /** Words between a cell's head and its entries and before: `CELL.size`, or `CELL3.size` in a zone with NSEC3. */
  readonly headWords: number;
  readonly serial: number;
  /** TTL of negative answers (RFC 2308 §5): the lesser of the SOA's TTL and its MINIMUM. */
  readonly negativeTtl: number;
  readonly recordCount: number;
  /** How names are denied to who asks with DO: the chain that the zone file has, if any. */
  readonly denial: Denial | undefined;
}

/** The heap of an image, and of one that is being made. */
export type Cells = Pick<ZoneImage, "bytes" | "words" | "headWords">;

/** Words of a cell. */
export const CELL = { parent: 0, head: 1, size: 2 } as const;
/**
 * Further words in a zone with NSEC3: 1 + the index in `Nsec3Chain` of the record that matches this name, and of the one
 * that covers its child `*`; 0 for none.
 */
export const CELL3 = { match: 2, coversWildcard: 3, size: 4 } as const;

/** Bits of a head. */
export const FLAG = {
  /** NS here, not at the apex. */
  cut: 1 << 24,
  dname: 1 << 25,
  cname: 1 << 26,
  /** It has a child `*`. */
  wildcard: 1 << 27,
  /** The name does not exist in this version. Only cells of `patches` have it. */
  gone: 1 << 28,
  /** Some version has another cell for the name: look into `patches`. Set in base cells at any time, and harmless to
   * versions that have no such cell. */
  patched: 1 << 29,
} as const;

/** Words of an entry. `start` counts octets from the cell's first. */
export const ENTRY = { typeAndCount: 0, start: 1, octetsAndExtras: 2, size: 3 } as const;
/** At most this many records in an RRset, octets in the records of an RRset, RRsets at a name. */
export const MOST = { records: 0xffff, octets: 0xff_ffff, rrsets: 255, cells: 1 << 26 } as const;

/** What stands behind the records of a blob, in this order; bits of an entry's third word. */
export const EXTRA = {
  /** Number of fixups (16 bits), and of each the place of a pointer, in octets from the blob's start (16 bits). */
  fixups: 1 << 24,
  /** RRSIG records that cover the RRset: their number (16 bits), their octets (32 bits), they themselves. */
  signatures: 1 << 25,
  /**
   * For each record of a type with additional data the cell, in the base, of the name it leads to (32 bits); 0 where the
   * base has no such name or it lies outside the zone. All numbers in big-endian order, not aligned.
   */
  targets: 1 << 26,
} as const;

/** Octets of a record before its rdata. */
export const RECORD_HEAD = 12;
/** From this value on a pointer's value counts from the blob's start. */
export const WITHIN_BLOB = 0x2000;

/** An index's entry: six bits of the hash, so that a wrong cell is seldom looked at, and the cell. */
export function slotOf(hash: number, cell: number): number {
  return hash & 0xfc00_0000 | cell >>> 1;
}

/** The cell of an index's entry; 0 for a free one. */
export function cellOfSlot(slot: number): number {
  return (slot & 0x03ff_ffff) << 1;
}

/**
 * The cell of the suffix of `scan` that starts with `label`; 0 when there is none. The suffix lies in the zone: the
 * caller has seen that it ends in the origin.
 */
export function findCell(zone: ZoneImage, scan: NameScan, label: number): number {
  const cell = probe(zone, zone.slots, scan, label);
  if (zone.patches.length === 0) return cell;
  if (cell !== 0 && (zone.words[cell + CELL.head] & FLAG.patched) === 0) return cell;
  const over = probe(zone, zone.patches, scan, label);
  if (over === 0) return cell;
  return (zone.words[over + CELL.head] & FLAG.gone) !== 0 ? 0 : over;
}

/** As `findCell`, in one index alone. */
export function probe(zone: Cells, slots: Int32Array, scan: NameScan, label: number): number {
  const words = zone.words;
  const hash = scan.hashes[label];
  const octets = scan.length - scan.starts[label];
  const tag = hash & 0xfc00_0000;
  const size = slots.length;
  for (let at = spread(hash, size);; at = following(at, size)) {
    const slot = slots[at];
    if (slot === 0) return 0;
    if ((slot & 0xfc00_0000) !== tag) continue;
    const cell = cellOfSlot(slot);
    if ((words[cell + CELL.head] >>> 16 & 0xff) === octets && isName(zone, cell, scan, label)) return cell;
  }
}

/** Whether a cell is that of a suffix as long as its own name: label by label up to the apex, which is known to fit. */
function isName(zone: Cells, cell: number, scan: NameScan, label: number): boolean {
  const { words, bytes } = zone;
  const { lower, starts } = scan;
  for (let at = cell, i = label;; i++) {
    const parent = words[at + CELL.parent];
    if (parent === 0) return true;
    const from = labelAt(zone, at);
    const start = starts[i];
    const size = bytes[from];
    for (let octet = 0; octet <= size; octet++) {
      if (bytes[from + octet] !== lower[start + octet]) return false;
    }
    at = parent;
  }
}

/** Where a cell's label stands in `bytes`. */
export function labelAt(zone: Cells, cell: number): number {
  const rrsets = zone.words[cell + CELL.head] >>> 8 & 0xff;
  return cell + zone.headWords + rrsets * ENTRY.size << 2;
}

/** The entry of the RRset of that type in a cell, as an index into `words`; 0 when there is none. */
export function findEntry(zone: Cells, cell: number, type: number): number {
  const words = zone.words;
  const first = cell + zone.headWords;
  const end = first + (words[cell + CELL.head] >>> 8 & 0xff) * ENTRY.size;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    if (words[entry] >>> 16 === type) return entry;
  }
  return 0;
}

/** The cell of this version for one that a parent number or a target names: the base may have been laid over. */
export function currentCell(zone: ZoneImage, cell: number, scan: NameScan, label: number): number {
  if (zone.patches.length === 0 || (zone.words[cell + CELL.head] & FLAG.patched) === 0) return cell;
  return findCell(zone, scan, label);
}
