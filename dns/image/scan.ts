/**
 * Names as the image sees them: lower-cased wire form with one hash for each suffix.
 *
 * Hot path: every query passes here once, and once more for each name that it leads to. One pass forward checks and
 * folds case, one pass backward hashes, so that the hashes of the name and of all its ancestors (the zone, the
 * closest encloser) fall out together. `tests/bench/answers` shows it.
 */

/** A name taken apart; reused from query to query. */
export interface NameScan {
  /** Lower-cased wire form (RFC 4343 §3). */
  readonly lower: Uint8Array;
  /** Where label i starts in `lower`; `starts[labels]` is the root's octet. */
  readonly starts: Uint8Array;
  /** Hash of the suffix that starts with label i. */
  readonly hashes: Int32Array;
  /** Octets of the wire form, the root's included. */
  length: number;
  /** Labels without the root's. */
  labels: number;
}

export function createNameScan(): NameScan {
  return {
    lower: new Uint8Array(256),
    starts: new Uint8Array(129),
    hashes: new Int32Array(129),
    length: 0,
    labels: 0,
  };
}

/**
 * Reads the uncompressed name at `at` of `bytes`. Gives the offset behind it, or -1 for what is no such name: cut
 * short, longer than 255 octets, a pointer or a reserved label type.
 */
export function scanName(scan: NameScan, bytes: Uint8Array, at: number, end: number, seed: number): number {
  const lower = scan.lower;
  const starts = scan.starts;
  let length = 0;
  let labels = 0;
  let from = at;
  for (;;) {
    if (from >= end) return -1;
    const size = bytes[from++];
    starts[labels] = length;
    lower[length++] = size;
    if (size === 0) break;
    // 63 octets a label, 255 a name (RFC 1035 §2.3.4); the two high bits would be a pointer or reserved (RFC 6891 §5).
    if (size > 63 || length + size > 254 || from + size > end) return -1;
    labels++;
    for (let i = 0; i < size; i++) {
      const octet = bytes[from + i];
      lower[length + i] = octet - 0x41 >>> 0 < 26 ? octet | 0x20 : octet;
    }
    from += size;
    length += size;
  }
  scan.length = length;
  scan.labels = labels;
  hashSuffixes(scan, seed);
  return from;
}

/**
 * Makes `into` the name `*.` and the suffix of `of` that starts with `label` (RFC 4592 §2.1.1): what has to be looked for
 * when that suffix is the closest encloser. The suffix has at most 253 octets.
 */
export function scanWildcard(into: NameScan, of: NameScan, label: number): void {
  const from = of.starts[label];
  const shift = 2 - from;
  into.lower[0] = 1;
  into.lower[1] = ASTERISK;
  for (let at = from; at < of.length; at++) into.lower[at + shift] = of.lower[at];
  into.starts[0] = 0;
  for (let i = label; i <= of.labels; i++) {
    into.starts[i - label + 1] = of.starts[i] + shift;
    into.hashes[i - label + 1] = of.hashes[i];
  }
  into.length = of.length + shift;
  into.labels = of.labels - label + 1;
  into.hashes[0] = hashLabel(of.hashes[label], into.lower, 0);
}

/** The hash of a name from that of its parent and the label (length octet, octets) at `at`. */
export function hashLabel(parent: number, bytes: Uint8Array, at: number): number {
  let hash = parent;
  for (let i = at + bytes[at]; i >= at; i--) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash ^ hash >>> 15;
}

function hashSuffixes(scan: NameScan, seed: number): void {
  const { lower, starts, hashes } = scan;
  let hash = seed;
  let label = scan.labels;
  hashes[label] = hash;
  while (label > 0) {
    hash = hashLabel(hash, lower, starts[--label]);
    hashes[label] = hash;
  }
}

const ASTERISK = 0x2a;

/** Where the search of an open-addressing table of any size starts; it goes on with `following`. */
export function spread(hash: number, size: number): number {
  const mixed = Math.imul(hash ^ hash >>> 16, 0x45d9f3b);
  // The high bits choose: a product below 2^58 loses none that count.
  return ((mixed ^ mixed >>> 16) >>> 0) * size * 2 ** -32 | 0;
}

export function following(place: number, size: number): number {
  return place + 1 === size ? 0 : place + 1;
}
