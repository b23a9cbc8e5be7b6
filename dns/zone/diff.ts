/** What changed between two versions of a zone. */
import { CELL, cellOfSlot, ENTRY, EXTRA, findCell, labelAt, type ZoneImage } from "../image/layout.ts";
import { createNameScan } from "../image/scan.ts";
import { compareNames } from "../name.ts";
import { compareRdata } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import type { Name, RRset } from "../types.ts";
import { cellWords, extras, findExtras, isDead, scanCell, stateOf } from "./heap.ts";
import { entryCount, forEachCell, ownerOf } from "./read.ts";
import type { Zone } from "./zone.ts";

/**
 * The SOA stands apart, as in an incremental transfer (RFC 1995 §4). An RRset in a list holds only the records
 * concerned; one whose TTL changed is in both lists whole. Both are in canonical order, at one name by type.
 */
export interface ZoneDifference {
  readonly deleted: readonly RRset[];
  readonly added: readonly RRset[];
  readonly soa: { readonly before: RRset | undefined; readonly after: RRset | undefined };
}

/** How the RRsets of one owner differ; both sides by type, empty where there is nothing. */
export interface OwnerChange {
  readonly owner: Name;
  readonly before: readonly RRset[];
  readonly after: readonly RRset[];
}

/**
 * Record by record what differs. A broken zone counts as one without records.
 * @throws {RangeError} for zones of two origins
 */
export function diffZones(before: Zone, after: Zone): ZoneDifference {
  const deleted: RRset[] = [];
  const added: RRset[] = [];
  for (const change of changedOwners(before, after)) {
    for (const was of change.before) {
      if (was.type !== RRTYPE.SOA) put(deleted, was, change.after.find(({ type }) => type === was.type));
    }
    for (const is of change.after) {
      if (is.type !== RRTYPE.SOA) put(added, is, change.before.find(({ type }) => type === is.type));
    }
  }
  return {
    deleted,
    added,
    soa: {
      before: before.rrset(before.origin, RRTYPE.SOA),
      after: after.rrset(after.origin, RRTYPE.SOA),
    },
  };
}

function put(list: RRset[], rrset: RRset, other: RRset | undefined): void {
  const left = other === undefined || other.ttl !== rrset.ttl ? rrset : without(rrset, other);
  if (left.rdatas.length > 0) list.push(left);
}

/**
 * Owner by owner what differs, the SOA included, in canonical order; `undefined` when those are more than `most`.
 * Versions of one zone that share their base are compared at the cost of what was changed in either, others cell by
 * cell, octets against octets; values are made only of what differs. A broken zone counts as one without records.
 * @throws {RangeError} for zones of two origins
 */
export function changedOwners(before: Zone, after: Zone): OwnerChange[];
export function changedOwners(before: Zone, after: Zone, most: number): OwnerChange[] | undefined;
export function changedOwners(before: Zone, after: Zone, most = Infinity): OwnerChange[] | undefined {
  if (before.origin !== after.origin) throw new RangeError(`${before.origin} is not ${after.origin}`);
  const owners = new Set<Name>();
  const a = before.image;
  const b = after.image;
  if (a.slots === b.slots || (a.slots.buffer === b.slots.buffer && a.slots.length > 0)) {
    compareBranches(a, b, take);
  } else compareAll(a, b, take);
  if (owners.size > most) return undefined;
  return [...owners].sort(compareNames).map((owner) => ({
    owner,
    before: before.rrsets(owner),
    after: after.rrsets(owner),
  }));

  function take(owner: Name): boolean {
    owners.add(owner);
    return owners.size <= most;
  }
}

/** Versions over one base differ only in names that either has laid over it. */
function compareBranches(a: ZoneImage, b: ZoneImage, differs: (owner: Name) => boolean): void {
  const scan = createNameScan();
  for (const image of a.patches === b.patches ? [] : [a, b]) {
    for (const slot of image.patches) {
      const cell = cellOfSlot(slot);
      if (cell === 0) continue;
      scanCell(image, cell, scan, image.seed);
      const was = findCell(a, scan, 0);
      const is = findCell(b, scan, 0);
      if (was !== is && !sameRecords(a, was, b, is) && !differs(ownerOf(image, cell))) return;
    }
  }
}

