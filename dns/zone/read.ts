/** Cells as records again. */
import {
  CELL,
  cellOfSlot,
  type Cells,
  ENTRY,
  findCell,
  FLAG,
  probe,
  RECORD_HEAD,
  type ZoneImage,
} from "../image/layout.ts";
import { coverNsec3 } from "../image/denial.ts";
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";
import { nameFromWire, writeName } from "../name.ts";
import { canonicalRdata, compareRdata } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import type { Name, RRset } from "../types.ts";
import { compressibleNames } from "./compress.ts";
import { cellWords, extras, findExtras, isDead, scanCell, stateOf, uint32At, writeCellName } from "./heap.ts";
import { expandRdata } from "./stage.ts";

/** The cell of an owner in this version; 0 when there is no such name, or it lies outside the zone. */
export function cellOf(image: ZoneImage, owner: Name): number {
  const scan = nameScan;
  scanName(scan, wire, 0, writeName(owner, wire, 0), image.seed);
  return !image.broken && isInZone(image, scan) ? cellAt(image, scan) : 0;
}

/**
 * The cell of a scanned name that lies in the zone. Owners of NSEC3 records are found too, which are no names for any
 * question (RFC 5155 §7.2.8).
 */
export function cellAt(image: ZoneImage, scan: NameScan): number {
  const cell = findCell(image, scan, 0);
  const { denial } = image;
  if (cell !== 0 || denial === undefined || denial.kind !== "nsec3") return cell;
  if (scan.labels !== image.originLabels + 1 || !readBase32(scan.lower, hash)) return 0;
  const index = coverNsec3(denial, hash);
  for (let i = 0; i < 20; i++) if (denial.hashes[index * 20 + i] !== hash[i]) return 0;
  return denial.cells[index];
}

const hash = new Uint8Array(20);

/** Reads a label that is the base32hex of 20 octets (RFC 5155 §3.3); false when it is none. */
export function readBase32(label: Uint8Array, into: Uint8Array, at = 0): boolean {
  if (label[at] !== 32) return false;
  let held = 0;
  let bits = 0;
  let octets = 0;
  for (let i = 1; i <= 32; i++) {
    const octet = label[at + i];
    const value = octet >= 0x30 && octet <= 0x39
      ? octet - 0x30
      : octet >= 0x61 && octet <= 0x76
      ? octet - 0x57
      : -1;
    if (value < 0) return false;
    bits = (bits << 5 | value) & 0xfff;
    held += 5;
    if (held < 8) continue;
    held -= 8;
    into[octets++] = bits >>> held;
  }
  return true;
}

/** Whether a name is that of the zone or lies below it. */
export function isInZone({ originWire, originLabels }: ZoneImage, scan: NameScan): boolean {
  const label = scan.labels - originLabels;
  if (label < 0) return false;
  const shift = scan.starts[label];
  if (scan.length - shift !== originWire.length) return false;
  for (let i = 0; i < originWire.length; i++) if (scan.lower[shift + i] !== originWire[i]) return false;
  return true;
}

const nameScan = createNameScan();
const wire = new Uint8Array(256);
const ownerWire = new Uint8Array(256);

/** The owner name of a cell. */
export function ownerOf(image: ZoneImage, cell: number): Name {
  writeCellName(image, cell, wire, 0);
  return nameFromWire(wire, 0)?.name ?? image.origin;
}

/** Calls `visit` with each cell of this version, in no particular order; false ends it. */
export function forEachCell(image: ZoneImage, visit: (cell: number) => boolean | void): void {
  if (image.broken) return;
  const { patches } = image;
  const end = stateOf(image).baseEnd;
  const scan = createNameScan();
  for (let cell = 2; cell < end; cell += cellWords(image, cell)) {
    if (isDead(image, cell)) continue;
    if (patches.length > 0 && (image.words[cell + CELL.head] & FLAG.patched) !== 0) {
      scanCell(image, cell, scan, image.seed);
      if (probe(image, patches, scan, 0) !== 0) continue;
    }
    if (visit(cell) === false) return;
  }
  for (let at = 0; at < patches.length; at++) {
    const cell = cellOfSlot(patches[at]);
    if (cell !== 0 && !isDead(image, cell) && visit(cell) === false) return;
  }
}

/** RRsets that a cell has entries for. */
export function entryCount({ words }: Cells, cell: number): number {
  return words[cell + CELL.head] >>> 8 & 0xff;
}

/** How many records a cell has, RRSIGs included. */
export function countRecords(cells: Cells, cell: number): number {
  let count = 0;
  const first = cell + cells.headWords;
  for (let entry = first; entry < first + entryCount(cells, cell) * ENTRY.size; entry += ENTRY.size) {
    findExtras(cells, cell, entry);
    count += (cells.words[entry] & 0xffff) + extras.signatureCount;
  }
  return count;
}

