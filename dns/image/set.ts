/** The zones that are answered from, together: found by their origin, the deepest first. */
import type { ZoneImage } from "./layout.ts";
import { createNameScan, following, type NameScan, scanName, spread } from "./scan.ts";

export interface ImageSet {
  readonly zones: readonly ZoneImage[];
  /** Open-addressing index on the origin: zone + 1, 0 for free. */
  readonly slots: Int32Array;
  readonly hashes: Int32Array;
  readonly seed: number;
  /** The fewest and the most labels of an origin, so that a search knows where to look. */
  readonly fewest: number;
  readonly most: number;
}

/** @throws {RangeError} for two zones of one origin, or images of two processes */
export function createImageSet(zones: readonly ZoneImage[]): ImageSet {
  let size = 4;
  while (size < zones.length * 2) size *= 2;
  const slots = new Int32Array(size);
  const hashes = new Int32Array(zones.length);
  const seed = zones.length > 0 ? zones[0].seed : 0;
  const scan = createNameScan();
  const set: ImageSet = {
    zones,
    slots,
    hashes,
    seed,
    fewest: zones.reduce((least, zone) => Math.min(least, zone.originLabels), 128),
    most: zones.reduce((most, zone) => Math.max(most, zone.originLabels), -1),
  };
  zones.forEach((zone, index) => {
    if (zone.seed !== seed) throw new RangeError("images of two processes do not go together");
    scanName(scan, zone.originWire, 0, zone.originWire.length, seed);
    if (findOrigin(set, scan, 0) >= 0) throw new RangeError(`two zones ${zone.origin}`);
    hashes[index] = scan.hashes[0];
    let slot = spread(scan.hashes[0], size);
    while (slots[slot] !== 0) slot = following(slot, size);
    slots[slot] = index + 1;
  });
  return set;
}

/**
 * The deepest zone at or above the suffix of `scan` that starts with label `from`; -1 when the name is none of ours.
 */
export function findZone(set: ImageSet, scan: NameScan, from: number): number {
  const last = scan.labels - set.fewest;
  for (let label = Math.max(from, scan.labels - set.most); label <= last; label++) {
    const zone = findOrigin(set, scan, label);
    if (zone >= 0) return zone;
  }
  return -1;
}

function findOrigin(set: ImageSet, scan: NameScan, label: number): number {
  const { slots, zones, hashes } = set;
  const hash = scan.hashes[label];
  const start = scan.starts[label];
  const length = scan.length - start;
  const size = slots.length;
  for (let slot = spread(hash, size);; slot = following(slot, size)) {
    const zone = slots[slot] - 1;
    if (zone < 0) return -1;
    if (hashes[zone] !== hash) continue;
    const origin = zones[zone].originWire;
    if (origin.length !== length) continue;
    let i = 0;
    while (i < length && origin[i] === scan.lower[start + i]) i++;
    if (i === length) return zone;
  }
}
