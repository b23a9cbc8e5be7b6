import { type Name, RRTYPE } from "../../dns/mod.ts";
import { type OwnerChange, rrsetOf, sameRRsets } from "../layers/contents.ts";
import { dnameOwners, type HeldBack, type Layers, mergeOwner } from "../layers/merge.ts";
import { servedSerial } from "../serial/served_serial.ts";
import { serialOf, withSerial } from "../serial/soa.ts";
import type { JournalDelta } from "../state/state.ts";
import { recordsOf } from "../layout/records.ts";
import { layersOf, type ServedZone } from "./served_zone.ts";

/** What one change does to one zone. */
export interface ZoneStep {
  readonly origin: Name;
  readonly before: ServedZone | undefined;
  /** `undefined` when the zone is served no more. */
  readonly after: ServedZone | undefined;
  /** Owner by owner, what is served before and after; empty where nothing served changes. The SOAs carry the serials. */
  readonly changes: readonly OwnerChange[];
}

/** A zone as a change proposes it: its serial and what is held back follow from it. */
export type ProposedZone = Omit<ServedZone, "serial" | "heldBack" | "dnames">;

/**
 * Merges the layers, finds what differs from what is served, and gives the serial for it.
 *
 * @param touched owners whose records may differ in either layer; `undefined`: any
 * @param floor the last serial this name was served under, should the zone not be served now
 */
export function stepZone(
  before: ServedZone | undefined,
  proposed: ProposedZone,
  touched: ReadonlySet<Name> | undefined,
  floor: number | undefined,
): ZoneStep {
  const { origin, good } = proposed;
  const layers = {
    origin,
    people: good?.contents ?? new Map(),
    machine: proposed.machine,
    preSigned: good?.preSigned ?? false,
  };
  const dnames = before === undefined || touched === undefined
    ? dnameOwners(layers)
    : dnamesAfter(before.dnames, layers, touched);
  const all = before === undefined || touched === undefined || before.good === undefined ||
    good === undefined ||
    before.good.preSigned !== good.preSigned || !sameNames(before.dnames, dnames);

  const owners = all ? everyOwner(before, proposed) : touched;
  const heldBack: HeldBack[] = all ? [] : before.heldBack.filter((each) => !touched.has(each.owner));
  const changes: OwnerChange[] = [];
  for (const owner of owners) {
    const merged = mergeOwner(layers, owner, dnames);
    heldBack.push(...merged.heldBack);
    const was = before?.good === undefined ? [] : mergeOwner(layersOf(before), owner, before.dnames).served;
    if (!sameRRsets(was, merged.served)) changes.push({ owner, before: was, after: merged.served });
  }

  const previous = before?.good === undefined ? floor : before.serial;
  const serial = good === undefined ? 0 : good.preSigned ? serialOf(good.soa) : servedSerial({
    previous,
    file: serialOf(good.soa),
    changed: before?.good === undefined || changes.some((change) => differsBesideSerial(change)),
  });
  const after: ServedZone = { ...proposed, dnames, heldBack, serial };
  return { origin, before, after, changes: withServedSoas(before, after, changes) };
}

/** A zone that goes out of service; its serial is remembered by name. */
export function removeZone(before: ServedZone): ZoneStep {
  return { origin: before.origin, before, after: undefined, changes: [] };
}

/** The exact difference, for IXFR; `undefined` where there is none to keep: a zone that is new, gone or unchanged. */
export function deltaOf(step: ZoneStep): JournalDelta | undefined {
  const { before, after, changes } = step;
  if (before?.good === undefined || after?.good === undefined || changes.length === 0) return undefined;
  const deleted = [];
  const added = [];
  for (const change of changes) {
    for (const set of change.before) {
      const now = change.after.find((each) => each.type === set.type);
      deleted.push(...missingFrom(now, set));
    }
    for (const set of change.after) {
      const was = change.before.find((each) => each.type === set.type);
      added.push(...missingFrom(was, set));
    }
  }
  const soaFirst = (a: { type: number }, b: { type: number }) =>
    Number(b.type === RRTYPE.SOA) - Number(a.type === RRTYPE.SOA);
  return {
    zone: step.origin,
    from: before.serial,
    to: after.serial,
    deleted: deleted.sort(soaFirst),
    added: added.sort(soaFirst),
  };
}

/** The records of `set` that `other` does not have, TTL included. */
function missingFrom(other: OwnerChange["after"][number] | undefined, set: OwnerChange["after"][number]) {
  const records = recordsOf(set);
  if (other === undefined || other.ttl !== set.ttl) return records;
  const known = new Set(other.rdatas.map(hex));
  return records.filter((record) => !known.has(hex(record.rdata)));
}

function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

function differsBesideSerial(change: OwnerChange): boolean {
  if (change.before.length !== change.after.length) return true;
  return change.before.some((set, at) => {
    const now = change.after[at];
    const comparable = set.type === RRTYPE.SOA && now.type === RRTYPE.SOA
      ? withSerial(now, serialOf(set))
      : now;
    return !sameRRsets([set], [comparable]);
  });
}

/**
 * The changes with the apex's SOA under the serials served. A file that differs in its serial alone changes nothing
 * that is served.
 */
function withServedSoas(
  before: ServedZone | undefined,
  after: ServedZone,
  changes: readonly OwnerChange[],
): OwnerChange[] {
  const { origin } = after;
  const rest = changes.filter((change) => change.owner !== origin);
  if (after.good === undefined) return rest;
  const number = (zone: ServedZone | undefined, sets: OwnerChange["before"]) =>
    sets.map((set) => set.type === RRTYPE.SOA && zone !== undefined ? withSerial(set, zone.serial) : set);
  const was = before?.good === undefined
    ? []
    : number(before, mergeOwner(layersOf(before), origin, before.dnames).served);
  const now = number(after, mergeOwner(layersOf(after), origin, after.dnames).served);
  if (sameRRsets(was, now)) return rest;
  return [{ owner: origin, before: was, after: now }, ...rest];
}

/** As `dnameOwners`, at the cost of the names touched. */
function dnamesAfter(before: ReadonlySet<Name>, layers: Layers, touched: ReadonlySet<Name>): Set<Name> {
  const dnames = new Set(before);
  for (const owner of touched) {
    const has = [layers.people, layers.machine].some((contents) => rrsetOf(contents, owner, RRTYPE.DNAME));
    if (has) dnames.add(owner);
    else dnames.delete(owner);
  }
  return dnames;
}

function everyOwner(before: ServedZone | undefined, after: ProposedZone): Set<Name> {
  const owners = new Set<Name>();
  for (const contents of [before?.good?.contents, before?.machine, after.good?.contents, after.machine]) {
    for (const owner of contents?.keys() ?? []) owners.add(owner);
  }
  return owners;
}

function sameNames(a: ReadonlySet<Name>, b: ReadonlySet<Name>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}
