/**
 * The message being written: its sections in order, RRsets copied into it from the image, and names found again in what
 * is written so that later ones can point there (RFC 1035 §4.1.4).
 *
 * Hot path: the records of a cell are ready to be sent, and putting an RRset is a copy, behind which owners and
 * pointers are set. Only where a message has outgrown the reach of pointers are names written out. All state is the one
 * object `draft`, whose address compiled code knows; calls do not nest. `tests/bench/answers/answer_micro.ts`.
 */
import { CELL, ENTRY, EXTRA, labelAt, RECORD_HEAD, WITHIN_BLOB, type ZoneImage } from "../image/layout.ts";
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";

const firstScan = createNameScan();
const secondScan = createNameScan();

export const draft = {
  message: new Uint8Array(0) as Uint8Array,
  /** The buffer that the message lies in, and where: four octets at a time are copied five times as fast as one by one. */
  view: new DataView<ArrayBufferLike>(new ArrayBuffer(0)),
  base: 0,
  /** Where the next record goes. */
  at: 0,
  /** Where records must end; room for OPT is set aside. */
  end: 0,
  answers: 0,
  authorities: 0,
  additionals: 0,
  rcode: 0,
  authoritative: false,
  /** Something that had to be there did not fit. */
  truncated: false,
  /** The client wants signatures and proofs (RFC 3225). */
  dnssec: false,
  /** The name being answered: the question's, or the last target of a chain of CNAMEs and DNAMEs. */
  name: firstScan,
  /** Where it stands in the message. */
  nameAt: 0,
  /** How many links of that chain lie behind us. */
  hop: 0,
  /** Work done for this message: labels walked, searches' steps, links, RRsets. */
  steps: 0,
};

/** Begins a message whose question is what `nameScan()` was read into. */
export function startDraft(out: Uint8Array): void {
  draft.message = out;
  // A server's messages are slices of one buffer.
  if (out.buffer !== draft.view.buffer) draft.view = new DataView(out.buffer);
  draft.base = out.byteOffset;
  draft.at = 12;
  draft.end = out.length;
  draft.answers = 0;
  draft.authorities = 0;
  draft.additionals = 0;
  draft.rcode = 0;
  draft.authoritative = false;
  draft.truncated = false;
  draft.dnssec = false;
  draft.name = firstScan;
  draft.nameAt = 12;
  draft.hop = 0;
  draft.steps = 0;
}

/** The farthest octet that a pointer reaches: 14 bits. */
export const MAX_POINTER = 0x3fff;

/**
 * Puts an RRset and, when `signatures`, the RRSIGs that cover it; the owner is the name that stands at `ownerAt` of the
 * message. Gives the number of records, 0 when they do not all fit, and nothing is put then. What the RRset's names
 * share with its owner they must share with `draft.name` too: the owner is that name or an ancestor of it.
 */
export function putRRset(
  zone: ZoneImage,
  cell: number,
  entry: number,
  ownerAt: number,
  signatures: boolean,
): number {
  draft.steps++;
  const { words, bytes } = zone;
  const { message, at } = draft;
  const shape = words[entry + ENTRY.octetsAndExtras];
  const octets = shape & 0xff_ffff;
  const from = (cell << 2) + words[entry + ENTRY.start];
  let count = words[entry + ENTRY.typeAndCount] & 0xffff;
  const behind = from + octets;
  const fixups = (shape & EXTRA.fixups) === 0 ? 0 : bytes[behind] << 8 | bytes[behind + 1];
  let next = at + octets;
  let signed = 0;
  let signedFrom = 0;
  if (signatures && (shape & EXTRA.signatures) !== 0) {
    signedFrom = behind + ((shape & EXTRA.fixups) === 0 ? 0 : 2 + 2 * fixups);
    count += bytes[signedFrom] << 8 | bytes[signedFrom + 1];
    signed = uint32(bytes, signedFrom + 2);
    signedFrom += 6;
    next += signed;
  }
  if (next > draft.end) return 0;
  if (next > MAX_POINTER && (fixups !== 0 || ownerAt > MAX_POINTER)) {
    return putInFull(zone, cell, entry, ownerAt, signedFrom, signed);
  }
  const source = zone.view;
  copy(source, from, at, octets);
  if (signed !== 0) copy(source, signedFrom, at + octets, signed);
  if (ownerAt !== 12) pointOwners(at, count, ownerAt);
  if (fixups !== 0) {
    // How much longer the name is than the one that the pointers were worked out for: an owner above it, a wildcard.
    const longer = draft.name.length - (words[cell + CELL.head] >>> 16 & 0xff);
    for (let i = 0, fixup = behind + 2; i < fixups; i++, fixup += 2) {
      const pair = at + (bytes[fixup] << 8 | bytes[fixup + 1]);
      const value = (message[pair] & 0x3f) << 8 | message[pair + 1];
      const place = value >= WITHIN_BLOB ? at + value - WITHIN_BLOB : locate(longer + value);
      message[pair] = 0xc0 | place >>> 8;
      message[pair + 1] = place;
    }
  }
  draft.at = next;
  return count;
}

