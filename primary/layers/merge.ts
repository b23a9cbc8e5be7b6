import { isBelow, type Name, parentName, type RRset, RRTYPE } from "../../dns/mod.ts";
import { type Contents, hasRdata, tidyRdatas } from "./contents.ts";

/** The two layers of a zone. */
export interface Layers {
  readonly origin: Name;
  readonly people: Contents;
  readonly machine: Contents;
  /** The zone file has DNSKEY and RRSIG at its apex: served exactly as written. */
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

export interface Merged {
  readonly served: Contents;
  readonly heldBack: readonly HeldBack[];
}

/**
 * The zone served: both layers merged. An RRset in both is their union with people's TTL; where CNAME or DNAME
 * forbids it, people's stands and the machine's is held back.
 */
export function mergeLayers(layers: Layers): Merged {
  const dnames = dnameOwners(layers);
  const served = new Map<Name, readonly RRset[]>(layers.people);
  const heldBack: HeldBack[] = [];
  for (const owner of layers.machine.keys()) {
    const merged = mergeOwner(layers, owner, dnames);
    if (merged.served.length > 0) served.set(owner, merged.served);
    heldBack.push(...merged.heldBack);
  }
  return { served, heldBack };
}

/** As `mergeLayers`, for one owner name: the cost goes with the name, not with the zone. */
export function mergeOwner(
  layers: Layers,
  owner: Name,
  dnames: ReadonlySet<Name>,
): { served: readonly RRset[]; heldBack: readonly HeldBack[] } {
  const theirs = layers.people.get(owner) ?? [];
  const ours = layers.machine.get(owner) ?? [];
  if (ours.length === 0) return { served: theirs, heldBack: [] };
  const above = dnameAbove(layers.origin, owner, dnames);
  const served = [...theirs];
  const heldBack: HeldBack[] = [];
  for (const set of ours) {
    const obstacle = obstacleTo(set, layers, theirs, ours, above);
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
export function dnameOwners(layers: Pick<Layers, "people" | "machine">): Set<Name> {
  const owners = new Set<Name>();
  for (const contents of [layers.people, layers.machine]) {
    for (const [owner, sets] of contents) {
      if (sets.some((set) => set.type === RRTYPE.DNAME)) owners.add(owner);
    }
  }
  return owners;
}

type Obstacle = Pick<HeldBack, "code" | "reason">;

function obstacleTo(
  set: RRset,
  layers: Layers,
  theirs: readonly RRset[],
  ours: readonly RRset[],
  above: Name | undefined,
): Obstacle | undefined {
  if (layers.preSigned) {
    return { code: "pre-signed", reason: "the zone file is pre-signed and served exactly as written" };
  }
  if (set.type === RRTYPE.SOA || (set.type === RRTYPE.NS && set.owner === layers.origin)) {
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
  if (set.type === RRTYPE.DNAME && hasNameBelow(layers.people, set.owner)) {
    return { code: "dname", reason: "the zone file has names below the name (RFC 6672 §2.4)" };
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

/** A walk over the layer; only a machine's DNAME, which is rare, pays it. */
function hasNameBelow(contents: Contents, name: Name): boolean {
  for (const owner of contents.keys()) if (isBelow(owner, name)) return true;
  return false;
}

/** An RRset in both layers is their union, with people's TTL. */
function union(theirs: RRset, ours: RRset): RRset {
  const added = ours.rdatas.filter((rdata) => !hasRdata(theirs, rdata));
  if (added.length === 0) return theirs;
  return { ...theirs, rdatas: tidyRdatas(theirs.type, [...theirs.rdatas, ...added]) };
}
