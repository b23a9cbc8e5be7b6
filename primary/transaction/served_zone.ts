import {
  type Fault,
  type Name,
  type ResourceRecord,
  type RRset,
  RRTYPE,
  type ZoneView,
} from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import type { PlacedContents } from "../gate/collect.ts";
import { type Contents, NOTHING } from "../layers/contents.ts";
import { recordsOf } from "../layout/records.ts";
import { type HeldBack, type Layers, mergeOwner } from "../layers/merge.ts";
import { withSerial } from "../serial/soa.ts";

/** A zone as it is served, or as a change proposes to serve it. Never altered: a change makes a new one. */
export interface ServedZone {
  readonly origin: Name;
  /** What was read last for the zone on `main`, good or not; the same again is not parsed again. */
  readonly source: ZoneSource;
  /** Why what was read last is not served; empty where it is. */
  readonly faults: readonly Fault[];
  /** People's layer as served; `undefined` for a zone that was never good, which answers SERVFAIL. */
  readonly good: GoodLayer | undefined;
  readonly machine: Contents;
  readonly dnames: ReadonlySet<Name>;
  readonly heldBack: readonly HeldBack[];
  /** The serial served; 0 for a zone that was never good. */
  readonly serial: number;
}

/** The files a zone was read from, included ones too, with what they held (`undefined`: not there). */
export interface ZoneSource {
  readonly file: string;
  readonly inputs: ReadonlyMap<string, Oid | undefined>;
}

export interface GoodLayer {
  readonly file: string;
  /** The commit it comes from, where that is no longer the one served for `main`. */
  readonly heldAt: Oid | undefined;
  readonly contents: PlacedContents;
  readonly soa: RRset;
  readonly preSigned: boolean;
}

export function layersOf(zone: ServedZone): Layers {
  return {
    origin: zone.origin,
    people: zone.good?.contents ?? NOTHING,
    machine: zone.machine,
    preSigned: zone.good?.preSigned ?? false,
  };
}

/** What is served at one owner name, both layers merged, the SOA with the serial served. */
export function servedAt(zone: ServedZone, owner: Name): readonly RRset[] {
  const merged = mergeOwner(layersOf(zone), owner, zone.dnames).served;
  return owner === zone.origin
    ? merged.map((set) => set.type === RRTYPE.SOA ? servedSoa(zone, set) : set)
    : merged;
}

/** A view on everything served in the zone. */
export function viewOf(zone: ServedZone): ZoneView {
  return {
    origin: zone.origin,
    rrset: (owner, type) => servedAt(zone, owner).find((set) => set.type === type),
    rrsets: (owner) => servedAt(zone, owner),
  };
}

/** Every RRset served, the apex first. */
export function* servedRRsets(zone: ServedZone): Generator<RRset> {
  const people = zone.good?.contents ?? NOTHING;
  yield* servedAt(zone, zone.origin);
  for (const [owner, sets] of people) {
    if (owner === zone.origin) continue;
    yield* zone.machine.has(owner) ? servedAt(zone, owner) : sets;
  }
  for (const owner of zone.machine.keys()) {
    if (owner !== zone.origin && !people.has(owner)) yield* servedAt(zone, owner);
  }
}

/** Every record served. */
export function* servedRecords(zone: ServedZone): Generator<ResourceRecord> {
  for (const set of servedRRsets(zone)) yield* recordsOf(set);
}

function servedSoa(zone: ServedZone, soa: RRset): RRset {
  return withSerial(soa, zone.serial);
}
