/**
 * All records of one owner on their way into a cell. Reused from owner to owner; what is here is neither sorted nor
 * packed, and equal records may stand twice until `packCell`.
 *
 * Hot path: a zone of a million names passes here (`tests/bench/answers`). The common name has one record, which costs a
 * copy into the stage and one out of it.
 */
import { CELL, type Cells, ENTRY, EXTRA, FLAG, MOST, RECORD_HEAD } from "../image/layout.ts";
import { createNameScan, type NameScan } from "../image/scan.ts";
import { canonicalRdata, compareRdata } from "../rr/rdata.ts";
import { RRTYPE } from "../rr/types.ts";
import {
  compressibleNames,
  createNameWriter,
  expanded,
  expandName,
  type NameWriter,
  octetsBeforeNames,
} from "./compress.ts";
import { extras, findExtras, type Heap, makeRoom, uint32At } from "./heap.ts";

export interface Stage {
  /** Whose records these are. */
  scan: NameScan;
  /** Rdata, one after the other. */
  bytes: Uint8Array;
  end: number;
  records: number;
  /** Of each record: its rdata, and the next of its set or -1. */
  at: Int32Array;
  size: Int32Array;
  next: Int32Array;
  /** Sets: RRsets, and for each covered type one of RRSIGs. */
  sets: number;
  /** Type in the low 16 bits, above it the type that RRSIGs cover. */
  readonly keys: Int32Array;
  readonly ttls: Int32Array;
  readonly counts: Int32Array;
  readonly first: Int32Array;
  readonly last: Int32Array;
  /** Octets of the rdata of each set. */
  readonly octets: Int32Array;
  /** RRsets as the zone counts them: all RRSIGs are at most one. */
  rrsets: number;
  /** RRSIGs, whatever they cover, and their octets. */
  signatures: number;
  signatureOctets: number;
  readonly names: NameWriter;
  /** Sets in the order in which they are packed. */
  readonly order: Int32Array;
}

/** Sets at one name: 255 RRsets and RRSIGs for each, and some that cover nothing. */
const MAX_SETS = 600;

export function createStage(): Stage {
  const stage: Stage = {
    scan: createNameScan(),
    bytes: new Uint8Array(1 << 10),
    end: 0,
    records: 0,
    at: new Int32Array(16),
    size: new Int32Array(16),
    next: new Int32Array(16),
    sets: 0,
    keys: new Int32Array(MAX_SETS),
    ttls: new Int32Array(MAX_SETS),
    counts: new Int32Array(MAX_SETS),
    first: new Int32Array(MAX_SETS),
    last: new Int32Array(MAX_SETS),
    octets: new Int32Array(MAX_SETS),
    rrsets: 0,
    signatures: 0,
    signatureOctets: 0,
    names: createNameWriter(() => stage.scan),
    order: new Int32Array(MAX_SETS),
  };
  return stage;
}

export function clearStage(stage: Stage): void {
  // A name with very many records is not to hold its memory for all that follow.
  if (stage.bytes.length > 1 << 20) stage.bytes = new Uint8Array(1 << 10);
  if (stage.at.length > 1 << 16) {
    stage.at = new Int32Array(16);
    stage.size = new Int32Array(16);
    stage.next = new Int32Array(16);
  }
  stage.end = 0;
  stage.records = 0;
  stage.sets = 0;
  stage.rrsets = 0;
  stage.signatures = 0;
  stage.signatureOctets = 0;
}

/** The key of a record's set. */
export function setKey(type: number, rdata: Uint8Array, from: number): number {
  return type === RRTYPE.RRSIG ? (rdata[from] << 8 | rdata[from + 1]) << 16 | type : type;
}

/** The set with that key; -1 when there is none. */
export function findSet(stage: Stage, key: number): number {
  const keys = stage.keys;
  for (let set = stage.sets - 1; set >= 0; set--) if (keys[set] === key) return set;
  return -1;
}

