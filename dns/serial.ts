/** Serial number arithmetic (RFC 1982) with 32 bits. */

const HALF = 2 ** 31;

/**
 * True when `a` is greater than `b`. Two serials exactly 2^31 apart are neither greater nor less (§3.2): false both ways.
 */
export function serialGreater(a: number, b: number): boolean {
  const distance = (a - b) >>> 0;
  return distance > 0 && distance < HALF;
}

/** The serial after this one; 0 is left out, since some software takes it for "none". */
export function serialNext(serial: number): number {
  const next = (serial + 1) >>> 0;
  return next === 0 ? 1 : next;
}
