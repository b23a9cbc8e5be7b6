/**
 * Proofs, from the chain that a signed zone has, that something does not exist: NSEC (RFC 4035 §3.1.3) and NSEC3 (RFC
 * 5155 §7.2). The **closest encloser** is the longest existing ancestor of the name, the **next closer** name the one
 * a label longer (RFC 5155 §1.3); both are given as a cell and the label of `draft.name` with which its name starts.
 *
 * Hot path. With NSEC3 all that does not depend on the question was worked out when the zone was compiled (`CELL3`), so
 * that a proof costs one hash: that of the next closer name.
 */
import { coverNsec, coverNsec3, type Nsec3Chain, nsec3Hash } from "../image/denial.ts";
import { CELL, CELL3, findEntry, type ZoneImage } from "../image/layout.ts";
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";
import { draft, locate, putOwnRRset } from "./draft.ts";
import { coverWildcard } from "./wildcard.ts";

/** Whether there is something to prove with, and somebody to prove to. */
export function provable(zone: ZoneImage): boolean {
  return draft.dnssec && zone.denial !== undefined;
}

/** Before each message. */
export function startProofs(): void {
  pending = 0;
  given = 0;
}

/** The name does not exist, and no wildcard that could stand in for it (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2). */
export function proveNxdomain(zone: ZoneImage, encloser: number, label: number): void {
  const chain = zone.denial;
  if (chain === undefined) return;
  if (chain.kind === "nsec") {
    putNsec(zone, search(zone, draft.name), encloser);
    putNsec(zone, searchWildcard(zone, encloser, label), encloser);
    return;
  }
  const proven = proveEncloser(zone, chain, encloser, label);
  putNsec3(zone, chain, zone.words[proven + CELL3.coversWildcard] - 1);
}

/**
 * The name of `cell` exists and the type does not (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3, and §7.2.4 for DS); the same shows
 * that a delegation has no DS (RFC 4035 §3.1.4, RFC 5155 §7.2.7).
 */
export function proveNodata(zone: ZoneImage, cell: number, label: number): void {
  const chain = zone.denial;
  if (chain === undefined) return;
  if (chain.kind === "nsec") {
    if (findEntry(zone, cell, TYPE_NSEC) !== 0) return putNsec(zone, cell, cell);
    // An empty non-terminal owns no NSEC; the one before it skips to a name below it.
    return putNsec(zone, search(zone, label === 0 ? draft.name : suffixOf(zone, label)), cell);
  }
  const match = zone.words[cell + CELL3.match];
  if (match !== 0) return putNsec3(zone, chain, match - 1);
  // Opted out (RFC 5155 §6): the closest provable encloser, and nothing signed between it and the name.
  const parent = zone.words[cell + CELL.parent];
  if (parent !== 0) proveEncloser(zone, chain, parent, label + 1);
}

/** A wildcard stands in for the name, without the type (RFC 4035 §3.1.3.4, RFC 5155 §7.2.5). */
export function proveWildcardNodata(
  zone: ZoneImage,
  wildcard: number,
  encloser: number,
  label: number,
): void {
  const chain = zone.denial;
  if (chain === undefined) return;
  if (chain.kind === "nsec") {
    const owner = findEntry(zone, wildcard, TYPE_NSEC) !== 0
      ? wildcard
      : searchWildcard(zone, encloser, label);
    putNsec(zone, owner, encloser);
    putNsec(zone, search(zone, draft.name), encloser);
    return;
  }
  const proven = proveEncloser(zone, chain, encloser, label);
  const match = zone.words[wildcard + CELL3.match];
  putNsec3(zone, chain, (match !== 0 ? match : zone.words[proven + CELL3.coversWildcard]) - 1);
}

/**
 * A wildcard stands in for the name because nothing closer exists (RFC 4035 §3.1.3.3, RFC 5155 §7.2.6). Kept until the
 * answer section is complete: see `closeAnswers`.
 */
export function proveExpansion(zone: ZoneImage, zoneIndex: number, label: number): void {
  const chain = zone.denial;
  if (chain === undefined || pending === pendingCells.length) return;
  pendingZones[pending] = zoneIndex;
  pendingOrigins[pending] = locate(draft.name.length - zone.originWire.length);
  pendingCells[pending++] = chain.kind === "nsec"
    ? search(zone, draft.name)
    : chain.cells[coverOfSuffix(chain, label - 1)];
}

