/**
 * The wildcard that a name which does not exist may be answered from (RFC 4592 §3.3.1).
 *
 * Hot path. Which one it is depends on the closest encloser alone, and a flood of random names has one of those: what was
 * found is kept. Keys are images, of which each has a number of its own, and cells, which never change in an image.
 */
import { coverNsec } from "../image/denial.ts";
import { findCell, type ZoneImage } from "../image/layout.ts";
import { createNameScan, scanWildcard } from "../image/scan.ts";
import { draft } from "./draft.ts";

/** The cell of `*.` and the closest encloser, whose name is the suffix of `draft.name` from `label` on; 0 for none. */
export function findWildcard(zone: ZoneImage, encloser: number, label: number): number {
  draft.steps++;
  const slot = encloser >>> 1 & SLOTS - 1;
  if (foundIds[slot] === zone.id && foundAt[slot] === encloser) return found[slot];
  scanWildcard(wildcard, draft.name, label);
  foundIds[slot] = zone.id;
  foundAt[slot] = encloser;
  return found[slot] = findCell(zone, wildcard, 0);
}

/** The cell of the NSEC that is that name's or covers it. */
export function coverWildcard(zone: ZoneImage, encloser: number, label: number): number {
  const slot = encloser >>> 1 & SLOTS - 1;
  if (coverIds[slot] === zone.id && coverAt[slot] === encloser) return covers[slot];
  scanWildcard(wildcard, draft.name, label);
  coverIds[slot] = zone.id;
  coverAt[slot] = encloser;
  return covers[slot] = coverNsec(zone, wildcard);
}

const SLOTS = 1024;
const foundIds = new Int32Array(SLOTS);
const foundAt = new Int32Array(SLOTS);
const found = new Int32Array(SLOTS);
const coverIds = new Int32Array(SLOTS);
const coverAt = new Int32Array(SLOTS);
const covers = new Int32Array(SLOTS);

const wildcard = createNameScan();
