/** The wildcard that a name which does not exist may be answered from (RFC 4592 §3.3.1). */
import { findCell, type ZoneImage } from "../image/layout.ts";
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";
import { draft } from "./draft.ts";

/** The cell of `*.` and the suffix of `draft.name` that starts with `label`; 0 for none. */
export function findWildcard(zone: ZoneImage, label: number): number {
  draft.steps++;
  return findCell(zone, scanWildcard(zone, label), 0);
}

/** That name itself; good until the next call. */
export function scanWildcard(zone: ZoneImage, label: number): NameScan {
  const { lower, starts, length } = draft.name;
  wire[0] = 1;
  wire[1] = 0x2a;
  const start = starts[label];
  for (let i = start; i < length; i++) wire[2 + i - start] = lower[i];
  scanName(wildcard, wire, 0, 2 + length - start, zone.seed);
  return wildcard;
}

const wildcard = createNameScan();
const wire = new Uint8Array(257);