/** The answer section is complete: puts the proofs of the wildcards that it came from. */
export function closeAnswers(zones: readonly ZoneImage[]): void {
  for (let i = 0; i < pending; i++) {
    const zone = zones[pendingZones[i]];
    const type = zone.denial?.kind === "nsec" ? TYPE_NSEC : TYPE_NSEC3;
    put(zone, pendingCells[i], type, pendingOrigins[i], zone.originWire.length);
  }
  pending = 0;
}

/** The NSEC3 of the closest encloser that has one and the one that covers the next closer name; the former's cell. */
function proveEncloser(zone: ZoneImage, chain: Nsec3Chain, encloser: number, label: number): number {
  const words = zone.words;
  let cell = encloser;
  let from = label;
  while (words[cell + CELL3.match] === 0 && words[cell + CELL.parent] !== 0) {
    draft.steps++;
    cell = words[cell + CELL.parent];
    from++;
  }
  putNsec3(zone, chain, words[cell + CELL3.match] - 1);
  putNsec3(zone, chain, coverOfSuffix(chain, from - 1));
  return cell;
}

/** The index of the NSEC3 that covers the suffix of the name which starts with `label`. */
function coverOfSuffix(chain: Nsec3Chain, label: number): number {
  const { lower, starts, length } = draft.name;
  draft.steps += chain.iterations + SEARCH_STEPS;
  nsec3Hash(hash, chain, lower, starts[label], length - starts[label]);
  return coverNsec3(chain, hash);
}

function search(zone: ZoneImage, scan: NameScan): number {
  draft.steps += SEARCH_STEPS;
  return coverNsec(zone, scan);
}

function searchWildcard(zone: ZoneImage, encloser: number, label: number): number {
  draft.steps += SEARCH_STEPS;
  return coverWildcard(zone, encloser, label);
}

function suffixOf(zone: ZoneImage, label: number): NameScan {
  const { lower, starts, length } = draft.name;
  scanName(other, lower, starts[label], length, zone.seed);
  return other;
}

function putNsec(zone: ZoneImage, cell: number, near: number): void {
  const words = zone.words;
  // The owner shares with the name what they both lie below, and that stands in the message already.
  let a = cell;
  let b = near;
  while (a !== b) {
    draft.steps++;
    if ((words[a + CELL.head] >>> 16 & 0xff) > (words[b + CELL.head] >>> 16 & 0xff)) {
      a = words[a + CELL.parent];
    } else b = words[b + CELL.parent];
  }
  const octets = words[a + CELL.head] >>> 16 & 0xff;
  put(zone, cell, TYPE_NSEC, locate(draft.name.length - octets), octets);
}

function putNsec3(zone: ZoneImage, chain: Nsec3Chain, index: number): void {
  if (index < 0) return;
  const octets = zone.originWire.length;
  put(zone, chain.cells[index], TYPE_NSEC3, locate(draft.name.length - octets), octets);
}

/** Puts a record of a chain into the authority section, unless it stands there for another reason. */
function put(zone: ZoneImage, cell: number, type: number, tailAt: number, tailOctets: number): void {
  for (let i = 0; i < given; i++) if (givenCells[i] === cell && givenZones[i] === zone.id) return;
  const entry = findEntry(zone, cell, type);
  if (entry === 0) return;
  const count = putOwnRRset(zone, cell, entry, tailAt, tailOctets);
  // RFC 4035 §3.1.3: proofs are required data.
  if (count === 0) draft.truncated = true;
  draft.authorities += count;
  if (given === givenCells.length) return;
  givenZones[given] = zone.id;
  givenCells[given++] = cell;
}

const TYPE_NSEC = 47;
const TYPE_NSEC3 = 50;
/** What a search is counted as: twice the steps that a million names would take. */
const SEARCH_STEPS = 40;

const other = createNameScan();
const hash = new Uint8Array(20);

// Proofs for wildcards in the answer section, one a link of the chain.
const pendingZones = new Int32Array(16);
const pendingOrigins = new Int32Array(16);
const pendingCells = new Int32Array(16);
let pending = 0;

// What the authority section has.
const givenZones = new Int32Array(32);
const givenCells = new Int32Array(32);
let given = 0;