function compareAll(a: ZoneImage, b: ZoneImage, differs: (owner: Name) => boolean): void {
  const scan = createNameScan();
  let found = 0;
  let goesOn = true;
  const endOfB = b.broken ? 0 : stateOf(b).baseEnd;
  const aloneInB = b.patches.length === 0 && b.denial === undefined;
  let guess = 2;
  forEachCell(a, (cell) => {
    if (entryCount(a, cell) === 0) return true;
    // Zones compiled from much the same text have their cells in the same order.
    let twin = aloneInB && guess < endOfB && !isDead(b, guess) && sameName(a, cell, b, guess) ? guess : 0;
    if (twin === 0) {
      scanCell(a, cell, scan, b.seed);
      twin = b.broken ? 0 : findCell(b, scan, 0);
    }
    if (twin !== 0) {
      guess = twin + cellWords(b, twin);
      if (entryCount(b, twin) > 0) found++;
    }
    goesOn = sameRecords(a, cell, b, twin) || differs(ownerOf(a, cell));
    return goesOn;
  });
  if (!goesOn) return;
  let owners = 0;
  forEachCell(b, (cell) => {
    if (entryCount(b, cell) > 0) owners++;
  });
  if (owners === found) return;
  forEachCell(b, (cell) => {
    if (entryCount(b, cell) === 0) return true;
    scanCell(b, cell, scan, a.seed);
    const twin = a.broken ? 0 : findCell(a, scan, 0);
    return (twin !== 0 && entryCount(a, twin) > 0) || differs(ownerOf(b, cell));
  });
}

/** Whether two cells have one name; both zones have one origin. */
function sameName(a: ZoneImage, cellOfA: number, b: ZoneImage, cellOfB: number): boolean {
  let left = cellOfA;
  let right = cellOfB;
  for (;;) {
    const parent = a.words[left + CELL.parent];
    const other = b.words[right + CELL.parent];
    if (parent === 0 || other === 0) return parent === other;
    const from = labelAt(a, left);
    const to = labelAt(b, right);
    const size = a.bytes[from];
    for (let i = 0; i <= size; i++) if (a.bytes[from + i] !== b.bytes[to + i]) return false;
    left = parent;
    right = other;
  }
}

/** Whether two cells of one name, or 0 for none, have the same records. */
function sameRecords(a: ZoneImage, cellOfA: number, b: ZoneImage, cellOfB: number): boolean {
  const count = cellOfA === 0 ? 0 : entryCount(a, cellOfA);
  if (count !== (cellOfB === 0 ? 0 : entryCount(b, cellOfB))) return false;
  for (let i = 0; i < count; i++) {
    const left = cellOfA + a.headWords + i * ENTRY.size;
    const right = cellOfB + b.headWords + i * ENTRY.size;
    if (a.words[left] !== b.words[right]) return false;
    if (a.words[left + ENTRY.octetsAndExtras] !== b.words[right + ENTRY.octetsAndExtras]) return false;
    // All of a blob but its targets, which are numbers of cells.
    const from = (cellOfA << 2) + a.words[left + ENTRY.start];
    const shift = (cellOfB << 2) + b.words[right + ENTRY.start] - from;
    const end = contentEnd(a, cellOfA, left);
    if (end + shift !== contentEnd(b, cellOfB, right)) return false;
    for (let at = from; at < end; at++) if (a.bytes[at] !== b.bytes[at + shift]) return false;
  }
  return true;
}

function contentEnd(image: ZoneImage, cell: number, entry: number): number {
  const shape = image.words[entry + ENTRY.octetsAndExtras];
  const end = (cell << 2) + image.words[entry + ENTRY.start] + (shape & 0xff_ffff);
  if ((shape & (EXTRA.fixups | EXTRA.signatures)) === 0) return end;
  findExtras(image, cell, entry);
  if (extras.signatures !== 0) return extras.signatures + extras.signatureOctets;
  return extras.fixups + 2 * extras.fixupCount;
}

function without(rrset: RRset, other: RRset): RRset {
  const key = (rdata: Uint8Array) => String.fromCharCode(...rdata.subarray(0, 4096)) + rdata.length;
  const known = new Map<string, Uint8Array[]>();
  for (const rdata of other.rdatas) {
    const twins = known.get(key(rdata));
    if (twins === undefined) known.set(key(rdata), [rdata]);
    else twins.push(rdata);
  }
  return {
    ...rrset,
    rdatas: rrset.rdatas.filter((rdata) =>
      !known.get(key(rdata))?.some((twin) => compareRdata(twin, rdata) === 0)
    ),
  };
}
