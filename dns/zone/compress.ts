/** Names in rdata, made short against the zone's origin. */
import { PLACEHOLDER } from "../image/layout.ts";

/** A name whose end is the origin, octet for octet, with the placeholder in its stead; else the name as it is. */
export function compressAgainst(
  bytes: Uint8Array,
  start: number,
  end: number,
  originWire: Uint8Array,
): Uint8Array {
  const tail = end - originWire.length;
  if (tail < start || originWire.length < 3) return bytes.subarray(start, end);
  for (let i = 0; i < originWire.length; i++) {
    if (bytes[tail + i] !== originWire[i]) return bytes.subarray(start, end);
  }
  let at = start;
  while (at < tail) at += 1 + bytes[at];
  if (at !== tail) return bytes.subarray(start, end);
  const short = new Uint8Array(tail - start + 2).fill(PLACEHOLDER);
  short.set(bytes.subarray(start, tail));
  return short;
}