/** What stands in the way of a new set or of one more record in `set`; `undefined` when nothing does. */
export function stageLimit(stage: Stage, set: number, type: number, octets: number): string | undefined {
  const signature = type === RRTYPE.RRSIG;
  if (set < 0) {
    const more = signature && stage.signatures > 0 ? 0 : 1;
    if (stage.rrsets + more > MOST.rrsets || stage.sets >= MAX_SETS) return `more than ${MOST.rrsets} types`;
    if (!signature) return undefined;
  }
  const count = signature ? stage.signatures : stage.counts[set];
  if (count >= MOST.records) return `more than ${MOST.records} records of one type`;
  const before = signature ? stage.signatureOctets : stage.octets[set];
  return before + octets + (count + 1) * RECORD_HEAD > MOST.octets
    ? `more than ${MOST.octets} octets of records of one type`
    : undefined;
}

/** Takes a record into its set, which is made with that TTL when it is -1; `stageLimit` has nothing against it. */
export function stageRecord(
  stage: Stage,
  set: number,
  key: number,
  ttl: number,
  rdata: Uint8Array,
  from: number,
  octets: number,
): void {
  roomFor(stage, octets);
  const { bytes, end } = stage;
  if (octets < 64) { for (let i = 0; i < octets; i++) bytes[end + i] = rdata[from + i]; }
  else bytes.set(rdata.subarray(from, from + octets), end);
  link(stage, set, key, ttl, octets);
}

function roomFor(stage: Stage, octets: number): void {
  if (stage.end + octets > stage.bytes.length) {
    const larger = new Uint8Array(Math.max(stage.bytes.length * 2, stage.end + octets));
    larger.set(stage.bytes.subarray(0, stage.end));
    stage.bytes = larger;
  }
  if (stage.records === stage.at.length) {
    stage.at = grown(stage.at);
    stage.size = grown(stage.size);
    stage.next = grown(stage.next);
  }
}

function grown(from: Int32Array): Int32Array {
  const to = new Int32Array(from.length * 2);
  to.set(from);
  return to;
}

/** Makes the octets at the stage's end a record. */
function link(stage: Stage, known: number, key: number, ttl: number, octets: number): void {
  const record = stage.records++;
  stage.at[record] = stage.end;
  stage.size[record] = octets;
  stage.next[record] = -1;
  stage.end += octets;
  let set = known;
  const signature = (key & 0xffff) === RRTYPE.RRSIG;
  if (set < 0) {
    set = stage.sets++;
    if (!signature || stage.signatures === 0) stage.rrsets++;
    stage.keys[set] = key;
    stage.ttls[set] = ttl;
    stage.counts[set] = 1;
    stage.octets[set] = octets;
    stage.first[set] = record;
  } else {
    stage.counts[set]++;
    stage.octets[set] += octets;
    stage.next[stage.last[set]] = record;
  }
  stage.last[set] = record;
  if (signature) {
    stage.signatures++;
    stage.signatureOctets += octets;
  }
}

/** Reads all records of a cell, whose name is the stage's, back into it. */
export function loadCell(stage: Stage, cells: Cells, cell: number): void {
  const { words, bytes } = cells;
  const first = cell + cells.headWords;
  const rrsets = words[cell + CELL.head] >>> 8 & 0xff;
  const { lower, length } = stage.scan;
  for (let entry = first; entry < first + rrsets * ENTRY.size; entry += ENTRY.size) {
    const type = words[entry] >>> 16;
    const blob = (cell << 2) + words[entry + ENTRY.start];
    const end = blob + (words[entry + ENTRY.octetsAndExtras] & 0xff_ffff);
    const nameCount = compressibleNames(type);
    for (let at = blob; at < end;) {
      const octets = bytes[at + 10] << 8 | bytes[at + 11];
      const ttl = uint32At(bytes, at + 6);
      const from = at + RECORD_HEAD;
      const key = setKey(type, bytes, from);
      const set = findSet(stage, key);
      if (nameCount === 0) {
        stageRecord(stage, set, key, ttl, bytes, from, octets);
      } else {
        roomFor(stage, octets + nameCount * 256);
        link(
          stage,
          set,
          key,
          ttl,
          expandRdata(cells, blob, from, octets, type, lower, length, stage.bytes, stage.end),
        );
      }
      at = from + octets;
    }
    findExtras(cells, cell, entry);
    const signaturesEnd = extras.signatures + extras.signatureOctets;
    for (let at = extras.signatures; at < signaturesEnd;) {
      const octets = bytes[at + 10] << 8 | bytes[at + 11];
      const key = setKey(RRTYPE.RRSIG, bytes, at + RECORD_HEAD);
      stageRecord(
        stage,
        findSet(stage, key),
        key,
        uint32At(bytes, at + 6),
        bytes,
        at + RECORD_HEAD,
        octets,
      );
      at += RECORD_HEAD + octets;
    }
  }
}