/** All RRsets of a cell as values, by type; all RRSIGs are one. */
export function rrsetsOf(image: ZoneImage, owner: Name, cell: number): RRset[] {
  const rrsets: RRset[] = [];
  const first = cell + image.headWords;
  const end = first + entryCount(image, cell) * ENTRY.size;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    if (image.words[entry] >>> 16 !== RRTYPE.RRSIG) rrsets.push(openRRset(image, owner, cell, entry));
  }
  const signatures = signaturesOf(image, owner, cell);
  if (signatures === undefined) return rrsets;
  const behind = rrsets.findIndex(({ type }) => type > RRTYPE.RRSIG);
  rrsets.splice(behind < 0 ? rrsets.length : behind, 0, signatures);
  return rrsets;
}

/** One RRset of a cell as a value; `undefined` when it has none of that type. */
export function rrsetOf(image: ZoneImage, owner: Name, cell: number, type: number): RRset | undefined {
  if (type === RRTYPE.RRSIG) return signaturesOf(image, owner, cell);
  const first = cell + image.headWords;
  const end = first + entryCount(image, cell) * ENTRY.size;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    if (image.words[entry] >>> 16 === type) return openRRset(image, owner, cell, entry);
  }
  return undefined;
}

/** Whether a cell has an RRset of that type. */
export function hasType(image: ZoneImage, cell: number, type: number): boolean {
  const first = cell + image.headWords;
  const end = first + entryCount(image, cell) * ENTRY.size;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    if (image.words[entry] >>> 16 === type) return true;
    if (type !== RRTYPE.RRSIG) continue;
    findExtras(image, cell, entry);
    if (extras.signatureCount > 0) return true;
  }
  return false;
}

function openRRset(image: ZoneImage, owner: Name, cell: number, entry: number): RRset {
  const { words, bytes } = image;
  const type = words[entry] >>> 16;
  const blob = (cell << 2) + words[entry + ENTRY.start];
  const end = blob + (words[entry + ENTRY.octetsAndExtras] & 0xff_ffff);
  const rdatas: Uint8Array[] = [];
  const names = compressibleNames(type);
  const ownerLength = names > 0 ? writeCellName(image, cell, ownerWire, 0) : 0;
  for (let at = blob; at < end;) {
    const octets = bytes[at + 10] << 8 | bytes[at + 11];
    const from = at + RECORD_HEAD;
    if (names === 0) {
      rdatas.push(copyOf(bytes, from, octets));
    } else {
      const whole = new Uint8Array(octets + names * 256);
      const length = expandRdata(image, blob, from, octets, type, ownerWire, ownerLength, whole, 0);
      rdatas.push(whole.slice(0, length));
    }
    at = from + octets;
  }
  return { owner, type, ttl: uint32At(bytes, blob + 6), rdatas };
}

function signaturesOf(image: ZoneImage, owner: Name, cell: number): RRset | undefined {
  const { words, bytes } = image;
  const rdatas: Uint8Array[] = [];
  const first = cell + image.headWords;
  const end = first + entryCount(image, cell) * ENTRY.size;
  let loose = false;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    if (words[entry] >>> 16 === RRTYPE.RRSIG) {
      loose = true;
      const blob = (cell << 2) + words[entry + ENTRY.start];
      take(blob, blob + (words[entry + ENTRY.octetsAndExtras] & 0xff_ffff));
    }
    findExtras(image, cell, entry);
    if (extras.signatures !== 0) take(extras.signatures, extras.signatures + extras.signatureOctets);
  }
  if (rdatas.length === 0) return undefined;
  // Those that stand with what they cover come by type, which is their canonical order.
  if (loose) {
    rdatas.sort((a, b) => compareRdata(canonicalRdata(RRTYPE.RRSIG, a), canonicalRdata(RRTYPE.RRSIG, b)));
  }
  return { owner, type: RRTYPE.RRSIG, ttl: uint32At(rdatas[0], 4), rdatas };

  function take(from: number, to: number): void {
    for (let at = from; at < to;) {
      const octets = bytes[at + 10] << 8 | bytes[at + 11];
      rdatas.push(copyOf(bytes, at + RECORD_HEAD, octets));
      at += RECORD_HEAD + octets;
    }
  }
}

/** Not shared with anybody. */
function copyOf(bytes: Uint8Array, from: number, octets: number): Uint8Array {
  const copy = new Uint8Array(octets);
  if (octets < 64) { for (let i = 0; i < octets; i++) copy[i] = bytes[from + i]; }
  else copy.set(bytes.subarray(from, from + octets));
  return copy;
}
