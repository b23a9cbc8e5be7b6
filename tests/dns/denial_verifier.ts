/**
 * Reads signed answers as a validating resolver does (RFC 4035 §5.4, RFC 5155 §8): from the message alone, without the
 * zone. It takes signatures on trust and looks at what they cover and at what the records prove together. Names are arrays
 * of labels from the root down, in lower case.
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { type Message, nameToWire, type ResourceRecord, RRTYPE, typeName } from "../../dns/mod.ts";

type Labels = readonly string[];

/** What is wrong with the answer to that question; none: a validator accepts it. The response is to have DO's records. */
export function faultsOf(response: Message, apexOf: (name: Labels) => Labels | undefined): string[] {
  const faults: string[] = [];
  const question = response.questions[0];
  const denials = readDenials(response.authorities);
  const zone = response.authorities.find(({ type }) => type === RRTYPE.SOA);
  for (const section of [response.answers, response.authorities]) {
    for (const set of rrsetsOf(section)) {
      const { owner, type } = set[0];
      const signatures = section.filter((record) =>
        record.type === RRTYPE.RRSIG && record.owner === owner && uint16(record.rdata, 0) === type
      );
      const mayBeUnsigned = type === RRTYPE.CNAME && isSynthesised(set[0], response.answers) ||
        type === RRTYPE.NS && section === response.authorities;
      if (signatures.length === 0 && !mayBeUnsigned) faults.push(`${owner} ${typeName(type)} is not signed`);
      for (const signature of signatures) {
        if (signature.ttl !== set[0].ttl) {
          faults.push(`${owner} ${typeName(type)}: its signature's TTL differs`);
        }
        const name = labelsOfName(owner);
        const signed = signature.rdata[3];
        const labels = name[name.length - 1] === "*" ? name.length - 1 : name.length;
        if (signed < labels && !proveNoCloser(denials, name, signed)) {
          faults.push(`${owner} ${typeName(type)} is of a wildcard, and nothing shows that it may stand in`);
        }
      }
    }
  }
  // The name at the end of the chain is the one that is denied or referred.
  let name = labelsOfName(question.name);
  for (let links = 0; links < 20; links++) {
    const at = name;
    const cname = response.answers.find((record) =>
      record.type === RRTYPE.CNAME && same(labelsOfName(record.owner), at)
    );
    if (cname === undefined || question.type === RRTYPE.CNAME) break;
    name = wireLabels(cname.rdata, 0).labels;
  }
  const answered = response.answers.some((record) =>
    same(labelsOfName(record.owner), name) &&
    (record.type === question.type || question.type === RRTYPE.ANY)
  );
  if (answered) return faults;
  const apex = zone === undefined ? undefined : labelsOfName(zone.owner);
  if (response.rcode === 3) {
    if (apex === undefined) faults.push("NXDOMAIN without SOA");
    else if (!provesNxdomain(denials, name, apex)) {
      faults.push(`nothing proves that ${text(name)} is not there`);
    }
  } else if (response.rcode !== 0) {
    return faults;
  } else if (zone !== undefined) {
    if (!provesNodata(denials, name, question.type, apex ?? [])) {
      faults.push(`nothing proves that ${text(name)} has no ${typeName(question.type)}`);
    }
  } else {
    const cut = response.authorities.find(({ type }) => type === RRTYPE.NS);
    if (cut !== undefined) {
      const secure = response.authorities.some((record) =>
        record.type === RRTYPE.DS && record.owner === cut.owner
      );
      if (!secure && !provesInsecure(denials, labelsOfName(cut.owner))) {
        faults.push(`nothing proves that the delegation ${cut.owner} has no DS`);
      }
    } else if (response.answers.length === 0 || apexOf(name) !== undefined && !isLoop(response.answers)) {
      faults.push("neither answer, nor denial, nor referral");
    }
  }
  return faults;
}

interface Nsec {
  readonly owner: Labels;
  readonly next: Labels;
  readonly types: ReadonlySet<number>;
}

interface Nsec3 {
  readonly hash: string;
  readonly next: string;
  readonly optOut: boolean;
  readonly iterations: number;
  readonly salt: Uint8Array;
  readonly zone: Labels;
  readonly types: ReadonlySet<number>;
}

interface Denials {
  readonly nsec: readonly Nsec[];
  readonly nsec3: readonly Nsec3[];
}

