import { canonicalRdata, compareRdata, type Name, type RRset } from "../../dns/mod.ts";

/** The records of branch `machine` for a zone, by owner; the RRsets of an owner in order of type. */
export type Contents = ReadonlyMap<Name, readonly RRset[]>;

export const NOTHING: Contents = new Map();

export function rrsetOf(contents: Contents, owner: Name, type: number): RRset | undefined {
  return contents.get(owner)?.find((set) => set.type === type);
}

/** Equal as data: type, TTL and rdatas, whatever the objects are. */
export function sameRRset(a: RRset | undefined, b: RRset | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return a.type === b.type && a.owner === b.owner && a.ttl === b.ttl && sameRdatas(a.rdatas, b.rdatas);
}

export function sameRRsets(a: readonly RRset[], b: readonly RRset[]): boolean {
  return a.length === b.length && a.every((set, at) => sameRRset(set, b[at]));
}

function sameRdatas(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((rdata, at) => compareRdata(rdata, b[at]) === 0);
}

export function hasRdata(set: RRset | undefined, rdata: Uint8Array): boolean {
  if (set === undefined) return false;
  const wanted = canonicalRdata(set.type, rdata);
  return set.rdatas.some((each) => compareRdata(canonicalRdata(set.type, each), wanted) === 0);
}

/** In canonical order and without doubles (RFC 4034 §6.3); of doubles that differ in case the first stays. */
export function tidyRdatas(type: number, rdatas: readonly Uint8Array[]): Uint8Array[] {
  if (rdatas.length < 2) return [...rdatas];
  const keyed = rdatas.map((rdata) => ({ rdata, key: canonicalRdata(type, rdata) }));
  keyed.sort((a, b) => compareRdata(a.key, b.key));
  return keyed.filter(({ key }, at) => at === 0 || compareRdata(key, keyed[at - 1].key) !== 0)
    .map(({ rdata }) => rdata);
}
