/**
 * Compiles records into a zone, in one pass: records of one owner, which stand together in a zone file that people or
 * programs write, become a cell as soon as another owner comes, in the memory that the zone then has. An owner that comes
 * again has its cell read back and written anew.
 *
 * Hot path: `addWire` and `finish` decide how long a start with a large zone takes. There is no object a record. The most
 * common record, alone at a name beside the name before, goes from the parser's buffers into its cell (`takePlain`), and
 * the index is filled afterwards, in one go (`settle`). `tests/bench/answers` prints time and memory.
 */
import type { Result } from "../../conduit/mod.ts";
import {
  CELL,
  CELL3,
  ENTRY,
  findEntry,
  FLAG,
  labelAt,
  probe,
  RECORD_HEAD,
  slotOf,
  type ZoneImage,
} from "../image/layout.ts";
import { createNameScan, hashLabel, type NameScan, scanName } from "../image/scan.ts";
import { nameFromWire, nameToWire, writeName } from "../name.ts";
import { RRTYPE, typeName } from "../rr/types.ts";
import type { Name, ResourceRecord } from "../types.ts";
import {
  cellWords,
  createHeap,
  createSharedSlots,
  createSlots,
  isFree,
  keepState,
  makeRoom,
  MAX_HEAP_OCTETS,
  MAX_LOAD,
  ORDER,
  ordersOf,
  place,
  release,
  replaceSlot,
  resizeHeap,
  slackFor,
} from "./heap.ts";
import { copyCells, fixParents, indexOf, resolveTargets } from "./links.ts";
import { emptyImage, nextImageId, NONE, shared, sharedNumbers } from "./memory.ts";
import { findChain, marksOf, setProofs } from "./chain.ts";
import { isChecked, isTtl, joinFault, recordFault } from "./rules.ts";
import { soaNumbers } from "./soa.ts";
import {
  clearStage,
  createStage,
  findSet,
  loadCell,
  packCell,
  packed,
  putRecordHead,
  setKey,
  stageRecord,
} from "./stage.ts";
import { openZone, type Zone } from "./zone.ts";

export type ZoneErrorCode =
  | "out-of-zone"
  | "not-class-in"
  | "bad-ttl"
  | "bad-rdata"
  | "misplaced-soa"
  | "several-records"
  | "ttl-differs"
  | "no-soa"
  | "too-large";

/** Why records make no zone. */
export interface ZoneError {
  readonly code: ZoneErrorCode;
  /** One sentence without a final dot. */
  readonly message: string;
  /** The owner concerned. */
  readonly owner: Name;
  readonly type: number;
  /** The record was taken all the same: `ttl-differs`, where the RRset's first TTL counts (RFC 2181 §5.2). */
  readonly taken?: boolean;
}

export interface ZoneBuilder {
  /**
   * Takes a record; an equal one taken before, names in rdata compared without case, makes no second (RFC 2181 §5).
   * Gives the error when it cannot stand in this zone; the builder is then as it was, unless the error says `taken`.
   */
  add(record: ResourceRecord): ZoneError | undefined;
  /** As `add`, from octets and without making anything; what is passed is read during the call only. */
  addWire(record: WireRecord): ZoneError | undefined;
  /** The zone. The builder is not to be used any more. */
  finish(): Result<Zone, ZoneError>;
}

/** A record of class IN in wire form; the object and its buffers may be used again for the next one. */
export interface WireRecord {
  /** A buffer that begins with the owner name, uncompressed, in any case. */
  readonly owner: Uint8Array;
  /** The owner is that of the call before, which gave no error other than `ttl-differs`. */
  readonly ownerIsSame: boolean;
  /** The name above the owner is, octet for octet, that above the owner of the call before; may be left out. */
  readonly parentIsSame?: boolean;
  readonly type: number;
  readonly ttl: number;
  /** A buffer with the rdata, and where it stands there. */
  readonly rdata: Uint8Array;
  readonly rdataStart: number;
  readonly rdataOctets: number;
}

/** How large a zone will be, about: too small a guess costs time, one too large nothing but addresses. */
export interface ZoneSize {
  /** Octets of its zone file. */
  readonly octets?: number;
  readonly records?: number;
}

/** All at once; the first error ends it. TTLs that differ within an RRset: the first counts (RFC 2181 §5.2). */
export function compileZone(
  origin: Name,
  records: Iterable<ResourceRecord>,
  size?: ZoneSize,
): Result<Zone, ZoneError> {
  const builder = createZoneBuilder(origin, size);
  for (const record of records) {
    const error = builder.add(record);
    if (error !== undefined && error.taken !== true) return { ok: false, error };
  }
  return builder.finish();
}