function readDenials(records: readonly ResourceRecord[]): Denials {
  const nsec: Nsec[] = [];
  const nsec3: Nsec3[] = [];
  for (const { owner, type, rdata } of records) {
    if (type === RRTYPE.NSEC) {
      const next = wireLabels(rdata, 0);
      nsec.push({ owner: labelsOfName(owner), next: next.labels, types: bitmap(rdata, next.end) });
    }
    if (type === RRTYPE.NSEC3) {
      const hashAt = 5 + rdata[4] + 1;
      const hashEnd = hashAt + rdata[hashAt - 1];
      const labels = labelsOfName(owner);
      nsec3.push({
        hash: labels[labels.length - 1],
        next: base32hex(rdata.subarray(hashAt, hashEnd)),
        optOut: (rdata[1] & 1) !== 0,
        iterations: uint16(rdata, 2),
        salt: rdata.subarray(5, 5 + rdata[4]),
        zone: labels.slice(0, -1),
        types: bitmap(rdata, hashEnd),
      });
    }
  }
  return { nsec, nsec3 };
}

/** RFC 4035 §5.4, RFC 5155 §8.4. */
function provesNxdomain({ nsec, nsec3 }: Denials, name: Labels, apex: Labels): boolean {
  const covering = nsec.find((record) => coversName(record, name));
  if (covering !== undefined) {
    const encloser = name.slice(0, Math.max(shared(name, covering.owner), shared(name, covering.next)));
    return nsec.some((record) => coversName(record, [...encloser, "*"]));
  }
  const proof = encloserProof(nsec3, name, apex);
  return proof !== undefined && nsec3.some((record) => coversHash(record, [...proof.encloser, "*"]));
}

/** RFC 4035 §5.4, RFC 5155 §8.5 to §8.7. */
function provesNodata({ nsec, nsec3 }: Denials, name: Labels, type: number, apex: Labels): boolean {
  const lacks = (types: ReadonlySet<number>) =>
    !types.has(type) && !types.has(RRTYPE.CNAME) &&
    // RFC 6840 §4.1: from the parent's side of a cut only DS can be denied, from the child's never.
    (type === RRTYPE.DS ? !types.has(RRTYPE.SOA) || name.length === apex.length : !isCut(types));
  const match = nsec.find((record) => same(record.owner, name));
  if (match !== undefined) return lacks(match.types);
  const covering = nsec.find((record) => coversName(record, name));
  if (covering !== undefined) {
    // An empty non-terminal: the next name is below it.
    if (covering.next.length > name.length && shared(covering.next, name) === name.length) return true;
    const encloser = name.slice(0, Math.max(shared(name, covering.owner), shared(name, covering.next)));
    const wildcard = [...encloser, "*"];
    return nsec.some((record) =>
      same(record.owner, wildcard) && lacks(record.types) ||
      coversName(record, wildcard) && record.next.length > wildcard.length &&
        shared(record.next, wildcard) === wildcard.length
    );
  }
  const match3 = nsec3.find((record) => matchesHash(record, name));
  if (match3 !== undefined) return lacks(match3.types);
  const proof = encloserProof(nsec3, name, apex);
  if (proof === undefined) return false;
  if (nsec3.some((record) => matchesHash(record, [...proof.encloser, "*"]) && lacks(record.types))) {
    return true;
  }
  return proof.optOut;
}

/** RFC 4035 §5.2, RFC 5155 §8.9. */
function provesInsecure({ nsec, nsec3 }: Denials, cut: Labels): boolean {
  const delegates = (types: ReadonlySet<number>) => isCut(types) && !types.has(RRTYPE.DS);
  if (nsec.some((record) => same(record.owner, cut) && delegates(record.types))) return true;
  const match = nsec3.find((record) => matchesHash(record, cut));
  if (match !== undefined) return delegates(match.types);
  return encloserProof(nsec3, cut, nsec3[0]?.zone ?? [])?.optOut ?? false;
}

/** That no name closer than the wildcard's parent, of `labels` labels, exists (RFC 4035 §5.3.4, RFC 5155 §8.8). */
function proveNoCloser({ nsec, nsec3 }: Denials, name: Labels, labels: number): boolean {
  return nsec.some((record) => coversName(record, name)) ||
    nsec3.some((record) => coversHash(record, name.slice(0, labels + 1)));
}

/** RFC 5155 §8.3. */
function encloserProof(nsec3: readonly Nsec3[], name: Labels, apex: Labels) {
  for (let labels = name.length - 1; labels >= apex.length; labels--) {
    const encloser = name.slice(0, labels);
    const match = nsec3.find((record) => matchesHash(record, encloser));
    if (match === undefined) continue;
    if (match.types.has(RRTYPE.DNAME) || isCut(match.types)) return undefined;
    const next = nsec3.find((record) => coversHash(record, name.slice(0, labels + 1)));
    return next === undefined ? undefined : { encloser, optOut: next.optOut };
  }
  return undefined;
}

