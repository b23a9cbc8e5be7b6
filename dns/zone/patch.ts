/**
 * Another version of a zone at the cost of what changes: new cells behind the newest ones in the heap, and an index of
 * them that is looked into where a cell of the base says so. Cells that a version has are never written, but for the one
 * flag that says "look there", which does not disturb versions that have nothing there.
 */
import type { Result } from "../../conduit/mod.ts";
import { CELL, cellOfSlot, findEntry, FLAG, probe, slotOf, type ZoneImage } from "../image/layout.ts";
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";
import { writeName } from "../name.ts";
import { RRTYPE } from "../rr/types.ts";
import { createZoneBuilder, type ZoneError } from "./builder.ts";
import { compactedZone } from "./compact.ts";
import {
  cellWords,
  createCellHasher,
  createSlots,
  type Heap,
  isDead,
  place,
  replaceSlot,
  scanCell,
  stateOf,
} from "./heap.ts";
import { resolveTargets } from "./links.ts";
import { nextImageId, sharedNumbers } from "./memory.ts";
import { countRecords, entryCount, isInZone } from "./read.ts";
import { joinFault, recordFault } from "./rules.ts";
import { soaNumbers } from "./soa.ts";
import {
  clearStage,
  createStage,
  findSet,
  packCell,
  packed,
  roomForCell,
  setKey,
  stageRecord,
} from "./stage.ts";
import { openZone, type OwnerRRsets, type Zone } from "./zone.ts";

/** As `Zone.patched`; with `keepsDenial` nothing is changed that a chain of denial speaks of. */
export function patchedZone(
  zone: Zone,
  changes: Iterable<OwnerRRsets>,
  keepsDenial: boolean,
): Result<Zone, ZoneError> {
  const list = [...changes];
  if (zone.broken || (zone.image.denial !== undefined && !keepsDenial)) return rebuilt(zone, list);
  if (list.length <= mostPatches(zone.image)) {
    const next = patchOver(zone.image, list);
    if (next !== undefined) return next;
    const fresh = compactedZone(zone);
    const again = fresh.image.denial === undefined ? patchOver(fresh.image, list) : undefined;
    if (again !== undefined) return again;
  }
  return rebuilt(zone, list);
}

/**
 * More cells laid over a base than this, and a base of its own is better: each version copies their index. Before that the
 * room behind the base is full in most zones.
 */
function mostPatches(image: ZoneImage): number {
  return Math.max(1 << 10, Math.min(1 << 17, image.slots.length >>> 2));
}

function rebuilt(zone: Zone, changes: readonly OwnerRRsets[]): Result<Zone, ZoneError> {
  const changed = new Map(changes.map(({ owner, rrsets }) => [owner, rrsets]));
  const builder = createZoneBuilder(zone.origin, { records: zone.recordCount });
  for (const rrset of zone.records()) {
    if (changed.has(rrset.owner)) continue;
    for (const rdata of rrset.rdatas) {
      const error = builder.add({ owner: rrset.owner, type: rrset.type, class: 1, ttl: rrset.ttl, rdata });
      if (error !== undefined && error.taken !== true) return { ok: false, error };
    }
  }
  for (const [owner, rrsets] of changed) {
    for (const { type, ttl, rdatas } of rrsets) {
      for (const rdata of rdatas) {
        const error = builder.add({ owner, type, class: 1, ttl, rdata });
        if (error !== undefined && error.taken !== true) return { ok: false, error };
      }
    }
  }
  return builder.finish();
}

/** In use only within `patchOver`. */
const stage = createStage();
const bare = createStage();