/** Writes rdata whose names are compressed in full; gives its octets. */
export function expandRdata(
  cells: Cells,
  blob: number,
  from: number,
  octets: number,
  type: number,
  owner: Uint8Array,
  ownerLength: number,
  out: Uint8Array,
  to: number,
): number {
  const bytes = cells.bytes;
  const before = octetsBeforeNames(type);
  for (let i = 0; i < before; i++) out[to + i] = bytes[from + i];
  let at = from + before;
  let into = to + before;
  for (let i = compressibleNames(type); i > 0; i--) {
    into = expandName(cells, blob, at, owner, ownerLength, out, into);
    at = expanded.end;
  }
  while (at < from + octets) out[into++] = bytes[at++];
  return into - to;
}

/** What `packCell` made. */
export const packed = { cell: 0, records: 0, targets: false };

/**
 * Writes the stage's records as a cell behind the heap's end; false when the heap cannot be that large. `head` says the
 * flags that do not follow from the records and the number of children.
 */
export function packCell(stage: Stage, heap: Heap, parent: number, head: number): boolean {
  const { scan } = stage;
  const labelEnd = parent === 0 ? scan.length : 1 + scan.lower[0];
  if (!makeRoom(heap, roomForCell(stage, heap))) return false;
  const { words, bytes } = heap;
  const cell = heap.end;
  let rrsets = 0;
  let flags = head;
  packed.cell = cell;
  packed.records = 0;
  packed.targets = false;
  words[cell + CELL.parent] = parent;
  for (let i = 2; i < heap.headWords; i++) words[cell + i] = 0;
  const order = orderSets(stage);
  // RRSIGs stand behind what they cover, others (of which there are none in a sound zone) are an RRset of their own.
  const entries = cell + heap.headWords;
  let entry = entries;
  const label = entries + rrsetCount * ENTRY.size << 2;
  for (let i = 0; i < labelEnd; i++) bytes[label + i] = scan.lower[i];
  let at = label + labelEnd;
  for (let i = 0; i < order; i++) {
    const set = stage.order[i];
    const key = stage.keys[set];
    const type = key & 0xffff;
    const start = at;
    stage.names.begin(start);
    let count = 0;
    if (type === RRTYPE.RRSIG) {
      // All that is left: the sets that follow each other here are one RRset.
      for (;; i++) {
        at = putSet(stage, stage.order[i], bytes, at);
        count += putCount;
        if (i + 1 === order || (stage.keys[stage.order[i + 1]] & 0xffff) !== RRTYPE.RRSIG) break;
      }
    } else {
      at = putSet(stage, set, bytes, at);
      count = putCount;
    }
    words[entry + ENTRY.typeAndCount] = type << 16 | count;
    words[entry + ENTRY.start] = start - (cell << 2);
    let shape = at - start;
    packed.records += count;
    const { fixupCount, fixups } = stage.names;
    if (fixupCount > 0) {
      shape |= EXTRA.fixups;
      bytes[at++] = fixupCount >>> 8;
      bytes[at++] = fixupCount;
      for (let f = 0; f < fixupCount; f++) {
        bytes[at++] = fixups[f] >>> 8;
        bytes[at++] = fixups[f];
      }
    }
    const signatures = stage.signatures > 0 && type !== RRTYPE.RRSIG
      ? findSet(stage, type << 16 | RRTYPE.RRSIG)
      : -1;
    if (signatures >= 0) {
      shape |= EXTRA.signatures;
      const from = at;
      at = putSet(stage, signatures, bytes, at + 6);
      bytes[from] = putCount >>> 8;
      bytes[from + 1] = putCount;
      const octets = at - from - 6;
      bytes[from + 2] = octets >>> 24;
      bytes[from + 3] = octets >>> 16;
      bytes[from + 4] = octets >>> 8;
      bytes[from + 5] = octets;
      packed.records += putCount;
    }
    if (hasTargets(type)) {
      shape |= EXTRA.targets;
      packed.targets = true;
      for (let t = 0; t < count * 4; t++) bytes[at++] = 0;
    }
    words[entry + ENTRY.octetsAndExtras] = shape;
    if (type === RRTYPE.NS && parent !== 0) flags |= FLAG.cut;
    else if (type === RRTYPE.CNAME) flags |= FLAG.cname;
    else if (type === RRTYPE.DNAME) flags |= FLAG.dname;
    entry += ENTRY.size;
    rrsets++;
  }
  words[cell + CELL.head] = flags | scan.length << 16 | rrsets << 8;
  heap.end = cell + (at - (cell << 2) + 7 >>> 3 << 1);
  return true;
}