function pointOwners(from: number, count: number, ownerAt: number): void {
  const message = draft.message;
  let record = from;
  for (let i = 0; i < count; i++) {
    message[record] = 0xc0 | ownerAt >>> 8;
    message[record + 1] = ownerAt;
    record += RECORD_HEAD + (message[record + 10] << 8 | message[record + 11]);
  }
}

/**
 * Puts an RRset with its RRSIGs whose owner need not stand in the message: its labels are written out up to one at an
 * ancestor of `tailOctets` octets that stands at `tailAt`. For types whose rdata is never compressed. Gives the number of
 * records, 0 when they do not all fit.
 */
export function putOwnRRset(
  zone: ZoneImage,
  cell: number,
  entry: number,
  tailAt: number,
  tailOctets: number,
): number {
  draft.steps++;
  const { words, bytes } = zone;
  const message = draft.message;
  const start = draft.at;
  const shape = words[entry + ENTRY.octetsAndExtras];
  let count = words[entry + ENTRY.typeAndCount] & 0xffff;
  let record = (cell << 2) + words[entry + ENTRY.start];
  let left = count;
  let signed = 0;
  let signedFrom = record + (shape & 0xff_ffff);
  if ((shape & EXTRA.signatures) !== 0) {
    signed = bytes[signedFrom] << 8 | bytes[signedFrom + 1];
    signedFrom += 6;
  }
  let ownerAt = 0;
  for (;; left--) {
    if (left === 0) {
      if (signed === 0) break;
      count += left = signed;
      record = signedFrom;
      signed = 0;
    }
    const octets = RECORD_HEAD + (bytes[record + 10] << 8 | bytes[record + 11]);
    let at = draft.at;
    if (ownerAt === 0) {
      at = putLabels(zone, cell, tailAt, tailOctets);
      if (start <= MAX_POINTER) ownerAt = start;
    } else if (at + 2 <= draft.end) {
      message[at++] = 0xc0 | ownerAt >>> 8;
      message[at++] = ownerAt;
    } else at = -1;
    if (at < 0 || at + octets - 2 > draft.end) {
      draft.at = start;
      return 0;
    }
    copy(zone.view, record + 2, at, octets - 2);
    draft.at = at + octets - 2;
    record += octets;
  }
  return count;
}

/** Writes a cell's name at `draft.at`; the offset behind it, -1 when it does not fit. */
function putLabels(zone: ZoneImage, cell: number, tailAt: number, tailOctets: number): number {
  const { words, bytes } = zone;
  const { message, end } = draft;
  let at = draft.at;
  for (let up = cell; (words[up + CELL.head] >>> 16 & 0xff) > tailOctets; up = words[up + CELL.parent]) {
    draft.steps++;
    const from = labelAt(zone, up);
    const octets = 1 + bytes[from];
    if (at + octets > end) return -1;
    for (let i = 0; i < octets; i++) message[at + i] = bytes[from + i];
    at += octets;
  }
  return putNameAt(tailAt, at);
}

/** Puts the root's octet, a pointer to the name at `place`, or, out of a pointer's reach, its labels. */
export function putNameAt(place: number, to: number): number {
  const { message, end } = draft;
  let at = to;
  let from = place;
  for (;;) {
    const octet = message[from];
    if (octet === 0) {
      if (at + 1 > end) return -1;
      message[at] = 0;
      return at + 1;
    }
    if (octet >= 0xc0 || from <= MAX_POINTER) {
      if (at + 2 > end) return -1;
      message[at] = octet >= 0xc0 ? octet : 0xc0 | from >>> 8;
      message[at + 1] = octet >= 0xc0 ? message[from + 1] : from;
      return at + 2;
    }
    if (at + 1 + octet > end) return -1;
    for (let i = 0; i <= octet; i++) message[at + i] = message[from + i];
    at += 1 + octet;
    from += 1 + octet;
  }
}

/**
 * As `putRRset`, record by record, with names written out where pointers do not reach. Seldom: only in messages over TCP
 * that are longer than 16 KiB.
 */
