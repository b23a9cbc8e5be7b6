/** Walking a message by its structure alone, for what needs places in it and no records. */
import { RRTYPE } from "../rr/types.ts";
import { HEADER_OCTETS, uint16 } from "./header.ts";

/** Where the parts of a well-formed message are. */
export interface Layout {
  /** The offset behind the question section. */
  readonly questionsEnd: number;
  /** The offset of the OPT record, if there is one (and of the first, if there are several). */
  readonly opt: number | undefined;
  /** The offset of the TSIG record, which is the last one; `undefined` in an unsigned message. */
  readonly tsig: number | undefined;
}

/**
 * Walks every record without decoding any. `undefined` when the counts and the length disagree, or a TSIG stands
 * anywhere but last in the additional section (RFC 8945 §5.1).
 */
export function layoutOf(bytes: Uint8Array): Layout | undefined {
  if (bytes.length < HEADER_OCTETS) return undefined;
  let at = HEADER_OCTETS;
  for (let left = uint16(bytes, 4); left > 0; left--) {
    at = skipName(bytes, at);
    if (at === -1 || at + 4 > bytes.length) return undefined;
    at += 4;
  }
  const questionsEnd = at;
  const additionals = uint16(bytes, 10);
  const records = uint16(bytes, 6) + uint16(bytes, 8) + additionals;
  let opt: number | undefined;
  let tsig: number | undefined;
  for (let i = 0; i < records; i++) {
    const start = at;
    at = skipName(bytes, at);
    if (at === -1 || at + 10 > bytes.length) return undefined;
    const type = uint16(bytes, at);
    at += 10 + uint16(bytes, at + 8);
    if (at > bytes.length) return undefined;
    if (type === RRTYPE.TSIG) {
      if (i !== records - 1 || additionals === 0) return undefined;
      tsig = start;
    } else if (type === RRTYPE.OPT) {
      opt ??= start;
    }
  }
  return at === bytes.length ? { questionsEnd, opt, tsig } : undefined;
}

/**
 * The offset behind the name at `at`, where it stands; -1 when it is cut, too long or has a reserved label type.
 * A pointer ends the name and is not followed.
 */
export function skipName(bytes: Uint8Array, at: number): number {
  for (const limit = at + 255; at < bytes.length && at < limit;) {
    const length = bytes[at];
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2 <= bytes.length ? at + 2 : -1;
    if (length > 63) return -1;
    at += 1 + length;
  }
  return -1;
}
