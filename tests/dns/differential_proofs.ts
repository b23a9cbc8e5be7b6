/**
 * Whether the NSEC and NSEC3 records of an answer prove what it says, worked out from the RFCs alone: RFC 4035 §5.4, RFC 5155
 * §8, RFC 6840 §4. No signature is checked; what is there counts as signed.
 */
import { createHash } from "node:crypto";
import {
  compareNames,
  firstLabel,
  isAtOrBelow,
  isBelow,
  labelsOf,
  type Name,
  nameFrom,
  nameFromWire,
  nameToWire,
  parentName,
  RCODE,
  RRTYPE,
} from "../../dns/mod.ts";
import { isReferral, isType, type Seen, type SeenRecord } from "./differential_compare.ts";

/** What is not proven, in words; empty when all is. `name` and `type`: the question, and `apex` of the zone that answers. */
export function unproven(seen: Seen, name: Name, type: number): string[] {
  const chain = readChain(seen.authorities);
  const missing: string[] = [];
  for (const { owner, labels } of expansions(seen)) {
    if (!chain.covers(nextCloser(owner, labels))) {
      missing.push(`${owner} is from a wildcard, and may exist itself`);
    }
  }
  const last = finalName(seen, name);
  const answered = seen.answers.some((record) => record.owner === last && !isType(RRTYPE.RRSIG)(record));
  if (seen.rcode === RCODE.NXDOMAIN) missing.push(...unprovenNxdomain(chain, last));
  else if (seen.rcode === RCODE.NOERROR && seen.authorities.some(isType(RRTYPE.SOA)) && !answered) {
    missing.push(...unprovenNodata(chain, last, type));
  } else if (isReferral(seen)) missing.push(...unprovenReferral(chain, seen));
  return missing;
}

interface Chain {
  readonly matches: (name: Name) => ReadonlySet<number> | undefined;
  readonly covers: (name: Name) => boolean;
  /** The name has names below it and, as far as this chain says, nothing itself. */
  readonly emptyNonTerminal: (name: Name) => boolean;
  /** A cover with opt-out, under which unsigned delegations may hide (RFC 5155 §6). */
  readonly coversWithOptOut: (name: Name) => boolean;
  /** The longest ancestor that is proven to exist while the name below it is proven not to. */
  readonly closestEncloser: (name: Name) => Name | undefined;
}

function unprovenNxdomain(chain: Chain, name: Name): string[] {
  const encloser = chain.closestEncloser(name);
  if (encloser === undefined) return [`nothing says that ${name} does not exist`];
  const wildcard = wildcardOf(encloser);
  // Below an empty non-terminal that opt-out leaves out of the chain, no wildcard can be denied (RFC 5155 §7.1).
  const left = chain.coversWithOptOut(nextCloser(name, labelsOf(encloser).length));
  return left || chain.covers(wildcard) ? [] : [`nothing says that ${wildcard} does not exist`];
}

function unprovenNodata(chain: Chain, name: Name, type: number): string[] {
  const types = chain.matches(name);
  if (types !== undefined) return types.has(type) || types.has(RRTYPE.CNAME) ? [`${name} has the type`] : [];
  if (chain.emptyNonTerminal(name)) return [];
  const encloser = chain.closestEncloser(name);
  if (encloser === undefined) return [`nothing says what ${name} has`];
  const wildcard = wildcardOf(encloser);
  const wild = chain.matches(wildcard);
  if (wild !== undefined) return wild.has(type) || wild.has(RRTYPE.CNAME) ? [`${wildcard} has the type`] : [];
  if (chain.emptyNonTerminal(wildcard)) return [];
  // No DS where the chain leaves unsigned delegations out (RFC 5155 §8.6).
  const left = chain.coversWithOptOut(nextCloser(name, labelsOf(encloser).length));
  return left && type === RRTYPE.DS ? [] : [`nothing says what ${wildcard} has`];
}

function unprovenReferral(chain: Chain, seen: Seen): string[] {
  const cut = seen.authorities.find(isType(RRTYPE.NS))?.owner;
  if (cut === undefined || seen.authorities.some(isType(RRTYPE.DS))) return [];
  const types = chain.matches(cut);
  if (types !== undefined) {
    return types.has(RRTYPE.DS) || types.has(RRTYPE.SOA) || !types.has(RRTYPE.NS)
      ? [`${cut} is no insecure cut`]
      : [];
  }
  const encloser = chain.closestEncloser(cut);
  const left = encloser !== undefined && chain.coversWithOptOut(nextCloser(cut, labelsOf(encloser).length));
  return left ? [] : [`nothing says that ${cut} has no DS`];
}

/** Owners of answers whose signature has fewer labels than they (RFC 4035 §5.3.4), and how many it has. */
function* expansions(seen: Seen): Iterable<{ owner: Name; labels: number }> {
  for (const { owner, type, rdata } of seen.answers) {
    if (type !== RRTYPE.RRSIG) continue;
    const own = labelsOf(owner).length - (firstLabel(owner) === "*" ? 1 : 0);
    if (rdata[3] < own) yield { owner, labels: rdata[3] };
  }
}

function finalName(seen: Seen, name: Name): Name {
  let last = name;
  for (const _ of seen.answers) {
    const cname = seen.answers.find((record) => record.owner === last && record.type === RRTYPE.CNAME);
    if (cname === undefined) break;
    last = nameFromWire(cname.rdata, 0)?.name ?? last;
  }
  return last;
}