/** Octets that `packCell` may need. */
export function roomForCell({ scan, sets, end, records }: Stage, heap: Heap): number {
  return (heap.headWords + sets * ENTRY.size) * 4 + scan.length + end + records * (RECORD_HEAD + 8) +
    sets * 8 + 8;
}

/** RRsets of the cell that `orderSets` has put into order. */
let rrsetCount = 0;

/** Fills `order` with the sets that become RRsets, ascending by type; gives their number. */
function orderSets(stage: Stage): number {
  const { order, keys, sets } = stage;
  let count = 0;
  rrsetCount = 0;
  let alone = false;
  for (let set = 0; set < sets; set++) {
    const type = keys[set] & 0xffff;
    if (type === RRTYPE.RRSIG) {
      const covered = keys[set] >>> 16;
      if (covered !== RRTYPE.RRSIG && findSet(stage, covered) >= 0) continue;
      if (!alone) rrsetCount++;
      alone = true;
    } else {
      rrsetCount++;
    }
    let at = count++;
    for (; at > 0 && rank(keys[order[at - 1]]) > rank(keys[set]); at--) order[at] = order[at - 1];
    order[at] = set;
  }
  return count;
}

/** Orders by type; RRSIGs that cover different types by those, which is their canonical order too. */
function rank(key: number): number {
  return (key & 0xffff) * 0x1_0000 + (key >>> 16);
}

let putCount = 0;
let sorting = new Int32Array(64);

/** Puts the records of a set, sorted and equal ones once; the offset behind them. Their number is in `putCount`. */
function putSet(stage: Stage, set: number, out: Uint8Array, at: number): number {
  const type = stage.keys[set] & 0xffff;
  const count = stage.counts[set];
  const ttl = stage.ttls[set];
  if (count === 1) {
    putCount = 1;
    return putRecord(stage, stage.first[set], type, ttl, out, at);
  }
  if (count > sorting.length) sorting = new Int32Array(count * 2);
  if (count <= FEW_RECORDS && type < SIMPLE.length && SIMPLE[type] !== 0) {
    putCount = sortFew(stage, stage.first[set], SIMPLE[type] === FOLDED);
    let behind = at;
    for (let i = 0; i < putCount; i++) behind = putRecord(stage, sorting[i], type, ttl, out, behind);
    return behind;
  }
  const canonical: Uint8Array[] = [];
  const base = stage.first[set];
  for (let i = 0, record = base; i < count; i++, record = stage.next[record]) {
    sorting[i] = i;
    canonical.push(
      canonicalRdata(type, stage.bytes.subarray(stage.at[record], stage.at[record] + stage.size[record])),
    );
  }
  const records = new Int32Array(count);
  for (let i = 0, record = base; i < count; i++, record = stage.next[record]) records[i] = record;
  const sorted = sorting.subarray(0, count).sort((a, b) => compareRdata(canonical[a], canonical[b]) || a - b);
  let into = at;
  let put = 0;
  for (let i = 0; i < count; i++) {
    if (i > 0 && compareRdata(canonical[sorted[i]], canonical[sorted[i - 1]]) === 0) continue;
    into = putRecord(stage, records[sorted[i]], type, ttl, out, into);
    put++;
  }
  putCount = put;
  return into;
}