/** The next version over the same base; `undefined` when it has no more room. */
function patchOver(image: ZoneImage, changes: readonly OwnerRRsets[]): Result<Zone, ZoneError> | undefined {
  const { words, bytes, seed, originWire, originLabels, headWords } = image;
  const state = stateOf(image);
  const begin = state.end;
  const heap: Heap = { bytes, words, headWords, end: begin };
  const scan = createNameScan();
  const wire = new Uint8Array(256);
  let over = image.patches.length === 0 ? createSlots(8) : image.patches.slice();
  let overCount = 0;
  for (const slot of over) if (slot !== 0) overCount++;
  let recordCount = image.recordCount;
  /** Names that may have become empty non-terminals without anything below. */
  const emptied: number[] = [];

  scanName(scan, originWire, 0, originWire.length, seed);
  const hashOf = createCellHasher(heap, scan.hashes[0]);
  for (const { owner, rrsets } of changes) {
    scanName(scan, wire, 0, writeName(owner, wire, 0), seed);
    if (!isInZone(image, scan)) {
      return failure(
        "out-of-zone",
        owner,
        rrsets[0]?.type ?? 0,
        `${owner} does not lie in the zone ${image.origin}`,
      );
    }
    stage.scan = scan;
    clearStage(stage);
    for (const rrset of rrsets) {
      for (const rdata of rrset.rdatas) {
        const { type, ttl } = rrset;
        const key = setKey(type, rdata, 0);
        const set = findSet(stage, key);
        const fault = recordFault(type, ttl, rdata, 0, rdata.length, scan.length === originWire.length) ??
          joinFault(stage, set, type, rdata, 0, rdata.length);
        if (fault === "same") continue;
        if (fault !== undefined) return failure(fault.code, owner, type, `${owner} ${fault.why}`);
        stageRecord(stage, set, key, set < 0 ? ttl : stage.ttls[set], rdata, 0, rdata.length);
      }
    }
    if (!setOwner()) return undefined;
  }
  if (!clearEmptied()) return undefined;
  if (overCount > mostPatches(image)) return undefined;

  scanName(scan, originWire, 0, originWire.length, seed);
  const apex = find(scan, 0);
  if (apex === 0 || findEntry(image, apex, RRTYPE.SOA) === 0) {
    return failure(
      "no-soa",
      image.origin,
      RRTYPE.SOA,
      `the zone ${image.origin} has no SOA record at its apex`,
    );
  }
  resolveTargets(heap, begin, heap.end, image.slots, originWire, seed);
  state.end = heap.end;
  const next: ZoneImage = {
    ...image,
    id: nextImageId(),
    patches: sharedNumbers(over),
    apex,
    ...soaNumbers(image, apex),
    recordCount,
  };
  return { ok: true, value: openZone(next) };

  /** Gives the scanned owner the stage's records; false: no room. */
  function setOwner(): boolean {
    const before = find(scan, 0);
    if (before === 0) {
      if (stage.records === 0) return true;
      const parent = parentOf(scan);
      return parent !== 0 && write(0, parent, 0) && addChild(parent);
    }
    const kept = words[before + CELL.head] & (FLAG.wildcard | 0xff);
    recordCount -= countRecords(heap, before);
    if (!write(before, words[before + CELL.parent], kept)) return false;
    if (stage.records === 0) emptied.push(packed.cell);
    return true;
  }

  /** The stage's cell in place of one that there was, or as a new one. */
  function write(before: number, parent: number, head: number): boolean {
    if (!fits(roomForCell(stage, heap)) || !packCell(stage, heap, parent, head)) return false;
    for (let i = CELL.size; i < headWords && before !== 0; i++) words[packed.cell + i] = words[before + i];
    recordCount += packed.records;
    lay(packed.cell, scan.hashes[0], scan, 0);
    return true;
  }

  function fits(octets: number): boolean {
    return heap.end * 4 + octets <= bytes.length;
  }

  /** Puts a cell into the new index, in the place of the one of that name, which learns that there is another. */
  function lay(cell: number, hash: number, name: NameScan, label: number): void {
    const base = probe(heap, image.slots, name, label);
    if (base !== 0) words[base + CELL.head] |= FLAG.patched;
    const known = probe(heap, over, name, label);
    if (known !== 0) {
      words[known + CELL.head] |= FLAG.patched;
      replaceSlot(over, slotOf(hash, known), slotOf(hash, cell), hash);
      return;
    }
    if (++overCount > over.length >>> 1) {
      const larger = new Int32Array(over.length * 2);
      for (const slot of over) if (slot !== 0) place(larger, slot, hashOf(cellOfSlot(slot)));
      over = larger;
    }
    place(over, slotOf(hash, cell), hash);
  }

  function find(name: NameScan, label: number): number {
    const known = probe(heap, over, name, label);
    if (known !== 0) return isDead(heap, known) ? 0 : known;
    return probe(heap, image.slots, name, label);
  }

  /** A cell of a name that this version may write to: a copy of the one that others have. 0: no room. */
  function own(cell: number, name: NameScan, label: number): number {
    if (cell >= begin) return cell;
    const size = cellWords(heap, cell);
    if (!fits(size * 4)) return 0;
    const made = heap.end;
    words.copyWithin(made, cell, cell + size);
    words[made + CELL.head] &= ~(FLAG.patched | FLAG.gone);
    heap.end = made + size;
    lay(made, name.hashes[label], name, label);
    return made;
  }

  /** The parent of the scanned name, to be written to; with its ancestors where they are new. 0: no room. */
  function parentOf(name: NameScan): number {
    const top = name.labels - originLabels;
    let label = 1;
    let parent = 0;
    while (label <= top && (parent = find(name, label)) === 0) label++;
    parent = own(parent, name, label);
    while (parent !== 0 && label > 1) {
      label--;
      const child = bareCell(name, label, parent, 0);
      if (child === 0) return 0;
      count(parent, name, label);
      parent = child;
    }
    return parent;
  }

  /** A cell without RRsets. 0: no room. */
  function bareCell(name: NameScan, label: number, parent: number, flags: number): number {
    clearStage(bare);
    const start = name.starts[label];
    scanName(bare.scan, name.lower, start, name.length, seed);
    if (!fits(roomForCell(bare, heap)) || !packCell(bare, heap, parent, flags)) return 0;
    lay(packed.cell, name.hashes[label], name, label);
    return packed.cell;
  }

  function addChild(parent: number): boolean {
    count(parent, scan, 0);
    return true;
  }

  function count(parent: number, name: NameScan, label: number): void {
    if ((words[parent + CELL.head] & 0xff) < 255) words[parent + CELL.head]++;
    if (isAsterisk(name, label)) words[parent + CELL.head] |= FLAG.wildcard;
  }

  /** Takes out names that have neither RRsets nor names below, and then their parents that had nothing else. */
  function clearEmptied(): boolean {
    const name = createNameScan();
    const above = createNameScan();
    // Deeper names first: what lies above them may become empty by that.
    emptied.sort((a, b) => (words[b + CELL.head] >>> 16 & 0xff) - (words[a + CELL.head] >>> 16 & 0xff));
    for (const first of emptied) {
      for (let cell = first;;) {
        scanCell(heap, cell, name, seed);
        const now = find(name, 0);
        if (
          now === 0 || entryCount(heap, now) > 0 || name.labels === originLabels || hasChildren(now, name)
        ) break;
        if (bareCell(name, 0, words[now + CELL.parent], FLAG.gone) === 0) return false;
        const parent = own(find(name, 1), name, 1);
        if (parent === 0) return false;
        const head = words[parent + CELL.head];
        if ((head & 0xff) < 255) words[parent + CELL.head]--;
        if (isAsterisk(name, 0)) words[parent + CELL.head] &= ~FLAG.wildcard;
        cell = parent;
      }
    }
    return true;

    function hasChildren(cell: number, of: NameScan): boolean {
      const children = words[cell + CELL.head] & 0xff;
      if (children < 255) return children > 0;
      // The count has stopped: look for one that lives.
      for (const slot of over) {
        const child = cellOfSlot(slot);
        if (child !== 0 && !isDead(heap, child) && isChildOf(child, of)) return true;
      }
      const base = probe(heap, image.slots, of, 0);
      if (base === 0) return false;
      for (let child = 2; child < state.baseEnd; child += cellWords(heap, child)) {
        if (words[child + CELL.parent] !== base || isDead(heap, child)) continue;
        if ((words[child + CELL.head] & FLAG.patched) === 0) return true;
        scanCell(heap, child, above, seed);
        if (find(above, 0) !== 0) return true;
      }
      return false;
    }

    function isChildOf(child: number, of: NameScan): boolean {
      const parent = words[child + CELL.parent];
      if (parent === 0 || (words[parent + CELL.head] >>> 16 & 0xff) !== of.length) return false;
      scanCell(heap, parent, above, seed);
      for (let i = 0; i < of.length; i++) if (above.lower[i] !== of.lower[i]) return false;
      return true;
    }
  }

  function failure(code: ZoneError["code"], owner: ZoneError["owner"], type: number, message: string) {
    return { ok: false as const, error: { code, owner, type, message } };
  }
}

function isAsterisk({ lower, starts }: NameScan, label: number): boolean {
  return lower[starts[label]] === 1 && lower[starts[label] + 1] === 0x2a;
}
