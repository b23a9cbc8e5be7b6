import { type ResourceRecord, type RRset, RRTYPE, serialGreater, type Zone } from "../../dns/mod.ts";
import { commitInfo, findEntry, type Oid, type Repository } from "../../store/mod.ts";
import { hasErrors, readZone } from "../gate/read_zone.ts";
import { recordsOf } from "../layout/records.ts";
import { serialOf } from "../serial/soa.ts";
import type { JournalDelta } from "../state/state.ts";
import { treeFiles } from "../transaction/objects.ts";
import type { ServedZone } from "../transaction/served_zone.ts";

/** What a zone was under an earlier serial. */
export type ZoneHistory =
  /** We served it: the exact differences from then to now, oldest first. */
  | { readonly kind: "journal"; readonly deltas: readonly JournalDelta[] }
  /** Before our time: the whole zone, as people's file had it under that serial. */
  | { readonly kind: "file"; readonly commit: Oid; readonly records: readonly ResourceRecord[] };

/**
 * Brings more of a history that was cut when it was fetched. Says whether there is more than before; `false` is the end of
 * it, or the upstream being away.
 */
export type Deepen = () => Promise<boolean>;

/**
 * Looks through the commits for the state of a zone's file that has this serial. It is an answer only where people number
 * their zone: its serial is the one served, it rises with every change from the state found to now and to the state found
 * from the one before, and no program has records in it. Elsewhere the numbers served were ours, and no file tells them.
 *
 * @param from the commit that the zone is served from
 * @param deepen asked where the history that is here ends
 */
export async function findInFiles(
  repository: Repository,
  zone: ServedZone,
  from: Oid,
  serial: number,
  deepen: Deepen,
): Promise<Extract<ZoneHistory, { kind: "file" }> | undefined> {
  if (zone.good === undefined || zone.machine.size > 0 || serialOf(zone.good.soa) !== zone.serial) {
    return undefined;
  }
  if (!serialGreater(zone.serial, serial)) return undefined;
  let newer: number | undefined;
  let inputs: ReadonlyMap<string, Oid | undefined> | undefined;
  let found: Extract<ZoneHistory, { kind: "file" }> | undefined;
  let commit = from;
  for (let steps = 0; steps < MOST_COMMITS; steps++) {
    if (inputs === undefined || !await sameInputs(repository, commit, inputs)) {
      const read = await readZone(
        await treeFiles(repository, commit),
        zone.good.file,
        zone.origin,
        "errors",
      );
      // Where the file was not there, the zone began.
      if (read.inputs.get(zone.good.file) === undefined) return found;
      inputs = read.inputs;
      const { soa, zone: records } = read;
      // A faulty state was never served.
      if (soa !== undefined && records !== undefined && !hasErrors(read.faults)) {
        const number = serialOf(soa);
        if (newer !== undefined && !serialGreater(newer, number)) return undefined;
        if (found !== undefined) return found;
        if (number === serial) found = { kind: "file", commit, records: recordsIn(records, soa) };
        else if (!serialGreater(number, serial)) return undefined;
        newer = number;
      }
    }
    const parent = await parentOf(repository, commit, deepen);
    if (parent === "unknown") return undefined;
    if (parent === undefined) return found;
    commit = parent;
  }
  return undefined;
}

/** A bound on work, not on what people may have. */
const MOST_COMMITS = 100_000;

async function sameInputs(
  repository: Repository,
  commit: Oid,
  inputs: ReadonlyMap<string, Oid | undefined>,
): Promise<boolean> {
  for (const [path, oid] of inputs) {
    if ((await findEntry(repository, commit, path))?.oid !== oid) return false;
  }
  return true;
}

/** The first parent, fetched where it was left out. */
async function parentOf(
  repository: Repository,
  commit: Oid,
  deepen: Deepen,
): Promise<Oid | "unknown" | undefined> {
  const { parents } = await commitInfo(repository, commit);
  const parent = parents.at(0);
  if (parent === undefined) return undefined;
  while (!await repository.has(parent)) if (!await deepen()) return "unknown";
  return parent;
}

function recordsIn(zone: Zone, soa: RRset): ResourceRecord[] {
  const rest = [...zone.records()].filter((set) => set.type !== RRTYPE.SOA);
  return [soa, ...rest].flatMap(recordsOf);
}
