import { type Fault, type Name, parseZoneFile, RRTYPE } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { meaningOf } from "../layout/zone_files.ts";
import { topOf } from "./check.ts";
import { mentionsSoa } from "./mentions_soa.ts";
import { LARGEST_FILE, readContent, regularFile, type TreeFiles } from "./tree_files.ts";

/** Which files of a commit are zone files and which hold keys. */
export interface ZoneSet {
  /** Every zone with its file. A zone with several files is in `faults` and stands under the first. */
  readonly zones: ReadonlyMap<Name, string>;
  /** Zones that several files claim. */
  readonly contested: ReadonlySet<Name>;
  readonly keyFiles: readonly string[];
  readonly faults: readonly Fault[];
}

/** What is known of a file with a bare domain name, by path and content, so that each is looked into once. */
export type SniffCache = Map<string, boolean>;

/**
 * @param served the zones served now: a bare domain name among them is that zone's file, unless a `.zone` file is
 */
export async function findZones(
  files: TreeFiles,
  served: { has(zone: Name): boolean },
  cache: SniffCache,
): Promise<ZoneSet> {
  const claims = new Map<Name, string[]>();
  const perhaps: { path: string; zone: Name; oid: Oid }[] = [];
  const keyFiles: string[] = [];
  const faults: Fault[] = [];
  for (const path of files.entries.keys()) {
    const meaning = meaningOf(path);
    if (meaning.kind === "other") continue;
    const oid = regularFile(files, path);
    if (oid === undefined) continue;
    if (meaning.kind === "zone") addTo(claims, meaning.zone, path);
    else if (meaning.kind === "perhaps-zone") perhaps.push({ path, zone: meaning.zone, oid });
    else if (meaning.kind === "keys") keyFiles.push(path);
    else {faults.push({
        position: topOf(path),
        severity: "error",
        code: "bad-zone-name",
        message: meaning.message,
      });}
  }
  const named = new Set(claims.keys());
  for (const { path, zone, oid } of perhaps) {
    const isZone = (served.has(zone) && !named.has(zone)) || await hasOwnSoa(files, path, oid, zone, cache);
    if (isZone) addTo(claims, zone, path);
  }

  const zones = new Map<Name, string>();
  const contested = new Set<Name>();
  for (const [zone, paths] of claims) {
    paths.sort();
    zones.set(zone, paths[0]);
    if (paths.length === 1) continue;
    contested.add(zone);
    for (const path of paths.slice(1)) {
      faults.push({
        position: topOf(path),
        severity: "error",
        code: "duplicate-zone",
        message: `the zone ${zone} is in ${paths[0]} already; keep one of the two files`,
      });
    }
  }
  return { zones, contested, keyFiles: keyFiles.sort(), faults };
}

/** An SOA record among the file's own entries, not among those of files it includes. */
async function hasOwnSoa(
  files: TreeFiles,
  path: string,
  oid: Oid,
  zone: Name,
  cache: SniffCache,
): Promise<boolean> {
  const key = `${oid} ${path}`;
  const known = cache.get(key);
  if (known !== undefined) return known;
  const content = await readContent(files, path, oid);
  // Taken for a zone, so that its name is not answered as if there had never been one.
  if ("fault" in content) return true;
  const { bytes } = content;
  const outcome = bytes.length <= LARGEST_FILE && mentionsSoa(bytes) && looksLikeZone(path, bytes, zone);
  if (cache.size >= SNIFF_CACHE) cache.clear();
  cache.set(key, outcome);
  return outcome;
}

const SNIFF_CACHE = 10_000;

/**
 * A README may show a zone, and a zone may hold a slip before its SOA record. So an SOA that no fault precedes
 * counts; behind a fault it counts at the apex only, in a file that has more records than faults.
 */
function looksLikeZone(path: string, bytes: Uint8Array, zone: Name): boolean {
  let records = 0;
  let soaAtApex = false;
  let soaLine: number | undefined;
  const include = () => new Uint8Array();
  const faults = parseZoneFile({ file: path, bytes, origin: zone, include }, (record, position) => {
    records++;
    if (record.type !== RRTYPE.SOA) return;
    soaLine ??= position.line;
    if (record.owner === zone) soaAtApex = true;
  }).filter((fault) => fault.severity === "error");
  if (soaLine === undefined) return false;
  const line = soaLine;
  if (!faults.some((fault) => fault.position.line < line)) return true;
  return soaAtApex && records > faults.length;
}

function addTo(claims: Map<Name, string[]>, zone: Name, path: string): void {
  const paths = claims.get(zone);
  if (paths === undefined) claims.set(zone, [path]);
  else paths.push(path);
}
