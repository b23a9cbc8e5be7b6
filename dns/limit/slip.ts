/**
 * What a limited client gets now and then: its question and TC, which sends a real client to TCP (ISC-TN-2012-1 §2.1.6),
 * and of OPT what lets it prove its address. It is as long as the query was, give or take a server cookie of 16 octets.
 */

/** Cuts the response of `length` octets in `out` down and gives its new length. */
export function slipAnswer(out: Uint8Array, length: number): number {
  const questions = out[4] << 8 | out[5];
  const records = (out[6] << 8 | out[7]) + (out[8] << 8 | out[9]) + (out[10] << 8 | out[11]);
  out[2] |= FLAG_TC;
  for (let i = 6; i < 12; i++) out[i] = 0;
  let at = 12;
  for (let i = 0; i < questions; i++) at = skipName(out, at) + 4;
  const end = at;
  for (let i = 0; i < records && at < length; i++) {
    const owner = at;
    at = skipName(out, at);
    const next = at + 10 + (out[at + 8] << 8 | out[at + 9]);
    if (out[at] === 0 && out[at + 1] === TYPE_OPT && next <= length) {
      out[11] = 1;
      return moveOpt(out, owner, next, end);
    }
    at = next;
  }
  return end;
}

/** OPT goes to `to`, and of its options the cookie. */
function moveOpt(out: Uint8Array, from: number, end: number, to: number): number {
  out.copyWithin(to, from, from + OPT_OCTETS);
  const start = to + OPT_OCTETS;
  let put = start;
  for (let at = from + OPT_OCTETS; at + 4 <= end;) {
    const next = at + 4 + (out[at + 2] << 8 | out[at + 3]);
    if (out[at] === 0 && out[at + 1] === OPTION_COOKIE && next <= end) {
      out.copyWithin(put, at, next);
      put += next - at;
    }
    at = next;
  }
  out[start - 2] = put - start >>> 8;
  out[start - 1] = put - start;
  return put;
}

/** Behind a name of a message that we wrote. */
function skipName(out: Uint8Array, from: number): number {
  let at = from;
  while (at < out.length) {
    const size = out[at];
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    at += 1 + size;
  }
  return at;
}

const FLAG_TC = 0x02;
const TYPE_OPT = 41;
const OPTION_COOKIE = 10;
const OPT_OCTETS = 11;