/** Types whose canonical form (RFC 4034 §6.2) is seen without their fields: the octets, or a name alone. */
const SIMPLE = new Uint8Array(64);
const AS_IT_IS = 1;
const FOLDED = 2;
for (const type of [RRTYPE.A, RRTYPE.AAAA, RRTYPE.TXT, RRTYPE.DS, RRTYPE.DNSKEY, RRTYPE.TLSA, RRTYPE.SSHFP]) {
  SIMPLE[type] = AS_IT_IS;
}
for (const type of [RRTYPE.NS, RRTYPE.PTR]) SIMPLE[type] = FOLDED;
/** Sets of so many are sorted where they lie, without an object a record. */
const FEW_RECORDS = 16;

/** Sorts a set into `sorting`, equal records once; gives their number. */
function sortFew(stage: Stage, first: number, folded: boolean): number {
  let count = 0;
  for (let record = first; record >= 0; record = stage.next[record]) {
    let place = count;
    let order = -1;
    while (place > 0 && (order = compareStaged(stage, sorting[place - 1], record, folded)) > 0) place--;
    if (place > 0 && order === 0) continue;
    for (let i = count++; i > place; i--) sorting[i] = sorting[i - 1];
    sorting[place] = record;
  }
  return count;
}

/** As `compareRdata` of canonical forms; a length octet is at most 63 and so never taken for a letter. */
function compareStaged({ bytes, at, size }: Stage, a: number, b: number, folded: boolean): number {
  const shared = size[a] < size[b] ? size[a] : size[b];
  for (let i = 0; i < shared; i++) {
    let left = bytes[at[a] + i];
    let right = bytes[at[b] + i];
    if (left === right) continue;
    if (folded) {
      if (left - 0x41 >>> 0 < 26) left |= 0x20;
      if (right - 0x41 >>> 0 < 26) right |= 0x20;
      if (left === right) continue;
    }
    return left - right;
  }
  return size[a] - size[b];
}

function putRecord(
  stage: Stage,
  record: number,
  type: number,
  setTtl: number,
  out: Uint8Array,
  start: number,
): number {
  const { bytes } = stage;
  const from = stage.at[record];
  const octets = stage.size[record];
  // Signatures at one name cover RRsets of different TTLs, and each has the TTL of what it covers (RFC 4034 §3), which
  // is in its own data (§3.1.4).
  const ttl = type === RRTYPE.RRSIG ? uint32At(bytes, from + 4) : setTtl;
  let at = start + RECORD_HEAD;
  let source = from;
  let names = compressibleNames(type);
  if (names > 0) {
    for (let i = octetsBeforeNames(type); i > 0; i--) out[at++] = bytes[source++];
    for (; names > 0; names--) {
      at = stage.names.put(bytes, source, out, at);
      source = stage.names.sourceEnd;
    }
  }
  const end = from + octets;
  if (end - source < 64) { while (source < end) out[at++] = bytes[source++]; }
  else {
    out.set(bytes.subarray(source, end), at);
    at += end - source;
  }
  putRecordHead(out, start, type, ttl, at - start - RECORD_HEAD);
  return at;
}

/** Writes what stands before so many octets of rdata; gives the offset behind it. */
export function putRecordHead(
  out: Uint8Array,
  at: number,
  type: number,
  ttl: number,
  octets: number,
): number {
  out[at] = 0xc0;
  out[at + 1] = 12;
  out[at + 2] = type >>> 8;
  out[at + 3] = type;
  out[at + 4] = 0;
  out[at + 5] = 1;
  out[at + 6] = ttl >>> 24;
  out[at + 7] = ttl >>> 16;
  out[at + 8] = ttl >>> 8;
  out[at + 9] = ttl;
  out[at + 10] = octets >>> 8;
  out[at + 11] = octets;
  return at + RECORD_HEAD;
}

/** Types whose records lead to names whose addresses are added to an answer (RFC 1035 §3.3, RFC 2782, RFC 9460 §4.1). */
function hasTargets(type: number): boolean {
  return type === RRTYPE.NS || type === RRTYPE.MX || type === RRTYPE.SRV || type === RRTYPE.SVCB ||
    type === RRTYPE.HTTPS;
}

/** Octets of rdata before the target's name. */
export function octetsBeforeTarget(type: number): number {
  return type === RRTYPE.NS ? 0 : type === RRTYPE.SRV ? 6 : 2;
}
