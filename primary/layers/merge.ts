import {
  isBelow,
  type Name,
  type OwnerRRsets,
  parentName,
  type RRset,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import { type Contents, hasRdata, tidyRdatas } from "./contents.ts";

/** The two layers of a zone. */
export interface Layers {
  readonly people: People;
  readonly machine: Contents;
}

/** What stands in people's files. */
export interface People {
  readonly zone: Pick<Zone, "origin" | "rrsets" | "owners">;
  /** The names at which it has a DNAME. */
  readonly dnames: ReadonlySet<Name>;
  /** DNSKEY and RRSIG at its apex: served exactly as written. */
  readonly preSigned: boolean;
}

/** An RRset of the machine layer that may not be served. It stays in the branch and is listed. */
export interface HeldBack {
  readonly owner: Name;
  readonly type: number;
  /** Stable. */
  readonly code: "cname" | "dname" | "pre-signed" | "people-only";
  readonly reason: string;
}

/** What is to be served at names of the machine layer. Everywhere else it is what people wrote. */
export interface Merged {
  readonly served: readonly OwnerRRsets[];
  readonly heldBack: readonly HeldBack[];
}

/**
 * Both layers merged at the names that the machine layer has. An RRset in both is their union with people's TTL; where
 * CNAME or DNAME forbids it, people's stands and the machine's is held back.
 */
export function mergeLayers(layers: Layers): Merged {
  const { served, heldBack } = mergeOwners(layers, layers.machine.keys(), dnameOwners(layers));
  return { served: layers.people.preSigned ? [] : served, heldBack };
}

/** As `mergeLayers`, for some names: the cost goes with them, not with the zone. */
export function mergeOwners(layers: Layers, owners: Iterable<Name>, dnames: ReadonlySet<Name>): Merged {
  const served: OwnerRRsets[] = [];
  const heldBack: HeldBack[] = [];
  for (const owner of owners) {
    const merged = mergeOwner(layers, owner, dnames);
    served.push({ owner, rrsets: merged.served });
    heldBack.push(...merged.heldBack);
  }
  return { served, heldBack };
}

function mergeOwner(
  layers: Layers,
  owner: Name,
  dnames: ReadonlySet<Name>,
): { served: readonly RRset[]; heldBack: readonly HeldBack[] } {
  const theirs = layers.people.zone.rrsets(owner);
  const ours = layers.machine.get(owner) ?? [];
  if (ours.length === 0) return { served: theirs, heldBack: [] };
  const above = dnameAbove(layers.people.zone.origin, owner, dnames);
  const served = [...theirs];
  const heldBack: HeldBack[] = [];
  for (const set of ours) {
    const obstacle = obstacleTo(set, layers.people, theirs, ours, above);
    if (obstacle !== undefined) {
      heldBack.push({ owner, type: set.type, ...obstacle });
      continue;
    }
    const at = served.findIndex((each) => each.type === set.type);
    if (at === -1) served.push(set);
    else served[at] = union(served[at], set);
  }
  return { served: served.sort((a, b) => a.type - b.type), heldBack };
}

/** The names at which either layer has a DNAME: nothing of the machine's is served below one. */
export function dnameOwners({ people, machine }: Layers): ReadonlySet<Name> {
  const ours = [...machine].filter(([, sets]) => sets.some((set) => set.type === RRTYPE.DNAME));
  return ours.length === 0 ? people.dnames : new Set([...people.dnames, ...ours.map(([owner]) => owner)]);
}

type Obstacle = Pick<HeldBack, "code" | "reason">;

function obstacleTo(
  set: RRset,
  people: People,
  theirs: readonly RRset[],
  ours: readonly RRset[],
  above: Name | undefined,
): Obstacle | undefined {
  if (people.preSigned) {
    return { code: "pre-signed", reason: "the zone file is pre-signed and served exactly as written" };
  }
  if (set.type === RRTYPE.SOA || (set.type === RRTYPE.NS && set.owner === people.zone.origin)) {
    return { code: "people-only", reason: "SOA, and NS at the apex, belong to the zone file" };
  }
  if (above !== undefined) {
    return { code: "dname", reason: `there is a DNAME above, at ${above} (RFC 6672 §2.4)` };
  }
  if (theirs.some((each) => each.type === RRTYPE.CNAME)) {
    return { code: "cname", reason: "the zone file has a CNAME at the name (RFC 1034 §3.6.2)" };
  }
  // RFC 1034 §3.6.2: a CNAME stands alone. Of two machine RRsets that exclude each other, the other data stands.
  if (set.type === RRTYPE.CNAME && theirs.length + ours.length > 1) {
    return { code: "cname", reason: "there is other data at the name (RFC 1034 §3.6.2)" };
  }
  if (set.type === RRTYPE.DNAME && theirs.some((each) => each.type === RRTYPE.DNAME)) {
    return { code: "dname", reason: "the zone file has a DNAME at the name (RFC 6672 §2.4)" };
  }
  if (set.type === RRTYPE.DNAME && hasNameBelow(people, set.owner)) {
    return { code: "dname", reason: "the zone file has names below the name (RFC 6672 §2.4)" };
  }
  if (set.rdatas.length > 1 && (set.type === RRTYPE.CNAME || set.type === RRTYPE.DNAME)) {
    const code = set.type === RRTYPE.CNAME ? "cname" : "dname";
    return { code, reason: "there can be only one at the name (RFC 2181 §10.1, RFC 6672 §2.4)" };
  }
  return undefined;
}

/** The nearest strict ancestor inside the zone that has a DNAME. */
function dnameAbove(origin: Name, owner: Name, dnames: ReadonlySet<Name>): Name | undefined {
  if (dnames.size === 0 || owner === origin) return undefined;
  for (let name = parentName(owner); name !== undefined; name = parentName(name)) {
    if (dnames.has(name)) return name;
    if (name === origin) return undefined;
  }
  return undefined;
}

/** A walk over the zone; only a machine's DNAME, which is rare, pays it. */
function hasNameBelow({ zone }: People, name: Name): boolean {
  for (const owner of zone.owners()) if (isBelow(owner, name)) return true;
  return false;
}

/** An RRset in both layers is their union, with people's TTL. */
function union(theirs: RRset, ours: RRset): RRset {
  const added = ours.rdatas.filter((rdata) => !hasRdata(theirs, rdata));
  if (added.length === 0) return theirs;
  return { ...theirs, rdatas: tidyRdatas(theirs.type, [...theirs.rdatas, ...added]) };
}
