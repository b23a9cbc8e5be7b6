import {
  type Fault,
  isAtOrBelow,
  isBelow,
  type Name,
  nameFromWire,
  parentName,
  parseName,
  type Position,
  RRTYPE,
  typeName,
} from "../../dns/mod.ts";
import type { PlacedContents, PlacedRRset } from "./collect.ts";

/**
 * What must hold in a zone as a whole, and what merely should (warnings). Records outside the zone, second SOAs and
 * second CNAMEs were found while the records were collected.
 */
export function checkZone(origin: Name, file: string, contents: PlacedContents): Fault[] {
  const apex = contents.get(origin) ?? [];
  const soa = apex.find((set) => set.type === RRTYPE.SOA);
  const faults: Fault[] = [];
  if (soa === undefined) {
    faults.push(
      error(topOf(file), "no-soa", `the zone ${origin} has no SOA record; begin the file with one`),
    );
  } else if (!apex.some((set) => set.type === RRTYPE.NS)) {
    faults.push(
      error(
        soa.position,
        "no-ns",
        `the zone ${origin} has no NS record at its apex; name at least one name server`,
      ),
    );
  }
  const dnames = namesWith(contents, RRTYPE.DNAME);
  for (const [owner, sets] of contents) {
    const alone = besideCname(sets);
    if (alone !== undefined) faults.push(alone);
    if (dnames.size > 0) {
      const above = ancestorIn(owner, origin, dnames);
      if (above !== undefined) {
        for (const set of sets) faults.push(belowDname(set, above));
      }
    }
    for (const set of sets) checkTargets(set, origin, contents, faults);
  }
  return faults;
}

/** DNSKEY and RRSIG at the apex: signed elsewhere, to be served exactly as written. */
export function isPreSigned(origin: Name, contents: PlacedContents): boolean {
  const types = new Set((contents.get(origin) ?? []).map((set) => set.type));
  return types.has(RRTYPE.DNSKEY) && types.has(RRTYPE.RRSIG);
}

/** The first place of a file, for what is wrong with the file as such. */
export function topOf(file: string): Position {
  return { file, line: 1, column: 1 };
}

/** RFC 1034 §3.6.2, with the exceptions of RFC 4034 §2.5 and §3 and of RFC 2535's KEY. */
function besideCname(sets: readonly PlacedRRset[]): Fault | undefined {
  if (sets.length < 2) return undefined;
  const cname = sets.find((set) => set.type === RRTYPE.CNAME);
  if (cname === undefined) return undefined;
  const others = sets.filter((set) => set !== cname && !BESIDE_CNAME.has(set.type));
  if (others.length === 0) return undefined;
  // The line that came last broke it.
  const last = [cname, ...others].reduce((a, b) => (isLater(b.position, a.position) ? b : a));
  const message = last === cname
    ? `${cname.owner} has a CNAME and also ${typeName(others[0].type)} in line ${
      others[0].position.line
    }; a CNAME stands alone`
    : `${cname.owner} has ${
      typeName(last.type)
    } and also a CNAME in line ${cname.position.line}; a CNAME stands alone`;
  return error(last.position, "cname-and-other-data", message);
}

const BESIDE_CNAME: ReadonlySet<number> = new Set([RRTYPE.RRSIG, RRTYPE.NSEC, RRTYPE.KEY]);

/** RFC 6672 §2.4. */
function belowDname(set: PlacedRRset, dname: Name): Fault {
  return error(
    set.position,
    "below-dname",
    `${set.owner} ${
      typeName(set.type)
    } lies below the DNAME at ${dname} and can never be answered; take one of them out`,
  );
}

/** Whom NS and MX point to: an alias is forbidden (RFC 2181 §10.3), an address inside the zone must be there. */
function checkTargets(set: PlacedRRset, origin: Name, contents: PlacedContents, faults: Fault[]): void {
  if (set.type !== RRTYPE.NS && set.type !== RRTYPE.MX) return;
  for (const rdata of set.rdatas) {
    const target = nameFromWire(rdata, set.type === RRTYPE.MX ? 2 : 0)?.name;
    if (target === undefined || !isAtOrBelow(target, origin)) continue;
    const sets = contents.get(target) ?? [];
    const what = typeName(set.type);
    if (sets.some((each) => each.type === RRTYPE.CNAME)) {
      faults.push(
        warning(
          set.position,
          set.type === RRTYPE.NS ? "ns-is-alias" : "mx-is-alias",
          `${what} of ${set.owner} points to ${target}, which is a CNAME (RFC 2181 §10.3); name the host itself`,
        ),
      );
      continue;
    }
    if (set.type !== RRTYPE.NS || sets.some((each) => each.type === RRTYPE.A || each.type === RRTYPE.AAAA)) {
      continue;
    }
    const needsGlue = set.owner !== origin && isAtOrBelow(target, set.owner);
    if (!needsGlue && isAnsweredElsewhere(target, origin, contents)) continue;
    faults.push(
      warning(
        set.position,
        "missing-glue",
        `NS of ${set.owner} points to ${target}, which has no A or AAAA record in the zone; add its address`,
      ),
    );
  }
}

/** True when a delegation or a wildcard may answer for a name that has no data of its own. */
function isAnsweredElsewhere(target: Name, origin: Name, contents: PlacedContents): boolean {
  for (let name: Name | undefined = target; name !== undefined && name !== origin; name = parentName(name)) {
    if (contents.get(name)?.some((set) => set.type === RRTYPE.NS || set.type === RRTYPE.DNAME)) return true;
    const parent = parentName(name);
    const wildcard = parent === undefined ? undefined : parseName("*", parent);
    if (wildcard?.ok && contents.has(wildcard.value)) return true;
  }
  return false;
}

function namesWith(contents: PlacedContents, type: number): Set<Name> {
  const names = new Set<Name>();
  for (const [owner, sets] of contents) if (sets.some((set) => set.type === type)) names.add(owner);
  return names;
}

function ancestorIn(owner: Name, origin: Name, names: ReadonlySet<Name>): Name | undefined {
  if (!isBelow(owner, origin)) return undefined;
  for (let name = parentName(owner); name !== undefined; name = parentName(name)) {
    if (names.has(name)) return name;
    if (name === origin) return undefined;
  }
  return undefined;
}

function isLater(a: Position, b: Position): boolean {
  if (a.file !== b.file) return false;
  return a.line !== b.line ? a.line > b.line : a.column > b.column;
}

function error(position: Position, code: string, message: string): Fault {
  return { position, severity: "error", code, message };
}

function warning(position: Position, code: string, message: string): Fault {
  return { position, severity: "warning", code, message };
}
