/** The wildcard that a name which does not exist may be answered from (RFC 4592 §3.3.1). */
import { findCell, type ZoneImage } from "../image/layout.ts";
import { createNameScan, type NameScan, scanWildcard } from "../image/scan.ts";
import { draft } from "./draft.ts";

/** The cell of `*.` and the suffix of `draft.name` that starts with `label`; 0 for none. */
export function findWildcard(zone: ZoneImage, label: number): number {
  draft.steps++;
  return findCell(zone, wildcardAt(label), 0);
}

/** That name itself; good until the next call. */
export function wildcardAt(label: number): NameScan {
  scanWildcard(wildcard, draft.name, label);
  return wildcard;
}

const wildcard = createNameScan();