function readChain(records: readonly SeenRecord[]): Chain {
  const nsec = records.filter(isType(RRTYPE.NSEC)).map(readNsec);
  const nsec3 = records.filter(isType(RRTYPE.NSEC3)).map(readNsec3);
  return nsec3.length > 0 ? nsec3Chain(nsec3) : nsecChain(nsec);
}

interface Nsec {
  readonly owner: Name;
  readonly next: Name;
  readonly types: ReadonlySet<number>;
}

function readNsec({ owner, rdata }: SeenRecord): Nsec {
  const next = nameFromWire(rdata, 0);
  if (next === undefined) throw new RangeError("NSEC without a name");
  return { owner, next: next.name, types: readBitmap(rdata, next.end) };
}

function nsecChain(list: readonly Nsec[]): Chain {
  const cover = (name: Name) =>
    list.find(({ owner, next, types }) => {
      if (compareNames(owner, name) >= 0) return false;
      // The record at a cut or a DNAME says nothing of what is below (RFC 6840 §4.1).
      if (
        isBelow(name, owner) && (types.has(RRTYPE.DNAME) || types.has(RRTYPE.NS) && !types.has(RRTYPE.SOA))
      ) return false;
      // The last record leads to the apex, which is above all names of the zone.
      return compareNames(name, next) < 0 || compareNames(next, owner) <= 0 && isAtOrBelow(name, next);
    });
  return {
    matches: (name) => list.find(({ owner }) => owner === name)?.types,
    covers: (name) => {
      const found = cover(name);
      return found !== undefined && !isBelow(found.next, name);
    },
    emptyNonTerminal: (name) => {
      const found = cover(name);
      return found !== undefined && isBelow(found.next, name);
    },
    coversWithOptOut: () => false,
    closestEncloser: (name) => {
      const found = cover(name);
      if (found === undefined || isBelow(found.next, name)) return undefined;
      for (let at = parentName(name); at !== undefined; at = parentName(at)) {
        if (isAtOrBelow(found.owner, at) || isAtOrBelow(found.next, at)) return at;
      }
      return undefined;
    },
  };
}

interface Nsec3 {
  readonly hash: string;
  readonly next: string;
  readonly zone: Name;
  readonly optOut: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly types: ReadonlySet<number>;
}

function readNsec3({ owner, rdata }: SeenRecord): Nsec3 {
  const saltEnd = 5 + rdata[4];
  const nextEnd = saltEnd + 1 + rdata[saltEnd];
  return {
    hash: firstLabel(owner).toLowerCase(),
    next: base32hex(rdata.subarray(saltEnd + 1, nextEnd)),
    zone: parentName(owner) ?? nameFrom("."),
    optOut: (rdata[1] & 1) !== 0,
    iterations: rdata[2] << 8 | rdata[3],
    salt: rdata.slice(5, saltEnd),
    types: readBitmap(rdata, nextEnd),
  };
}

function nsec3Chain(list: readonly Nsec3[]): Chain {
  const [{ zone, iterations, salt }] = list;
  const hashed = (name: Name) => base32hex(hashOf(name, salt, iterations));
  const match = (name: Name) =>
    isAtOrBelow(name, zone) ? list.find(({ hash }) => hash === hashed(name)) : undefined;
  const cover = (name: Name) => {
    const wanted = hashed(name);
    return list.find(({ hash, next }) =>
      hash < next ? hash < wanted && wanted < next : hash < wanted || wanted < next
    );
  };
  return {
    matches: (name) => match(name)?.types,
    covers: (name) => cover(name) !== undefined,
    // An empty non-terminal has an NSEC3 record of its own (RFC 5155 §7.1), with no types.
    emptyNonTerminal: () => false,
    coversWithOptOut: (name) => cover(name)?.optOut ?? false,
    closestEncloser: (name) => {
      for (let below = name, at = parentName(name); at !== undefined; below = at, at = parentName(at)) {
        const types = match(at)?.types;
        if (types === undefined) continue;
        if (types.has(RRTYPE.DNAME) || types.has(RRTYPE.NS) && !types.has(RRTYPE.SOA)) return undefined;
        return cover(below) === undefined ? undefined : at;
      }
      return undefined;
    },
  };
}

/** The name one label longer than the ancestor with that many labels. */
function nextCloser(name: Name, labels: number): Name {
  let at = name;
  for (let extra = labelsOf(name).length - labels - 1; extra > 0; extra--) at = parentName(at) ?? at;
  return at;
}

function wildcardOf(name: Name): Name {
  return nameFrom(name === "." ? "*." : `*.${name}`);
}

function hashOf(name: Name, salt: Uint8Array, iterations: number): Uint8Array {
  let hash: Uint8Array = nameToWire(name);
  for (let i = 0; i <= iterations; i++) hash = createHash("sha1").update(hash).update(salt).digest();
  return hash;
}

function base32hex(octets: Uint8Array): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{5}/g) ?? []).map((five) => parseInt(five, 2).toString(32)).join("");
}

/** RFC 4034 §4.1.2. */
function readBitmap(rdata: Uint8Array, from: number): Set<number> {
  const types = new Set<number>();
  for (let at = from; at < rdata.length; at += 2 + rdata[at + 1]) {
    for (let bit = 0; bit < rdata[at + 1] * 8; bit++) {
      if ((rdata[at + 2 + (bit >> 3)] & 0x80 >> (bit & 7)) !== 0) types.add(rdata[at] << 8 | bit);
    }
  }
  return types;
}