export function createZoneBuilder(origin: Name, size: ZoneSize = {}): ZoneBuilder {
  const originWire = shared(nameToWire(origin));
  const wire = new Uint8Array(256);
  const records = size.records ?? (size.octets ?? 0) / OCTETS_A_RECORD;
  const likely = Math.min(records, 1 << 25);
  const heap = createHeap(
    Math.max(1 << 10, Math.min(records * 128 + (size.octets ?? 0), MAX_HEAP_OCTETS / 2)),
    CELL.size,
  );
  /** In memory of its own, which can be given back at once. */
  let slots = createSlots(Math.min(records, FEW));
  /** Cells that are in the index. */
  let cellCount = 0;
  let recordCount = 0;
  let deadWords = 0;
  let hasOrphans = false;
  /** The first and the last cell with targets, as they were written; 0: none. */
  let firstTarget = 0;
  let lastTarget = 0;
  const stage = createStage();
  /** Where a new owner is read into before the one in the stage is done with. */
  let coming: NameScan = createNameScan();
  let lastOwner: Name | undefined;
  /** The cell of the stage's owner; 0 when it has none yet. */
  let cell = 0;
  let cellRecords = 0;
  let changed = false;
  /** The owner of the last call is that of the stage, or of `plain`. */
  let isCurrent = false;
  /** The cell of the last call's owner where it was written without the stage; 0 otherwise. */
  let plain = 0;
  /** The parent of the last owner that a cell was written for, its hash, and the octets of its name; 0: not known. */
  let parent = 0;
  let parentHash = 0;
  let parentOctets = 0;
  /**
   * Plain cells that are not in the index yet stand from `run` to the heap's end. No two of them have one name: all are
   * children of one name, and their labels ascend in one of the orders that are left in `runOrder`.
   */
  let run = 0;
  let runCells = 0;
  let runOrder = 0;

  scanName(coming, originWire, 0, originWire.length, SEED);
  const originLabels = coming.labels;
  const apexHash = coming.hashes[0];
  swapOwner();
  packCell(stage, heap, 0, 0);
  link(packed.cell, 0);
  cell = packed.cell;

  return { add, addWire, finish };

  function add(record: ResourceRecord): ZoneError | undefined {
    if (record.class !== 1) {
      return {
        code: "not-class-in",
        message: `${record.owner} has a record of a class other than IN`,
        owner: record.owner,
        type: record.type,
      };
    }
    const { owner, rdata } = record;
    const same = owner === lastOwner;
    if (!same) writeName(owner, wire, 0);
    const error = take(wire, same, record.type, record.ttl, rdata, 0, rdata.length);
    lastOwner = error === undefined || error.taken === true || same ? owner : undefined;
    return error;
  }

  function addWire(record: WireRecord): ZoneError | undefined {
    lastOwner = undefined;
    const { owner, ownerIsSame, type, ttl, rdata, rdataStart, rdataOctets } = record;
    if (
      !ownerIsSame && isCurrent && record.parentIsSame === true &&
      takePlain(owner, type, ttl, rdata, rdataStart, rdataOctets)
    ) return undefined;
    return take(owner, ownerIsSame, type, ttl, rdata, rdataStart, rdataOctets);
  }

  /**
   * Takes the one plain record of a new owner right below the parent of the owner before, and writes its cell at once,
   * without the stage: most records of most large zones. False leaves all as it was, and `take` has to see to it.
   */
  function takePlain(
    owner: Uint8Array,
    type: number,
    ttl: number,
    rdata: Uint8Array,
    start: number,
    octets: number,
  ): boolean {
    const size = owner[0];
    if (isChecked(type) || octets > MOST_PLAIN_OCTETS || !isTtl(ttl)) return false;
    if (size === 0 || size > 63 || (size === 1 && owner[1] === ASTERISK)) return false;
    // Where the owner before has several records, this one has too, it seems; then the stage costs less.
    if (plain === 0 && (stage.records !== 1 || !flush())) return false;
    const nameOctets = 1 + size + parentOctets;
    if (parent === 0 || nameOctets > 255 || (heap.words[parent + CELL.head] & FLAG.gone) !== 0) return false;
    if (!makeRoom(heap, ROOM_FOR_PLAIN)) return false;

    const { words, bytes, headWords, end: made } = heap;
    const entry = made + headWords;
    const label = entry + ENTRY.size << 2;
    bytes[label] = size;
    for (let i = 1; i <= size; i++) {
      const octet = owner[i];
      bytes[label + i] = octet - 0x41 >>> 0 < 26 ? octet | 0x20 : octet;
    }
    if (plain === 0 || run === 0) {
      settle();
      runOrder = ORDER.any;
    } else {
      runOrder &= ordersOf(bytes, labelAt(heap, plain), label);
      if (runOrder === 0) {
        settle();
        runOrder = ORDER.any;
      }
    }
    if (!isFree(heap, slots, hashLabel(parentHash, bytes, label), nameOctets, label)) return false;

    words[made + CELL.parent] = parent;
    words[made + CELL.head] = nameOctets << 16 | 1 << 8;
    for (let i = CELL.size; i < headWords; i++) words[made + i] = 0;
    const blob = label + 1 + size;
    words[entry + ENTRY.typeAndCount] = type << 16 | 1;
    words[entry + ENTRY.start] = blob - (made << 2);
    words[entry + ENTRY.octetsAndExtras] = RECORD_HEAD + octets;
    const into = putRecordHead(bytes, blob, type, ttl, octets);
    for (let i = 0; i < octets; i++) bytes[into + i] = rdata[start + i];
    heap.end = made + (into + octets - (made << 2) + 7 >>> 3 << 1);

    if (run === 0) run = made;
    runCells++;
    recordCount++;
    if ((words[parent + CELL.head] & 0xff) < 255) words[parent + CELL.head]++;
    plain = made;
    return true;
  }

  /**
   * Puts the run into the index. All at once, it waits for memory many times less: the places of its names are spread over
   * the whole index, and here a processor looks for several at a time.
   */
  function settle(): void {
    if (run === 0) return;
    const needed = cellCount + runCells;
    if (needed > slots.length * MAX_LOAD) slots = indexed(createSlots(Math.max(needed * 1.5, likely)));
    else indexOf(heap, run, heap.end, slots, apexHash);
    cellCount = needed;
    run = runCells = 0;
  }

  /** Reads the cell that `takePlain` wrote for the owner of the last call into the stage: the owner has more records. */
  function reopenPlain(owner: Uint8Array): void {
    scanName(stage.scan, owner, 0, Math.min(owner.length, 256), SEED);
    clearStage(stage);
    loadCell(stage, heap, plain);
    cell = plain;
    cellRecords = stage.records;
    changed = false;
    plain = 0;
  }

  function take(
    owner: Uint8Array,
    same: boolean,
    type: number,
    ttl: number,
    rdata: Uint8Array,
    start: number,
    octets: number,
  ): ZoneError | undefined {
    settle();
    if (same && plain !== 0) reopenPlain(owner);
    if (!same) {
      isCurrent = false;
      if (scanName(coming, owner, 0, Math.min(owner.length, 256), SEED) < 0) {
        const message = `a record of ${origin} has an owner that is no name`;
        return { code: "out-of-zone", message, owner: origin, type };
      }
      if (!isInZone(coming)) return refusal("out-of-zone", owner, type, `does not lie in the zone ${origin}`);
    }
    const scan = same ? stage.scan : coming;
    const wrong = recordFault(type, ttl, rdata, start, octets, scan.length === originWire.length);
    if (wrong !== undefined) return refusal(wrong.code, scan.lower, type, wrong.why);
    if (!same) {
      const flushed = flush();
      if (!flushed) return zoneTooLarge(type);
      swapOwner();
      isCurrent = true;
      cell = probe(heap, slots, stage.scan, 0);
      if (cell !== 0) {
        loadCell(stage, heap, cell);
        cellRecords = stage.records;
      }
    }
    const key = setKey(type, rdata, start);
    const set = findSet(stage, key);
    const fault = joinFault(stage, set, type, rdata, start, octets);
    if (fault === "same") return undefined;
    if (fault !== undefined) return refusal(fault.code, stage.scan.lower, type, fault.why);
    const known = set < 0 ? ttl : stage.ttls[set];
    stageRecord(stage, set, key, known, rdata, start, octets);
    changed = true;
    if (known === ttl || type === RRTYPE.RRSIG) return undefined;
    const differs = refusal("ttl-differs", stage.scan.lower, type, `has ${typeName(type)} of TTL ${known}`);
    return { ...differs, taken: true };
  }

  /** The name that came becomes the stage's. */
  function swapOwner(): void {
    const scan = stage.scan;
    stage.scan = coming;
    coming = scan;
    clearStage(stage);
    changed = false;
    cell = 0;
    cellRecords = 0;
    plain = 0;
    parent = 0;
  }

  function isInZone(scan: NameScan): boolean {
    const label = scan.labels - originLabels;
    if (label < 0) return false;
    const shift = scan.starts[label];
    if (scan.length - shift !== originWire.length) return false;
    for (let i = 0; i < originWire.length; i++) if (scan.lower[shift + i] !== originWire[i]) return false;
    return true;
  }

  /** Writes the stage's cell; false when the heap is full. */
  function flush(): boolean {
    if (!changed) return true;
    const { scan } = stage;
    if (cell === 0) {
      parent = parentOf(scan);
      if (parent === 0 || !packCell(stage, heap, parent, 0)) return false;
      link(packed.cell, scan.hashes[0]);
      addChild(parent, scan, 0);
    } else {
      const head = heap.words[cell + CELL.head];
      parent = heap.words[cell + CELL.parent];
      const octets = cellWords(heap, cell);
      const kept = head & (FLAG.wildcard | 0xff);
      if (cell + octets === heap.end && (head & 0xff) === 0) {
        heap.end = cell;
        if (!packCell(stage, heap, parent, kept)) return false;
      } else {
        if (!packCell(stage, heap, parent, kept)) return false;
        heap.words[cell + CELL.head] |= FLAG.gone;
        deadWords += octets;
        if ((head & 0xff) !== 0) hasOrphans = true;
        const hash = scan.hashes[0];
        replaceSlot(slots, slotOf(hash, cell), slotOf(hash, packed.cell), hash);
      }
      recordCount -= cellRecords;
    }
    if (parent !== 0) {
      parentHash = scan.hashes[1];
      parentOctets = scan.length - scan.starts[1];
    }
    changed = false;
    recordCount += packed.records;
    if (packed.targets) {
      firstTarget ||= packed.cell;
      lastTarget = packed.cell;
    }
    return true;
  }

  /** The cell of a name's parent, made with all its ancestors (empty non-terminals) where it is new; 0: no room. */
  function parentOf(scan: NameScan): number {
    let label = 1;
    let above = 0;
    const top = scan.labels - originLabels;
    while (label <= top && (above = probe(heap, slots, scan, label)) === 0) label++;
    while (above !== 0 && label > 1) {
      label--;
      const made = emptyCell(scan, label, above);
      if (made === 0) return 0;
      link(made, scan.hashes[label]);
      addChild(above, scan, label);
      above = made;
    }
    return above;
  }

  function emptyCell(scan: NameScan, label: number, above: number): number {
    if (!makeRoom(heap, 128)) return 0;
    const made = heap.end;
    const { words, bytes } = heap;
    words[made + CELL.parent] = above;
    words[made + CELL.head] = scan.length - scan.starts[label] << 16;
    for (let i = 2; i < heap.headWords; i++) words[made + i] = 0;
    const at = made + heap.headWords << 2;
    const start = scan.starts[label];
    const octets = 1 + scan.lower[start];
    for (let i = 0; i < octets; i++) bytes[at + i] = scan.lower[start + i];
    heap.end = made + cellWords(heap, made);
    return made;
  }

  /** Puts a new cell into the index. */
  function link(made: number, hash: number): void {
    if (cellCount + 1 > slots.length * MAX_LOAD) {
      slots = indexed(createSlots(Math.max(cellCount * 1.5, likely)), made);
    }
    place(slots, slotOf(made === 2 ? apexHash : hash, made), made === 2 ? apexHash : hash);
    cellCount++;
  }

  function addChild(above: number, scan: NameScan, label: number): void {
    const at = above + CELL.head;
    const start = scan.starts[label];
    const children = heap.words[at] & 0xff;
    if (children < 255) heap.words[at]++;
    if (scan.lower[start] === 1 && scan.lower[start + 1] === ASTERISK) heap.words[at] |= FLAG.wildcard;
  }

  /** All cells but one, in another index; the memory of the old one is given back. */
  function indexed(into: Int32Array, except = 0): Int32Array {
    indexOf(heap, FIRST, heap.end, into, apexHash, except);
    release(slots);
    return into;
  }

  function finish(): Result<Zone, ZoneError> {
    if (!flush()) return { ok: false, error: zoneTooLarge(RRTYPE.SOA) };
    if (runCells > cellCount) {
      // So much is not in it that a new one is as good, which is then of the right size and shared from the start.
      cellCount += runCells;
      run = runCells = 0;
      slots = indexed(createSharedSlots(cellCount));
    }
    settle();
    swapOwner();
    scanName(stage.scan, originWire, 0, originWire.length, SEED);
    let apex = probe(heap, slots, stage.scan, 0);
    if (findEntry(heap, apex, RRTYPE.SOA) === 0) {
      return {
        ok: false,
        error: {
          code: "no-soa",
          message: `the zone ${origin} has no SOA record at its apex`,
          owner: origin,
          type: RRTYPE.SOA,
        },
      };
    }
    if (hasOrphans) fixParents(heap, heap.end, slots, SEED);
    let made = heap;
    const nsec3 = findEntry(heap, apex, RRTYPE.NSEC3PARAM) !== 0;
    if (deadWords > heap.end >>> 3 || (nsec3 && heap.headWords !== CELL3.size)) {
      const copy = copyCells(heap, heap.end, nsec3 ? CELL3.size : CELL.size);
      apex = copy.moved[apex >>> 1];
      made = copy.heap;
      release(copy.moved);
      release(slots);
      slots = indexOf(made, FIRST, made.end, createSharedSlots(cellCount), apexHash);
    } else if (cellCount < slots.length * MAX_LOAD / 2) {
      slots = indexed(createSharedSlots(cellCount));
    }
    const denial = findChain(made, made.end, apex, originLabels);
    if (denial?.kind === "nsec3") {
      // Names that are hashes are there for no question (RFC 5155 §7.2.8).
      const marks = marksOf(denial, made.end);
      release(slots);
      slots = createSharedSlots(cellCount - denial.cells.length);
      indexOf(made, FIRST, made.end, slots, apexHash, 0, marks);
      const children = made.words[apex + CELL.head] & 0xff;
      if (children < 255) made.words[apex + CELL.head] -= denial.cells.length;
      setProofs(made, made.end, denial, marks);
      release(marks);
    }
    if (lastTarget !== 0) {
      const from = made === heap ? firstTarget : FIRST;
      const end = made === heap ? lastTarget + cellWords(made, lastTarget) : made.end;
      resolveTargets(made, from, end, slots, originWire, SEED);
    }
    const used = made.end << 2 >>> 0;
    const wanted = Math.min(used + slackFor(used), MAX_HEAP_OCTETS);
    if (made.bytes.length < wanted) resizeHeap(made, wanted);
    keepState(made, { baseEnd: made.end, end: made.end });
    const image: ZoneImage = {
      id: nextImageId(),
      origin,
      originWire,
      originLabels,
      seed: SEED,
      broken: false,
      bytes: made.bytes,
      words: made.words,
      view: new DataView(made.bytes.buffer),
      slots: slots.buffer instanceof SharedArrayBuffer ? slots : sharedNumbers(slots),
      patches: NONE,
      apex,
      headWords: made.headWords,
      ...soaNumbers(made, apex),
      recordCount,
      denial,
    };
    release(slots);
    release(stage.bytes);
    return { ok: true, value: openZone(image) };
  }

  /** @param why what follows the owner in a sentence */
  function refusal(code: ZoneErrorCode, ownerWire: Uint8Array, type: number, why: string): ZoneError {
    const owner = nameFromWire(ownerWire, 0)?.name ?? origin;
    return { code, message: `${owner} ${why}`, owner, type };
  }

  function zoneTooLarge(type: number): ZoneError {
    return {
      code: "too-large",
      message: `the zone ${origin} is larger than the ${
        MAX_HEAP_OCTETS / 2 ** 20
      } MiB that an image can hold`,
      owner: origin,
      type,
    };
  }
}

/** A placeholder for a zone that was never good: every question below it is answered SERVFAIL. */
export function brokenZone(origin: Name): Zone {
  const originWire = shared(nameToWire(origin));
  const scan = createNameScan();
  scanName(scan, originWire, 0, originWire.length, SEED);
  return openZone(emptyImage(origin, originWire, scan.labels, SEED));
}

/** Hash tables start from a number that nobody outside knows. */
export const SEED = crypto.getRandomValues(new Int32Array(1))[0];

/** What is assumed of a zone file of which only the size is known. */
const OCTETS_A_RECORD = 20;
/** So many names an index has room for at first; it grows to what is likely when they are more. */
const FEW = 1 << 10;
/** The first cell of a heap. */
const FIRST = 2;
const ASTERISK = 0x2a;
/** Rdata of a cell that is written without the stage, at most. */
const MOST_PLAIN_OCTETS = 255;
/** Octets of such a cell, at most. */
const ROOM_FOR_PLAIN = (CELL3.size + ENTRY.size) * 4 + 64 + RECORD_HEAD + MOST_PLAIN_OCTETS + 8;
