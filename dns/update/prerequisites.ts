/** Whether a zone is as an update supposes it to be (RFC 2136 §3.2). */
import { RCODE } from "../message/codes.ts";
import { canonicalRdata, compareRdata } from "../rr/rdata.ts";
import type { Prerequisite, ZoneView } from "../types.ts";

/** NOERROR when all hold; else the response code of the first that does not. */
export function checkPrerequisites(view: ZoneView, prerequisites: readonly Prerequisite[]): number {
  for (const prerequisite of prerequisites) {
    const rcode = checkPrerequisite(view, prerequisite);
    if (rcode !== RCODE.NOERROR) return rcode;
  }
  return RCODE.NOERROR;
}

function checkPrerequisite(view: ZoneView, prerequisite: Prerequisite): number {
  const { owner } = prerequisite;
  switch (prerequisite.kind) {
    case "name-in-use": // §3.2.4
      return view.rrsets(owner).length > 0 ? RCODE.NOERROR : RCODE.NXDOMAIN;
    case "name-not-in-use": // §3.2.5
      return view.rrsets(owner).length === 0 ? RCODE.NOERROR : RCODE.YXDOMAIN;
    case "rrset-exists": // §3.2.1
      return view.rrset(owner, prerequisite.type) !== undefined ? RCODE.NOERROR : RCODE.NXRRSET;
    case "rrset-absent": // §3.2.3
      return view.rrset(owner, prerequisite.type) === undefined ? RCODE.NOERROR : RCODE.YXRRSET;
    case "rrset-equals": { // §3.2.2: as sets, TTLs aside
      const found = view.rrset(owner, prerequisite.type)?.rdatas ?? [];
      return sameSet(prerequisite.type, found, prerequisite.rdatas) ? RCODE.NOERROR : RCODE.NXRRSET;
    }
  }
}

function sameSet(type: number, a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  const left = canonicalSet(type, a);
  const right = canonicalSet(type, b);
  return left.length === right.length && left.every((rdata, i) => compareRdata(rdata, right[i]) === 0);
}

function canonicalSet(type: number, rdatas: readonly Uint8Array[]): Uint8Array[] {
  const sorted = rdatas.map((rdata) => canonicalRdata(type, rdata)).sort(compareRdata);
  return sorted.filter((rdata, i) => i === 0 || compareRdata(rdata, sorted[i - 1]) !== 0);
}
