/** What changed between two versions of a zone, record by record. */
import { findNode, findRRset, NODE, RRSET, type ZoneImage } from "../image/layout.ts";
import { createNameScan, scanName } from "../image/scan.ts";
import { compareNames } from "../name.ts";
import { compareRdata } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import type { Name, RRset } from "../types.ts";
import { openRRset, ownerOf, type Zone } from "./zone.ts";

/**
 * The SOA stands apart, as in an incremental transfer (RFC 1995 §4). An RRset in a list holds only the records
 * concerned; one whose TTL changed is in both lists whole. Both are in canonical order, at one name by type.
 */
export interface ZoneDifference {
  readonly deleted: readonly RRset[];
  readonly added: readonly RRset[];
  readonly soa: { readonly before: RRset | undefined; readonly after: RRset | undefined };
}

/**
 * Works on the images, octets against octets, and makes values only of what differs. A broken zone counts as one
 * without records.
 * @throws {RangeError} for zones of two origins
 */
export function diffZones(before: Zone, after: Zone): ZoneDifference {
  if (before.origin !== after.origin) throw new RangeError(`${before.origin} is not ${after.origin}`);
  const deleted: RRset[] = [];
  const added: RRset[] = [];
  compareInto(before.image, after.image, (was, is) => {
    const left = is === undefined || was.ttl !== is.ttl ? was : without(was, is);
    if (left.rdatas.length > 0) deleted.push(left);
    if (is === undefined) return;
    const right = was.ttl !== is.ttl ? is : without(is, was);
    if (right.rdatas.length > 0) added.push(right);
  });
  compareInto(after.image, before.image, (is, was) => {
    if (was === undefined) added.push(is);
  });
  return {
    deleted: deleted.sort(canonically),
    added: added.sort(canonically),
    soa: {
      before: before.rrset(before.origin, RRTYPE.SOA),
      after: after.rrset(after.origin, RRTYPE.SOA),
    },
  };
}

/** How the RRsets of one owner differ; both sides by type, empty where there is nothing. */
export interface OwnerChange {
  readonly owner: Name;
  readonly before: readonly RRset[];
  readonly after: readonly RRset[];
}

/**
 * Owner by owner what differs, the SOA included, in canonical order. Versions of one zone that share their base are
 * compared at the cost of what was changed in either. A broken zone counts as one without records.
 * @throws {RangeError} for zones of two origins
 */
export function changedOwners(before: Zone, after: Zone): OwnerChange[];
export function changedOwners(before: Zone, after: Zone, most: number): OwnerChange[] | undefined;
export function changedOwners(before: Zone, after: Zone, most = Infinity): OwnerChange[] | undefined {
  const { deleted, added, soa } = diffZones(before, after);
  const owners = new Set([...deleted, ...added].map(({ owner }) => owner));
  const { before: was, after: is } = soa;
  if (
    was === undefined || is === undefined || compareRdata(was.rdatas[0], is.rdatas[0]) !== 0 ||
    was.ttl !== is.ttl
  ) {
    owners.add(before.origin);
  }
  if (owners.size > most) return undefined;
  return [...owners].sort(compareNames).map((owner) => ({
    owner,
    before: before.rrsets(owner),
    after: after.rrsets(owner),
  }));
}

/** Calls `differs` for each RRset of `a` that `b` has not, or has otherwise. */
function compareInto(
  a: ZoneImage,
  b: ZoneImage,
  differs: (ofA: RRset, ofB: RRset | undefined) => void,
): void {
  const scan = createNameScan();
  const count = a.nodes.length / NODE.size;
  for (let node = 0; node < count; node++) {
    const at = node * NODE.size;
    const first = a.nodes[at + NODE.firstRRset];
    const end = first + a.nodes[at + NODE.rrsetCount];
    if (first === end) continue;
    const name = a.nodes[at + NODE.name];
    scanName(scan, a.names, name, name + a.nodes[at + NODE.length], b.seed);
    const other = findNode(b, scan, 0);
    let owner: Name | undefined;
    for (let rrset = first; rrset < end; rrset++) {
      const type = a.rrsets[rrset * RRSET.size + RRSET.type];
      if (type === RRTYPE.SOA) continue;
      const twin = other < 0 ? -1 : findRRset(b, other, type);
      if (twin >= 0 && sameRecords(a, rrset, b, twin)) continue;
      owner ??= ownerOf(a, node);
      differs(openRRset(a, owner, rrset), twin < 0 ? undefined : openRRset(b, owner, twin));
    }
  }
}

function sameRecords(a: ZoneImage, rrsetOfA: number, b: ZoneImage, rrsetOfB: number): boolean {
  const octets = a.rrsets[rrsetOfA * RRSET.size + RRSET.octets];
  if (octets !== b.rrsets[rrsetOfB * RRSET.size + RRSET.octets]) return false;
  const left = a.rrsets[rrsetOfA * RRSET.size + RRSET.offset];
  const right = b.rrsets[rrsetOfB * RRSET.size + RRSET.offset];
  for (let i = 0; i < octets; i++) if (a.records[left + i] !== b.records[right + i]) return false;
  return true;
}

function without(rrset: RRset, other: RRset): RRset {
  const key = (rdata: Uint8Array) => String.fromCharCode(...rdata.subarray(0, 4096)) + rdata.length;
  const known = new Map<string, Uint8Array[]>();
  for (const rdata of other.rdatas) known.set(key(rdata), [...(known.get(key(rdata)) ?? []), rdata]);
  return {
    ...rrset,
    rdatas: rrset.rdatas.filter((rdata) =>
      !known.get(key(rdata))?.some((twin) => compareRdata(twin, rdata) === 0)
    ),
  };
}

function canonically(a: RRset, b: RRset): number {
  return a.owner === b.owner ? a.type - b.type : compareNames(a.owner, b.owner);
}
