/**
 * Names in rdata as blobs hold them: made short against the owner's name and against names before them in the RRset
 * (RFC 1035 §4.1.4, RFC 3597 §4), octet for octet, so that what comes out again is what went in, its case included.
 */
import { type Cells, WITHIN_BLOB } from "../image/layout.ts";
import type { NameScan } from "../image/scan.ts";
import { RRTYPE } from "../rr/types.ts";

/** Names that may be compressed: octets before the first, and how many follow each other. 0 for other types. */
export function compressibleNames(type: number): number {
  return type < COMPRESSIBLE.length ? COMPRESSIBLE[type] & 3 : 0;
}

/** Octets before the first of `compressibleNames`. */
export function octetsBeforeNames(type: number): number {
  return COMPRESSIBLE[type] >>> 2;
}

const COMPRESSIBLE = new Uint8Array(32);
for (
  const type of [RRTYPE.NS, RRTYPE.MD, RRTYPE.MF, RRTYPE.CNAME, RRTYPE.MB, RRTYPE.MG, RRTYPE.MR, RRTYPE.PTR]
) {
  COMPRESSIBLE[type] = 1;
}
COMPRESSIBLE[RRTYPE.MX] = 2 << 2 | 1;
COMPRESSIBLE[RRTYPE.SOA] = COMPRESSIBLE[RRTYPE.MINFO] = 2;

/** Writes the names of one blob after the other. */
export interface NameWriter {
  /** Begins the blob at `start` of the heap's octets. */
  begin(start: number): void;
  /** Puts the valid name at `from` of `source` at `at` of `out`; the offset behind it. Its own end is in `sourceEnd`. */
  put(source: Uint8Array, from: number, out: Uint8Array, at: number): number;
  /** Behind the name that was put last, in its source. */
  sourceEnd: number;
  /** Of the blob: where pointers stand, counted from its start. */
  readonly fixups: Uint16Array;
  fixupCount: number;
}

/** @param owner read before each `begin` */
export function createNameWriter(owner: () => NameScan): NameWriter {
  const starts = new Uint8Array(128);
  const places = new Int32Array(KNOWN);
  const sources = new Int32Array(KNOWN);
  const lengths = new Int32Array(KNOWN);
  let known = 0;
  let blob = 0;
  const writer: NameWriter = {
    sourceEnd: 0,
    fixups: sharedFixups,
    fixupCount: 0,
    begin(start) {
      blob = start;
      known = 0;
      writer.fixupCount = 0;
    },
    put(source, from, out, at) {
      let labels = 0;
      let end = from;
      for (; source[end] !== 0; end += 1 + source[end]) starts[labels++] = end - from;
      end++;
      writer.sourceEnd = end;
      const length = end - from;
      let whole = labels - sharedLabels(source, from, labels, length);
      let value = whole === labels ? -1 : owner().length - (length - starts[whole]);
      for (let label = 0; label < whole; label++) {
        const found = find(source, from + starts[label], length - starts[label]);
        if (found < 0) continue;
        whole = label;
        value = WITHIN_BLOB + found;
        break;
      }
      const literal = whole === labels ? length : starts[whole];
      if (value >= 0 && at - blob + literal > 0xffff) {
        whole = labels;
        value = -1;
      }
      for (let label = 0; label < whole && known < KNOWN; label++) {
        const place = at - blob + starts[label];
        if (place >= WITHIN_BLOB) break;
        places[known] = place;
        sources[known] = from + starts[label];
        lengths[known++] = length - starts[label];
      }
      const octets = value < 0 ? length : literal;
      for (let i = 0; i < octets; i++) out[at + i] = source[from + i];
      if (value < 0) return at + octets;
      writer.fixups[writer.fixupCount++] = at - blob + octets;
      out[at + octets] = 0xc0 | value >>> 8;
      out[at + octets + 1] = value;
      return at + octets + 2;
    },
  };
  return writer;

  /** How many labels at its end a name has in common with the owner, or with the parent of a wildcard. */
  function sharedLabels(source: Uint8Array, from: number, labels: number, length: number): number {
    const { lower, starts: ownerStarts, labels: ownerLabels, length: ownerLength } = owner();
    const first = lower[0] === 1 && lower[1] === ASTERISK ? 1 : 0;
    const most = Math.min(labels, ownerLabels - first);
    const shift = ownerLength - length;
    let shared = 0;
    while (shared < most) {
      const start = starts[labels - shared - 1];
      if (ownerStarts[ownerLabels - shared - 1] !== start + shift) break;
      const octets = source[from + start];
      let i = 0;
      while (i <= octets && source[from + start + i] === lower[start + shift + i]) i++;
      if (i <= octets) break;
      shared++;
    }
    return shared;
  }

  /** Where in the blob a name stands that equals the one at `from`; -1 for nowhere. */
  function find(source: Uint8Array, from: number, length: number): number {
    for (let i = 0; i < known; i++) {
      if (lengths[i] !== length) continue;
      const other = sources[i];
      let octet = 0;
      while (octet < length && source[other + octet] === source[from + octet]) octet++;
      if (octet === length) return places[i];
    }
    return -1;
  }
}

/** In use only while one blob is written. */
const sharedFixups = new Uint16Array(0x1_0000);

/** So many suffixes of names are looked at for each name; an RRset with more is compressed less. */
const KNOWN = 64;
const ASTERISK = 0x2a;

/** Behind the name that `expandName` read last. */
export const expanded = { end: 0 };

/**
 * Writes the name at `at` of a blob in full at `to`; gives the offset behind it. Where it ends in the blob stands in
 * `expanded`.
 */
export function expandName(
  cells: Cells,
  blob: number,
  at: number,
  owner: Uint8Array,
  ownerLength: number,
  out: Uint8Array,
  to: number,
): number {
  const bytes = cells.bytes;
  let from = at;
  let into = to;
  expanded.end = 0;
  for (;;) {
    const octet = bytes[from];
    if (octet >= 0xc0) {
      if (expanded.end === 0) expanded.end = from + 2;
      const value = (octet & 0x3f) << 8 | bytes[from + 1];
      if (value >= WITHIN_BLOB) {
        from = blob + value - WITHIN_BLOB;
        continue;
      }
      for (let i = value; i < ownerLength; i++) out[into++] = owner[i];
      return into;
    }
    for (let i = 0; i <= octet; i++) out[into + i] = bytes[from + i];
    into += 1 + octet;
    from += 1 + octet;
    if (octet === 0) {
      if (expanded.end === 0) expanded.end = from;
      return into;
    }
  }
}
