/** Questions for more than one type: ANY (RFC 8482) and RRSIG. */
import { CELL, ENTRY, EXTRA, findEntry, RECORD_HEAD, type ZoneImage } from "../image/layout.ts";
import { draft, locate, putHead, putRRset } from "./draft.ts";

/**
 * The least that RFC 8482 allows: a CNAME (§4.3), a HINFO record made for it (§4.2), or, where the client would look for
 * a signature, one of the RRsets that have one (§4.1). False: the name has no data at all.
 */
export function answerAny(zone: ZoneImage, cell: number): boolean {
  const words = zone.words;
  const rrsets = words[cell + CELL.head] >>> 8 & 0xff;
  if (rrsets === 0) return false;
  const ownerAt = locate(0);
  let entry = findEntry(zone, cell, TYPE_CNAME);
  if (entry === 0) entry = findEntry(zone, cell, TYPE_HINFO);
  if (entry === 0 && draft.dnssec) entry = firstSigned(zone, cell, rrsets);
  if (entry !== 0) {
    const put = putRRset(zone, cell, entry, ownerAt, draft.dnssec);
    draft.answers += put;
    if (put === 0) draft.truncated = true;
    return true;
  }
  if (!putHead(ownerAt, TYPE_HINFO, TTL, 0, RFC8482.length)) {
    draft.truncated = true;
    return true;
  }
  for (let i = 0; i < RFC8482.length; i++) draft.message[draft.at++] = RFC8482[i];
  draft.answers++;
  return true;
}

function firstSigned(zone: ZoneImage, cell: number, rrsets: number): number {
  const first = cell + zone.headWords;
  for (let entry = first; entry < first + rrsets * ENTRY.size; entry += ENTRY.size) {
    if ((zone.words[entry + ENTRY.octetsAndExtras] & EXTRA.signatures) !== 0) return entry;
  }
  return 0;
}

/** All signatures of a name. False: it has none. */
export function answerSignatures(zone: ZoneImage, cell: number): boolean {
  const { words, bytes } = zone;
  const first = cell + zone.headWords;
  const end = first + (words[cell + CELL.head] >>> 8 & 0xff) * ENTRY.size;
  const ownerAt = locate(0);
  const start = draft.at;
  let count = 0;
  for (let entry = first; entry < end; entry += ENTRY.size) {
    const shape = words[entry + ENTRY.octetsAndExtras];
    const from = (cell << 2) + words[entry + ENTRY.start];
    let records = 0;
    let at = from;
    // Signatures of what the name does not have stand by themselves.
    if (words[entry] >>> 16 === TYPE_RRSIG) records = words[entry] & 0xffff;
    else if ((shape & EXTRA.signatures) !== 0) {
      at += shape & 0xff_ffff;
      if ((shape & EXTRA.fixups) !== 0) at += 2 + 2 * (bytes[at] << 8 | bytes[at + 1]);
      records = bytes[at] << 8 | bytes[at + 1];
      at += 6;
    }
    for (let i = 0; i < records; i++) {
      draft.steps++;
      const octets = bytes[at + 10] << 8 | bytes[at + 11];
      if (!putHead(ownerAt, TYPE_RRSIG, bytes, at + 6, octets)) {
        draft.truncated = true;
        draft.at = start;
        return true;
      }
      for (let j = 0; j < octets; j++) draft.message[draft.at + j] = bytes[at + RECORD_HEAD + j];
      draft.at += octets;
      at += RECORD_HEAD + octets;
      count++;
    }
  }
  draft.answers += count;
  return count !== 0;
}

const TYPE_CNAME = 5;
const TYPE_HINFO = 13;
const TYPE_RRSIG = 46;

/** `"RFC8482" ""` (RFC 8482 §4.2). */
const RFC8482 = Uint8Array.of(7, 0x52, 0x46, 0x43, 0x38, 0x34, 0x38, 0x32, 0);
/** An hour: long, so that the question is seldom asked again (RFC 8482 §4.2). */
const TTL = Uint8Array.of(0, 0, 0x0e, 0x10);
