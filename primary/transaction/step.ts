import {
  brokenZone,
  changedOwners,
  type Name,
  type OwnerChange,
  type OwnerRRsets,
  type RRset,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import { sameRRsets } from "../layers/contents.ts";
import { dnameOwners, type HeldBack, type Layers, mergeLayers, mergeOwners } from "../layers/merge.ts";
import { recordsOf } from "../layout/records.ts";
import { servedSerial } from "../serial/served_serial.ts";
import { serialOf, withSerial } from "../serial/soa.ts";
import type { JournalDelta } from "../state/state.ts";
import { type GoodLayer, memoryOf, numbered, type ServedZone } from "./served_zone.ts";

/** What one change does to one zone. */
export interface ZoneStep {
  readonly origin: Name;
  readonly before: ServedZone | undefined;
  /** `undefined` when the zone is served no more. */
  readonly after: ServedZone | undefined;
  /**
   * Owner by owner, what was served before and is after, the apex with the serials first; empty where nothing served
   * changes, and for a zone of which nothing was served or will be. `undefined` where so much differs that a list of it
   * would be larger than the zone.
   */
  readonly changes: readonly OwnerChange[] | undefined;
}

/** With more than that the whole zone is as good: see what the journal keeps of a step. */
const MOST_CHANGES = 50_000;

/** Up to so many names a file that was read again is a patch of what is served; above that it is a base of its own. */
const MOST_LAID_OVER = 2_000;

/** A zone as a change proposes it: what is served and its serial follow from it. */
export type ProposedZone = Omit<ServedZone, "served" | "serial" | "heldBack" | "dnames">;

/**
 * Merges the layers, finds what differs from what is served, and gives the serial for it.
 *
 * @param touched the owners whose records may differ in the machine's layer, where people's is the same; `undefined`: any
 * @param floor the last serial this name was served under, should the zone not be served now
 * @throws {Error} where the records of both layers make no zone
 */
export function stepZone(
  before: ServedZone | undefined,
  proposed: ProposedZone,
  touched: ReadonlySet<Name> | undefined,
  floor: number | undefined,
): ZoneStep {
  const { origin } = proposed;
  const good = proposed.good && overLastBase(before?.good, proposed.good);
  if (good === undefined) {
    const served = before?.served.broken ? before.served : brokenZone(origin);
    const after = { ...proposed, dnames: new Set<Name>(), heldBack: [], served, serial: 0 };
    return { origin, before, after, changes: [] };
  }
  const layers = { people: good, machine: proposed.machine };
  const dnames = dnameOwners(layers);
  const version = before?.good === undefined
    ? firstVersion(layers, good, floor)
    : touched !== undefined && before.good.zone === good.zone && sameNames(before.dnames, dnames)
    ? patchedVersion(before, layers, good, touched, dnames)
    : nextVersion(before, layers, good);
  const { served, heldBack, changes } = version;
  const after = { ...proposed, good: overBaseOf(served, good, layers), dnames, heldBack, served };
  return { origin, before, after: { ...after, serial: served.serial }, changes };
}

/**
 * A file that was read again and differs at few names is laid over the base that is served, so that a small push costs
 * workers and memory what it changes. A signed zone's chain is not patched.
 */
function overLastBase(before: GoodLayer | undefined, good: GoodLayer): GoodLayer {
  if (before === undefined || memoryOf(before.zone) === memoryOf(good.zone)) return good;
  if (before.zone.image.denial !== undefined || good.zone.image.denial !== undefined) return good;
  const changes = changedOwners(before.zone, good.zone, MOST_LAID_OVER);
  if (changes === undefined) return good;
  return {
    ...good,
    zone: patched(before.zone, changes.map(({ owner, after }) => ({ owner, rrsets: after }))),
  };
}

/**
 * A version for which its base had no more room has one of its own. People's zone is laid over that too: two bases are
 * the memory of two zones.
 */
function overBaseOf(served: Zone, good: GoodLayer, { machine }: Layers): GoodLayer {
  const { zone } = good;
  if (memoryOf(served) === memoryOf(zone)) return good;
  const owners = new Set([zone.origin, ...machine.keys()]);
  return {
    ...good,
    zone: patched(served, [...owners].map((owner) => ({ owner, rrsets: zone.rrsets(owner) }))),
  };
}

/** A zone that goes out of service; its serial is remembered by name. */
export function removeZone(before: ServedZone): ZoneStep {
  return { origin: before.origin, before, after: undefined, changes: [] };
}

interface Version {
  readonly served: Zone;
  readonly heldBack: readonly HeldBack[];
  readonly changes: ZoneStep["changes"];
}

/** Of a zone that is not served now. */
function firstVersion(layers: Layers, good: GoodLayer, floor: number | undefined): Version {
  const merged = mergeLayers(layers);
  const whole = patched(good.zone, merged.served);
  return { served: numbered(whole, nextSerial(floor, good)), heldBack: merged.heldBack, changes: [] };
}

/** Of a zone that is served, whatever of it may have changed. */
function nextVersion(before: ServedZone, layers: Layers, good: GoodLayer): Version {
  const { heldBack, served: over } = mergeLayers(layers);
  const whole = patched(good.zone, over);
  if (good.preSigned) {
    const changes = changedOwners(before.served, whole, MOST_CHANGES);
    return { served: whole, heldBack, changes: changes && apexFirst(changes) };
  }
  // A file that differs in its serial alone changes nothing that is served.
  const unnumbered = numbered(whole, before.serial);
  const changes = changedOwners(before.served, unnumbered, MOST_CHANGES);
  if (changes?.length === 0) return { served: unnumbered, heldBack, changes };
  const served = numbered(whole, nextSerial(before.serial, good));
  return { served, heldBack, changes: changes && withApex(before.served, served, changes) };
}

/** Of a zone that is served, where a program changed records at some names: at their cost. */
function patchedVersion(
  before: ServedZone,
  layers: Layers,
  good: GoodLayer,
  touched: ReadonlySet<Name>,
  dnames: ReadonlySet<Name>,
): Version {
  const { origin } = before;
  const merged = mergeOwners(layers, touched, dnames);
  const heldBack = [...before.heldBack.filter((each) => !touched.has(each.owner)), ...merged.heldBack];
  const apexOf = (sets: readonly RRset[], serial: number) =>
    sets.map((set) => set.type === RRTYPE.SOA ? withSerial(set, serial) : set);
  const changes = merged.served.map(({ owner, rrsets }): OwnerChange => ({
    owner,
    before: before.served.rrsets(owner),
    after: owner === origin ? apexOf(rrsets, before.serial) : rrsets,
  })).filter((change) => !sameRRsets(change.before, change.after));
  if (changes.length === 0) return { served: before.served, heldBack, changes };

  const serial = nextSerial(before.serial, good);
  const rest = changes.filter(({ owner }) => owner !== origin);
  const apex = changes.find(({ owner }) => owner === origin)?.after ?? before.served.rrsets(origin);
  const served = patched(before.served, [
    { owner: origin, rrsets: apexOf(apex, serial) },
    ...rest.map(({ owner, after }) => ({ owner, rrsets: after })),
  ]);
  return { served, heldBack, changes: withApex(before.served, served, rest) };
}

/** The serial of something that differs from what was served under `previous`. */
function nextSerial(previous: number | undefined, { soa, preSigned }: GoodLayer): number {
  const file = serialOf(soa);
  return preSigned ? file : servedSerial({ previous, file, changed: true });
}

function patched(zone: Zone, over: readonly OwnerRRsets[]): Zone {
  if (over.length === 0) return zone;
  const outcome = zone.patched(over);
  if (!outcome.ok) throw new Error(`${zone.origin} cannot be compiled: ${outcome.error.message}`);
  return outcome.value;
}

/** The changes of a version with another serial, of which the SOA is one. */
function withApex(before: Zone, after: Zone, changes: readonly OwnerChange[]): OwnerChange[] {
  const { origin } = after;
  const apex = { owner: origin, before: before.rrsets(origin), after: after.rrsets(origin) };
  return [apex, ...changes.filter(({ owner }) => owner !== origin)];
}

function apexFirst(changes: readonly OwnerChange[]): OwnerChange[] {
  const isApex = ({ before, after }: OwnerChange) =>
    [...before, ...after].some(({ type }) => type === RRTYPE.SOA);
  return [...changes.filter(isApex), ...changes.filter((change) => !isApex(change))];
}

/** The exact difference, for IXFR; `undefined` where there is none to keep: a zone that is new, gone or unchanged. */
export function deltaOf(step: ZoneStep): JournalDelta | undefined {
  const { before, after, changes } = step;
  if (before?.good === undefined || after?.good === undefined) return undefined;
  if (changes === undefined || changes.length === 0) return undefined;
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

function sameNames(a: ReadonlySet<Name>, b: ReadonlySet<Name>): boolean {
  return a.size === b.size && [...a].every((name) => b.has(name));
}
