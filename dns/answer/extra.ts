/** What follows the question in a query: nothing, OPT (RFC 6891), TSIG (RFC 8945), or what nobody asked for. */

export interface QueryExtra {
  /** There is an OPT record, and the four fields below are its. */
  present: boolean;
  tsig: boolean;
  udpSize: number;
  version: number;
  dnssecOk: boolean;
}

/**
 * Reads all records from `at` on into `extra`. False for what is malformed: a record cut short, a second OPT, an OPT with
 * an owner other than the root or with options that do not fit (RFC 6891 §6.1.1), octets behind the last record. Records
 * in the answer and authority sections of a query mean nothing and are passed over.
 */
export function readExtra(extra: QueryExtra, query: Uint8Array, from: number, length: number): boolean {
  extra.present = false;
  extra.tsig = false;
  const before = (query[6] << 8 | query[7]) + (query[8] << 8 | query[9]);
  const records = before + (query[10] << 8 | query[11]);
  let at = from;
  for (let i = 0; i < records; i++) {
    const owner = at;
    at = skipName(query, at, length);
    if (at < 0 || at + 10 > length) return false;
    const type = query[at] << 8 | query[at + 1];
    const octets = query[at + 8] << 8 | query[at + 9];
    const rdata = at + 10;
    if (rdata + octets > length) return false;
    if (i >= before && type === TYPE_OPT) {
      if (extra.present || query[owner] !== 0 || !optionsFit(query, rdata, rdata + octets)) return false;
      extra.present = true;
      extra.udpSize = query[at + 2] << 8 | query[at + 3];
      extra.version = query[at + 5];
      extra.dnssecOk = (query[at + 6] & 0x80) !== 0;
    } else if (i >= before && type === TYPE_TSIG) {
      extra.tsig = true;
    }
    at = rdata + octets;
  }
  return at === length;
}

/** Pairs of code and length, each with as many octets as it says (RFC 6891 §6.1.2). */
function optionsFit(query: Uint8Array, from: number, end: number): boolean {
  let at = from;
  while (at < end) {
    if (at + 4 > end) return false;
    at += 4 + (query[at + 2] << 8 | query[at + 3]);
  }
  return at === end;
}

function skipName(query: Uint8Array, from: number, length: number): number {
  let at = from;
  while (at < length) {
    const size = query[at];
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    if (size > 63 || at - from > 255) return -1;
    at += 1 + size;
  }
  return -1;
}

const TYPE_OPT = 41;
const TYPE_TSIG = 250;