function isCut(types: ReadonlySet<number>): boolean {
  return types.has(RRTYPE.NS) && !types.has(RRTYPE.SOA);
}

/** Strictly between owner and next, the last record's next being the apex; not below a cut or DNAME (RFC 6840 §4.1). */
function coversName({ owner, next, types }: Nsec, name: Labels): boolean {
  if (shared(owner, name) === owner.length && (isCut(types) || types.has(RRTYPE.DNAME))) return false;
  return order(owner, name) < 0 && (order(name, next) < 0 || order(next, owner) <= 0);
}

function coversHash(record: Nsec3, name: Labels): boolean {
  const hash = hashOf(record, name);
  const { hash: owner, next } = record;
  return owner < next ? owner < hash && hash < next : hash > owner || hash < next;
}

function matchesHash(record: Nsec3, name: Labels): boolean {
  return hashOf(record, name) === record.hash;
}

/** RFC 5155 §5. */
function hashOf({ salt, iterations, zone }: Nsec3, name: Labels): string {
  if (shared(zone, name) !== zone.length) return "";
  const wire = Buffer.concat(
    [...name].reverse().map((label) => Buffer.from(String.fromCharCode(label.length) + label, "latin1")),
  );
  let hash = createHash("sha1").update(wire).update(Uint8Array.of(0)).update(salt).digest();
  for (let i = 0; i < iterations; i++) hash = createHash("sha1").update(hash).update(salt).digest();
  return base32hex(hash);
}

function base32hex(bytes: Uint8Array): string {
  let bits = "";
  for (const octet of bytes) bits += octet.toString(2).padStart(8, "0");
  return (bits.match(/.{5}/g) ?? []).map((five) => parseInt(five, 2).toString(32)).join("");
}

/** RFC 4034 §6.1. */
function order(a: Labels, b: Labels): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  }
  return a.length - b.length;
}

function shared(a: Labels, b: Labels): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}

function same(a: Labels, b: Labels): boolean {
  return order(a, b) === 0;
}

function rrsetsOf(records: readonly ResourceRecord[]): ResourceRecord[][] {
  const sets = new Map<string, ResourceRecord[]>();
  for (const record of records) {
    if (record.type === RRTYPE.RRSIG) continue;
    const key = `${record.owner} ${record.type}`;
    sets.set(key, [...sets.get(key) ?? [], record]);
  }
  return [...sets.values()];
}

/** A CNAME that a DNAME of the same answer explains (RFC 6672 §5.3.1). */
function isSynthesised(cname: ResourceRecord, answers: readonly ResourceRecord[]): boolean {
  const owner = labelsOfName(cname.owner);
  return answers.some((record) => {
    if (record.type !== RRTYPE.DNAME) return false;
    const from = labelsOfName(record.owner);
    if (owner.length <= from.length || shared(from, owner) !== from.length) return false;
    const to = [...wireLabels(record.rdata, 0).labels, ...owner.slice(from.length)];
    return same(to, wireLabels(cname.rdata, 0).labels);
  });
}

/** A chain that comes back to a name it has been at. */
function isLoop(answers: readonly ResourceRecord[]): boolean {
  const owners = new Set(
    answers.filter(({ type }) => type === RRTYPE.CNAME).map(({ owner }) => owner as string),
  );
  return owners.size >= 16 ||
    answers.some((record) =>
      record.type === RRTYPE.CNAME && owners.has(text(wireLabels(record.rdata, 0).labels))
    );
}

function bitmap(rdata: Uint8Array, from: number): Set<number> {
  const types = new Set<number>();
  for (let at = from; at < rdata.length; at += 2 + rdata[at + 1]) {
    for (let bit = 0; bit < rdata[at + 1] * 8; bit++) {
      if ((rdata[at + 2 + (bit >> 3)] & 0x80 >> (bit & 7)) !== 0) types.add(rdata[at] << 8 | bit);
    }
  }
  return types;
}

export function labelsOfName(name: ResourceRecord["owner"]): Labels {
  return wireLabels(nameToWire(name), 0).labels;
}

function wireLabels(bytes: Uint8Array, from: number): { labels: Labels; end: number } {
  const labels: string[] = [];
  let at = from;
  for (; bytes[at] !== 0; at += 1 + bytes[at]) {
    const label = Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at])).toString("latin1");
    labels.unshift(label.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
  }
  return { labels, end: at + 1 };
}

function text(labels: Labels): string {
  return [...labels].reverse().map((label) => `${label}.`).join("") || ".";
}

function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}
