import {
  isAtOrBelow,
  isBelow,
  type Name,
  nameFromWire,
  parentName,
  parseName,
  type Position,
  type RRset,
  RRTYPE,
  typeName,
  type Zone,
} from "../../dns/mod.ts";
import { type Enough, enough } from "./enough.ts";
import type { OpenFault, Place, RRsetKey } from "./open_fault.ts";
import type { Poured } from "./pour.ts";

/**
 * What must hold in a zone as a whole, and what merely should (warnings). Records outside the zone, second SOAs and
 * second CNAMEs were found while the records were taken. Looks at the names of NS, MX, CNAME and DNAME records and at
 * what they lead to: a million plain names cost nothing.
 */
export function checkZone(
  zone: Zone,
  poured: Pick<Poured, "soa" | "hasBelow">,
  top: Position,
): { faults: Enough<OpenFault>; dnames: ReadonlySet<Name> } {
  const { origin } = zone;
  const faults = enough<OpenFault>();
  if (poured.soa === undefined) {
    const message = `the zone ${origin} has no SOA record; begin the file with one`;
    faults.add(fault("error", "no-soa", [], () => ({ position: top, message })));
  } else if (zone.rrset(origin, RRTYPE.NS) === undefined) {
    const message = `the zone ${origin} has no NS record at its apex; name at least one name server`;
    faults.add(at({ owner: origin, type: RRTYPE.SOA }, "error", "no-ns", message));
  }

  function owners(type: number): readonly Name[] {
    if (poured.hasBelow(type)) return zone.ownersOf(type);
    return zone.rrset(origin, type) === undefined ? [] : [origin];
  }

  for (const owner of owners(RRTYPE.CNAME)) {
    const alone = besideCname(owner, zone.rrsets(owner));
    if (alone !== undefined) faults.add(alone);
  }
  const dnames = new Set(owners(RRTYPE.DNAME));
  if (dnames.size > 0) {
    for (const owner of zone.owners()) {
      const above = ancestorIn(owner, origin, dnames);
      if (above !== undefined) { for (const set of zone.rrsets(owner)) faults.add(belowDname(set, above)); }
    }
  }
  for (const type of [RRTYPE.NS, RRTYPE.MX]) {
    for (const owner of owners(type)) {
      const set = zone.rrset(owner, type);
      if (set !== undefined) checkTargets(set, zone, faults);
    }
  }
  return { faults, dnames };
}

/** DNSKEY and RRSIG at the apex: signed elsewhere, to be served exactly as written. */
export function isPreSigned(zone: Zone): boolean {
  return has(zone, zone.origin, RRTYPE.DNSKEY) && has(zone, zone.origin, RRTYPE.RRSIG);
}

/** The first place of a file, for what is wrong with the file as such. */
export function topOf(file: string): Position {
  return { file, line: 1, column: 1 };
}

/** RFC 1034 §3.6.2, with the exceptions of RFC 4034 §2.5 and §3 and of RFC 2535's KEY. */
function besideCname(owner: Name, sets: readonly RRset[]): OpenFault | undefined {
  const others = sets.filter((set) => set.type !== RRTYPE.CNAME && !BESIDE_CNAME.has(set.type));
  if (others.length === 0) return undefined;
  const wanted = [RRTYPE.CNAME, ...others.map(({ type }) => type)].map((type) => ({ owner, type }));
  return fault("error", "cname-and-other-data", wanted, (placeOf) => {
    const [cname, ...rest] = wanted.map(({ type }) => ({ type, ...placeOf(owner, type) }));
    // The line that came last broke it.
    const last = [cname, ...rest].reduce((a, b) => (isLater(b, a) ? b : a));
    const message = last === cname
      ? `${owner} has a CNAME and also ${typeName(rest[0].type)} in line ${
        rest[0].position.line
      }; a CNAME stands alone`
      : `${owner} has ${
        typeName(last.type)
      } and also a CNAME in line ${cname.position.line}; a CNAME stands alone`;
    return { position: last.position, message };
  });
}

const BESIDE_CNAME: ReadonlySet<number> = new Set([RRTYPE.RRSIG, RRTYPE.NSEC, RRTYPE.KEY]);

/** RFC 6672 §2.4. */
function belowDname(set: RRset, dname: Name): OpenFault {
  const what = `${set.owner} ${typeName(set.type)}`;
  const message = `${what} lies below the DNAME at ${dname} and can never be answered; take one of them out`;
  return at(set, "error", "below-dname", message);
}

/** Whom NS and MX point to: an alias is forbidden (RFC 2181 §10.3), an address inside the zone must be there. */
function checkTargets(set: RRset, zone: Zone, faults: Enough<OpenFault>): void {
  const { origin } = zone;
  for (const rdata of set.rdatas) {
    const target = nameFromWire(rdata, set.type === RRTYPE.MX ? 2 : 0)?.name;
    if (target === undefined || !isAtOrBelow(target, origin)) continue;
    if (zone.rrset(target, RRTYPE.CNAME) !== undefined) {
      const what = `${typeName(set.type)} of ${set.owner} points to ${target}`;
      const message = `${what}, which is a CNAME (RFC 2181 §10.3); name the host itself`;
      faults.add(at(set, "warning", set.type === RRTYPE.NS ? "ns-is-alias" : "mx-is-alias", message));
      continue;
    }
    if (set.type !== RRTYPE.NS || has(zone, target, RRTYPE.A) || has(zone, target, RRTYPE.AAAA)) continue;
    const needsGlue = set.owner !== origin && isAtOrBelow(target, set.owner);
    if (!needsGlue && isAnsweredElsewhere(target, zone)) continue;
    const what = `NS of ${set.owner} points to ${target}`;
    const message = `${what}, which has no A or AAAA record in the zone; add its address`;
    faults.add(at(set, "warning", "missing-glue", message));
  }
}

/** True when a delegation or a wildcard may answer for a name that has no data of its own. */
function isAnsweredElsewhere(target: Name, zone: Zone): boolean {
  for (
    let name: Name | undefined = target;
    name !== undefined && name !== zone.origin;
    name = parentName(name)
  ) {
    if (has(zone, name, RRTYPE.NS) || has(zone, name, RRTYPE.DNAME)) return true;
    const parent = parentName(name);
    const wildcard = parent === undefined ? undefined : parseName("*", parent);
    if (wildcard?.ok && zone.rrsets(wildcard.value).length > 0) return true;
  }
  return false;
}

function has(zone: Zone, owner: Name, type: number): boolean {
  return zone.rrset(owner, type) !== undefined;
}

function ancestorIn(owner: Name, origin: Name, names: ReadonlySet<Name>): Name | undefined {
  if (!isBelow(owner, origin)) return undefined;
  for (let name = parentName(owner); name !== undefined; name = parentName(name)) {
    if (names.has(name)) return name;
    if (name === origin) return undefined;
  }
  return undefined;
}

function isLater({ position: a }: Place, { position: b }: Place): boolean {
  if (a.file !== b.file) return false;
  return a.line !== b.line ? a.line > b.line : a.column > b.column;
}

/** A fault at the place of an RRset. */
function at(
  { owner, type }: RRsetKey,
  severity: OpenFault["severity"],
  code: string,
  message: string,
): OpenFault {
  return fault(severity, code, [{ owner, type }], (placeOf) => ({
    position: placeOf(owner, type).position,
    message,
  }));
}

function fault(
  severity: OpenFault["severity"],
  code: string,
  wanted: readonly RRsetKey[],
  close: OpenFault["close"],
): OpenFault {
  return { severity, code, wanted, close };
}
