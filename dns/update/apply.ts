/** What an update makes of a zone (RFC 2136 §3.4.2). */
import { serialGreater } from "../serial.ts";
import { canonicalRdata, compareRdata } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import { soaSerial } from "../rr/soa.ts";
import type { Name, ResourceRecord, RRset, UpdateOperation, ZoneView } from "../types.ts";

/** An RRset before and after; `undefined` where there is none. */
export interface RRsetChange {
  readonly owner: Name;
  readonly type: number;
  readonly before: RRset | undefined;
  readonly after: RRset | undefined;
}

/**
 * Carries operations out, one after the other, on a picture of the zone, and gives what is different in the end, in the order in which
 * RRsets were first touched; nothing for operations that cancel out. What RFC 2136 ignores is ignored: a second kind of data beside CNAME, a SOA that
 * is older or not at the apex, the deletion of the apex's SOA and of its last NS. Every owner is at or below `view.origin`;
 * names of other zones are the caller's to sort out. The serial is not raised here.
 */
export function applyOperations(
  view: ZoneView,
  operations: readonly UpdateOperation[],
): readonly RRsetChange[] {
  const draft = createDraft(view);
  for (const operation of operations) {
    switch (operation.kind) {
      case "add":
        add(view, draft, operation.record);
        break;
      case "delete-rrset":
        if (!isKeptAtApex(view, operation.owner, operation.type)) {
          draft.put(operation.owner, operation.type, undefined);
        }
        break;
      case "delete-name":
        // §3.4.2.3
        for (const { owner, type } of draft.rrsets(operation.owner)) {
          if (!isKeptAtApex(view, owner, type)) draft.put(owner, type, undefined);
        }
        break;
      case "delete-record":
        deleteRecord(view, draft, operation);
        break;
    }
  }
  return draft.changes();
}

/** §3.4.2.2 */
function add(view: ZoneView, draft: Draft, record: ResourceRecord): void {
  const { owner, type, ttl } = record;
  const before = draft.rrset(owner, type);
  if (type === RRTYPE.SOA) {
    if (owner !== view.origin) return;
    if (before !== undefined && serialGreater(soaSerial(before.rdatas[0]), soaSerial(record.rdata))) return;
  }
  if (!mayStandBeside(draft, owner, type)) return;
  // RFC 2181 §5.2: an RRset has one TTL, so the newest counts for all.
  const rdatas = SINGLETONS.has(type) ? [record.rdata] : withRdata(type, before?.rdatas ?? [], record.rdata);
  draft.put(owner, type, { owner, type, ttl, rdatas });
}

/** §3.4.2.4 */
function deleteRecord(
  view: ZoneView,
  draft: Draft,
  { owner, type, rdata }: Extract<UpdateOperation, { kind: "delete-record" }>,
): void {
  const before = draft.rrset(owner, type);
  if (before === undefined || type === RRTYPE.SOA) return;
  const rest = before.rdatas.filter((other) => !sameRdata(type, other, rdata));
  if (rest.length === 0 && isKeptAtApex(view, owner, type)) return;
  draft.put(owner, type, rest.length === 0 ? undefined : { ...before, rdatas: rest });
}

/** §3.4.2.2: CNAME and other data exclude each other, what is there wins; DNSSEC's records may stand beside (RFC 4035 §2.5). */
function mayStandBeside(draft: Draft, owner: Name, type: number): boolean {
  if (BESIDE_CNAME.has(type)) return true;
  const excluding = (other: number) =>
    type === RRTYPE.CNAME ? other !== RRTYPE.CNAME : other === RRTYPE.CNAME;
  return !draft.rrsets(owner).some((other) => excluding(other.type) && !BESIDE_CNAME.has(other.type));
}

/** §3.4.2.3 and §3.4.2.4: these are not deleted, only replaced. */
function isKeptAtApex(view: ZoneView, owner: Name, type: number): boolean {
  return owner === view.origin && (type === RRTYPE.SOA || type === RRTYPE.NS);
}

/** Types of which an owner has one record (RFC 1035 §3.3.13, RFC 2181 §10.1, RFC 6672 §2.4): an addition replaces. */
const SINGLETONS: ReadonlySet<number> = new Set([RRTYPE.SOA, RRTYPE.CNAME, RRTYPE.DNAME]);
const BESIDE_CNAME: ReadonlySet<number> = new Set([RRTYPE.RRSIG, RRTYPE.NSEC, RRTYPE.KEY]);

/** The zone as it becomes: what was touched, over what was there. */
interface Draft {
  rrset(owner: Name, type: number): RRset | undefined;
  rrsets(owner: Name): readonly RRset[];
  put(owner: Name, type: number, rrset: RRset | undefined): void;
  changes(): RRsetChange[];
}

function createDraft(view: ZoneView): Draft {
  const touched = new Map<Name, Map<number, RRset | undefined>>();
  const order: { owner: Name; type: number }[] = [];
  return {
    rrset(owner, type) {
      const types = touched.get(owner);
      return types?.has(type) ? types.get(type) : view.rrset(owner, type);
    },
    rrsets(owner) {
      const types = touched.get(owner);
      if (types === undefined) return view.rrsets(owner);
      const rest = view.rrsets(owner).filter(({ type }) => !types.has(type));
      return [...rest, ...[...types.values()].filter((rrset) => rrset !== undefined)];
    },
    put(owner, type, rrset) {
      let types = touched.get(owner);
      if (types === undefined) touched.set(owner, types = new Map());
      if (!types.has(type)) order.push({ owner, type });
      types.set(type, rrset);
    },
    changes: () =>
      order.map(({ owner, type }) => ({
        owner,
        type,
        before: view.rrset(owner, type),
        after: touched.get(owner)?.get(type),
      })).filter(({ before, after }) => !sameRRset(before, after)),
  };
}

function sameRRset(a: RRset | undefined, b: RRset | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.ttl === b.ttl && a.rdatas.length === b.rdatas.length &&
    a.rdatas.every((rdata, i) => compareRdata(rdata, b.rdatas[i]) === 0);
}

function sameRdata(type: number, a: Uint8Array, b: Uint8Array): boolean {
  return compareRdata(canonicalRdata(type, a), canonicalRdata(type, b)) === 0;
}

/** Puts rdata into its place in canonical order, instead of its equal if there is one. */
function withRdata(type: number, rdatas: readonly Uint8Array[], rdata: Uint8Array): Uint8Array[] {
  const wanted = canonicalRdata(type, rdata);
  let low = 0;
  for (let high = rdatas.length; low < high;) {
    const middle = (low + high) >>> 1;
    if (compareRdata(canonicalRdata(type, rdatas[middle]), wanted) < 0) low = middle + 1;
    else high = middle;
  }
  const replaced = low < rdatas.length && sameRdata(type, rdatas[low], rdata) ? 1 : 0;
  return rdatas.toSpliced(low, replaced, rdata);
}