function putInFull(
  zone: ZoneImage,
  cell: number,
  entry: number,
  ownerAt: number,
  signedFrom: number,
  signedOctets: number,
): number {
  const { words, bytes } = zone;
  const { message, end } = draft;
  const start = draft.at;
  const shape = words[entry + ENTRY.octetsAndExtras];
  const blob = (cell << 2) + words[entry + ENTRY.start];
  const blobEnd = blob + (shape & 0xff_ffff);
  const fixups = (shape & EXTRA.fixups) === 0 ? 0 : bytes[blobEnd] << 8 | bytes[blobEnd + 1];
  const longer = draft.name.length - (words[cell + CELL.head] >>> 16 & 0xff);
  let fixup = 0;
  let count = 0;
  let record = blob;
  let recordsEnd = blobEnd;
  for (;;) {
    if (record >= recordsEnd) {
      if (recordsEnd !== blobEnd || signedOctets === 0) break;
      record = signedFrom;
      recordsEnd = signedFrom + signedOctets;
      fixup = fixups;
    }
    draft.steps++;
    const octets = RECORD_HEAD + (bytes[record + 10] << 8 | bytes[record + 11]);
    let at = putNameAt(ownerAt, draft.at);
    if (at < 0 || at + 10 > end) return cancel(start);
    copy(zone.view, record + 2, at, 10);
    const lengthAt = at + 8;
    at += 10;
    for (let from = record + RECORD_HEAD; from < record + octets;) {
      const pair = fixup < fixups
        ? blob + (bytes[blobEnd + 2 + 2 * fixup] << 8 | bytes[blobEnd + 3 + 2 * fixup])
        : record + octets;
      const until = pair < record + octets ? pair : record + octets;
      if (at + until - from > end) return cancel(start);
      copy(zone.view, from, at, until - from);
      at += until - from;
      from = until;
      if (until === pair && fixup < fixups) {
        at = putBlobName(bytes, blob, pair, longer, at);
        if (at < 0) return cancel(start);
        from += 2;
        fixup++;
      }
    }
    const rdata = at - lengthAt - 2;
    message[lengthAt] = rdata >>> 8;
    message[lengthAt + 1] = rdata;
    draft.at = at;
    record += octets;
    count++;
  }
  return count;
}

/** Puts the name that a blob's pair of octets stands for. */
function putBlobName(bytes: Uint8Array, blob: number, pair: number, longer: number, to: number): number {
  const { message, end } = draft;
  let at = to;
  let from = pair;
  for (;;) {
    const octet = bytes[from];
    if (octet === 0) {
      if (at + 1 > end) return -1;
      message[at] = 0;
      return at + 1;
    }
    if (octet >= 0xc0) {
      const value = (octet & 0x3f) << 8 | bytes[from + 1];
      if (value < WITHIN_BLOB) return putNameAt(locate(longer + value), at);
      from = blob + value - WITHIN_BLOB;
      continue;
    }
    if (at + 1 + octet > end) return -1;
    for (let i = 0; i <= octet; i++) message[at + i] = bytes[from + i];
    at += 1 + octet;
    from += 1 + octet;
  }
}

function cancel(start: number): number {
  draft.at = start;
  return 0;
}

/**
 * Puts what stands before the rdata of a record: as owner the name at `ownerAt`, class IN, the TTL that stands at
 * `ttlFrom` of `bytes`. False: the record does not fit.
 */
export function putHead(
  ownerAt: number,
  type: number,
  bytes: Uint8Array,
  ttlFrom: number,
  octets: number,
): boolean {
  const message = draft.message;
  let at = putNameAt(ownerAt, draft.at);
  if (at < 0 || at + 10 + octets > draft.end) return false;
  message[at++] = type >>> 8;
  message[at++] = type;
  message[at++] = 0;
  message[at++] = 1;
  for (let i = 0; i < 4; i++) message[at++] = bytes[ttlFrom + i];
  message[at++] = octets >>> 8;
  message[at++] = octets;
  draft.at = at;
  return true;
}

/** Where in the message the part of `draft.name` from octet `distance` on stands. */
export function locate(distance: number): number {
  if (draft.hop === 0) return 12 + distance;
  const message = draft.message;
  let at = draft.nameAt;
  for (let left = distance;;) {
    const octet = message[at];
    if (octet >= 0xc0) {
      at = (octet & 0x3f) << 8 | message[at + 1];
      continue;
    }
    if (left <= 0) return at;
    draft.steps++;
    left -= 1 + octet;
    at += 1 + octet;
  }
}

/** Reads the name at `from` of the message, which is of our writing and so sound, without pointers; its octets. */
export function readName(into: Uint8Array, from: number): number {
  const message = draft.message;
  let at = from;
  for (let length = 0;;) {
    const octet = message[at];
    if (octet >= 0xc0) {
      at = (octet & 0x3f) << 8 | message[at + 1];
      continue;
    }
    draft.steps++;
    for (let i = 0; i <= octet; i++) into[length + i] = message[at + i];
    length += 1 + octet;
    if (octet === 0) return length;
    at += 1 + octet;
  }
}

const target = new Uint8Array(256);

/** Goes on with the name that stands at `place` of the message. */
export function goOn(place: number): void {
  const seed = draft.name.hashes[draft.name.labels];
  const scan: NameScan = draft.name === firstScan ? secondScan : firstScan;
  scanName(scan, target, 0, readName(target, place), seed);
  draft.name = scan;
  draft.nameAt = place;
}

/** Where a name of the message ends. */
export function behindName(from: number): number {
  const message = draft.message;
  let at = from;
  for (let octet = message[at]; octet !== 0; octet = message[at]) {
    if (octet >= 0xc0) return at + 2;
    at += 1 + octet;
  }
  return at + 1;
}

export function uint32(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}

/** Copies octets of a zone's heap into the message. */
function copy(from: DataView, start: number, at: number, octets: number): void {
  const to = draft.view;
  let source = start;
  let target = draft.base + at;
  const end = source + octets;
  for (; source <= end - 4; source += 4, target += 4) to.setInt32(target, from.getInt32(source));
  for (; source < end; source++, target++) to.setUint8(target, from.getUint8(source));
}
