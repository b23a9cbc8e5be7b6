/**
 * The chains by which a signed zone proves that something does not exist, laid out for searching: NSEC (RFC 4034 §4)
 * by canonical order of names, NSEC3 (RFC 5155) by hash. A zone with a chain is replaced as a whole, never patched, with
 * the exception of its serial.
 *
 * Hot path: a negative answer of a signed zone makes one or two searches here, and with NSEC3 a hash. Nothing is
 * allocated; state between calls is scratch memory. `tests/bench/answers` shows it.
 */
import { CELL, type Cells, labelAt, type ZoneImage } from "./layout.ts";
import type { NameScan } from "./scan.ts";
export { nsec3Hash } from "./sha1.ts";

/** One chain, which has no gaps as far as the zone's signer made none. */
export type Denial = NsecChain | Nsec3Chain;

export interface NsecChain {
  readonly kind: "nsec";
  /** Cells that own an NSEC record, in canonical order (RFC 4034 §6.1); the apex first. */
  readonly cells: Int32Array;
  /**
   * The first eight octets of each one's sort key (labels from the origin down, see `sortKey`), as two arrays of unsigned
   * numbers, so that most of a search never touches a name.
   */
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

export interface Nsec3Chain {
  readonly kind: "nsec3";
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Hashes of the owner names, 20 octets each, ascending. */
  readonly hashes: Uint8Array;
  /**
   * The cell of each: one RRset (NSEC3), its label the base32hex of the hash, in no index, since these names do not exist
   * for any other question (RFC 5155 §7.2.8).
   */
  readonly cells: Int32Array;
}

/**
 * The cell of the NSEC record whose owner is the scanned name, or the last one before it in canonical order (RFC 4034
 * §6.1). The name lies in the zone, whose `denial` is an NSEC chain.
 * @throws {RangeError} for a zone without one
 */
export function coverNsec(zone: ZoneImage, scan: NameScan): number {
  const chain = zone.denial;
  if (chain === undefined || chain.kind !== "nsec") throw new RangeError(`${zone.origin} has no NSEC chain`);
  const { high, low, cells } = chain;
  sortKey(scan, zone.originLabels);
  const keyHigh = key.high;
  const keyLow = key.low;
  // The apex is not after any name, so the answer lies in from ... to - 1.
  let from = 0;
  let to = cells.length;
  while (to - from > 1) {
    const middle = from + to >>> 1;
    const order = high[middle] - keyHigh || low[middle] - keyLow || compareName(zone, cells[middle], scan);
    if (order <= 0) from = middle;
    else to = middle;
  }
  return cells[from];
}

/** The first eight octets of a sort key. */
export const key = { high: 0, low: 0 };

/**
 * Sets `key` for a name of the zone. A sort key has the labels from below the origin down, each with a zero octet behind
 * it, 0 and 1 inside of labels written as 1 1 and 1 2, so that keys as octets sort as names do in canonical order.
 */
export function sortKey(scan: NameScan, originLabels: number): void {
  const { lower, starts } = scan;
  let high = 0;
  let low = 0;
  let octets = 0;
  for (let label = scan.labels - originLabels - 1; label >= 0 && octets < 8; label--) {
    const from = starts[label] + 1;
    const end = from + lower[from - 1];
    for (let at = from; at <= end && octets < 8; at++) {
      let octet = at === end ? 0 : lower[at];
      if (at < end && octet < 2) {
        put(1);
        octet++;
      }
      put(octet);
    }
  }
  key.high = high;
  key.low = low;

  function put(octet: number): void {
    if (octets < 4) high += octet * SHIFT[octets];
    else if (octets < 8) low += octet * SHIFT[octets - 4];
    octets++;
  }
}

const SHIFT = [0x100_0000, 0x1_0000, 0x100, 1] as const;

/** Compares a cell's name with a scanned one of the zone in canonical order. */
function compareName(cells: Cells, cell: number, scan: NameScan): number {
  const { words, bytes } = cells;
  const { lower, starts } = scan;
  let depth = 0;
  let up = cell;
  for (; words[up + CELL.parent] !== 0; up = words[up + CELL.parent]) path[depth++] = up;
  let label = scan.labels - apexLabels(cells, up) - 1;
  for (depth--; depth >= 0 && label >= 0; depth--, label--) {
    const left = labelAt(cells, path[depth]);
    const right = starts[label];
    const shared = bytes[left] < lower[right] ? bytes[left] : lower[right];
    for (let i = 1; i <= shared; i++) {
      if (bytes[left + i] !== lower[right + i]) return bytes[left + i] - lower[right + i];
    }
    if (bytes[left] !== lower[right]) return bytes[left] - lower[right];
  }
  return depth - label;
}

function apexLabels(cells: Cells, apex: number): number {
  let labels = 0;
  for (let at = labelAt(cells, apex); cells.bytes[at] !== 0; at += 1 + cells.bytes[at]) labels++;
  return labels;
}

const path = new Int32Array(128);

/**
 * The index in the chain of the record whose owner's hash is `hash`, or the last one before it; the last of all where
 * there is none before (RFC 5155 §7.1).
 */
export function coverNsec3(chain: Nsec3Chain, hash: Uint8Array): number {
  const { hashes } = chain;
  const count = chain.cells.length;
  const wanted = first32(hash, 0);
  // Hashes are spread evenly: where one stands can be guessed. `low` counts those that are not after `hash`.
  let low = 0;
  let high = count;
  let lowest = 0;
  let highest = 2 ** 32;
  for (let guesses = GUESSES; low < high; guesses--) {
    let middle = low + high >>> 1;
    if (guesses > 0 && highest > lowest) {
      middle = low + Math.floor((wanted - lowest) / (highest - lowest) * (high - low));
      if (middle >= high) middle = high - 1;
      if (middle < low) middle = low;
    }
    if (compareHash(hashes, middle * 20, hash) <= 0) {
      low = middle + 1;
      lowest = first32(hashes, middle * 20);
    } else {
      high = middle;
      highest = first32(hashes, middle * 20);
    }
  }
  return (low === 0 ? count : low) - 1;
}

/** So often it is guessed before halving takes over, which does not depend on how hashes are spread. */
const GUESSES = 6;

function first32(bytes: Uint8Array, at: number): number {
  return (bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]) >>> 0;
}

function compareHash(hashes: Uint8Array, at: number, hash: Uint8Array): number {
  for (let i = 0; i < 20; i++) if (hashes[at + i] !== hash[i]) return hashes[at + i] - hash[i];
  return 0;
}
