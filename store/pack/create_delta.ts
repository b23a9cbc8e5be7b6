/**
 * Making deltas (gitformat-pack, "Deltified representation"). Hot when a pack is made: the base's blocks of 16 bytes are
 * indexed by a rolling hash in flat arrays, the target is rolled over once, and what grows too large is given up early.
 * Benchmark: tests/bench/pack_bench.ts.
 */

/** A base, ready to be compared with any number of targets. */
export interface DeltaIndex {
  readonly base: Uint8Array;
  /** What the index takes besides the base, in bytes. */
  readonly bytes: number;
  /** By the upper bits of a hash: one more than a block's number, or 0. */
  readonly heads: Uint32Array;
  readonly shift: number;
  /** By block: one more than the next one of the same upper bits, or 0; and its whole hash. */
  readonly next: Uint32Array;
  readonly hashes: Uint32Array;
}

/**
 * The shortest delta that the search finds from `base` to `target`; `undefined` where that has more than `maxSize` bytes
 * (default: as many as it takes, so there always is one).
 */
export function createDelta(
  base: Uint8Array | DeltaIndex,
  target: Uint8Array,
  options: { readonly maxSize?: number | undefined } = {},
): Uint8Array | undefined {
  const index = base instanceof Uint8Array ? deltaIndex(base) : base;
  const most = Math.min(
    options.maxSize ?? Infinity,
    target.length + Math.ceil(target.length / longestInsert) + 32,
  );
  // One instruction may be written before its size is judged.
  const out = most + 160 <= scratch.length ? scratch : new Uint8Array(most + 160);
  const length = encode(index, target, out, most);
  return length < 0 ? undefined : out.slice(0, length);
}

/** An index of a base for `createDelta`. */
export function deltaIndex(base: Uint8Array): DeltaIndex {
  const blocks = Math.floor(base.length / blockBytes);
  let bits = 4;
  while (bits < 28 && (1 << bits) < blocks) bits++;
  const shift = 32 - bits;
  const heads = new Uint32Array(1 << bits);
  const next = new Uint32Array(blocks);
  const hashes = new Uint32Array(blocks);
  for (let block = 0; block < blocks; block++) hashes[block] = hashAt(base, block * blockBytes);
  // From the end, so that the first places come first; of equal blocks in a row the first is enough.
  for (let block = blocks - 1; block >= 0; block--) {
    const hash = hashes[block] as number;
    if (block > 0 && hashes[block - 1] === hash) continue;
    next[block] = heads[hash >>> shift] as number;
    heads[hash >>> shift] = block + 1;
  }
  return { base, bytes: heads.byteLength + next.byteLength + hashes.byteLength, heads, shift, next, hashes };
}

/** The delta's length in `out`; -1 where it would be longer than `most`. */
function encode(index: DeltaIndex, target: Uint8Array, out: Uint8Array, most: number): number {
  const { base, heads, shift, next, hashes } = index;
  const end = target.length;
  let to = writeSize(out, writeSize(out, 0, base.length), end);
  /** From here on the target is not yet written. */
  let waiting = 0;
  let at = 0;
  let hash = end >= blockBytes ? hashAt(target, 0) : 0;
  while (at + blockBytes <= end) {
    let length = 0;
    let from = 0;
    let tries = 0;
    for (let block = heads[hash >>> shift] as number; block !== 0; block = next[block - 1] as number) {
      if (hashes[block - 1] !== hash) continue;
      const start = (block - 1) * blockBytes;
      const longest = Math.min(base.length - start, end - at);
      let same = 0;
      while (same < longest && base[start + same] === target[at + same]) same++;
      if (same > length) {
        length = same;
        from = start;
        if (same >= goodEnough) break;
      }
      if (++tries === mostTries) break;
    }
    if (length < blockBytes) {
      if (to + at - waiting > most) return -1;
      hash = (Math.imul(hash - Math.imul(target[at] as number, leaving), multiplier) +
        (target[at + blockBytes] as number)) >>> 0;
      at++;
      continue;
    }
    while (at > waiting && from > 0 && base[from - 1] === target[at - 1]) {
      at--;
      from--;
      length++;
    }
    if (to + at - waiting > most) return -1;
    to = writeInserts(out, to, target, waiting, at);
    at += length;
    waiting = at;
    while (length > 0) {
      const size = Math.min(length, longestCopy);
      to = writeCopy(out, to, from, size);
      if (to > most) return -1;
      from += size;
      length -= size;
    }
    if (at + blockBytes <= end) hash = hashAt(target, at);
  }
  if (to + (end - waiting) + Math.ceil((end - waiting) / longestInsert) > most) return -1;
  return writeInserts(out, to, target, waiting, end);
}

function hashAt(bytes: Uint8Array, at: number): number {
  let hash = 0;
  for (let i = at; i < at + blockBytes; i++) hash = (Math.imul(hash, multiplier) + (bytes[i] as number)) | 0;
  return hash >>> 0;
}

function writeSize(out: Uint8Array, at: number, size: number): number {
  let rest = size;
  while (rest >= 128) {
    out[at++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  out[at++] = rest;
  return at;
}

function writeInserts(out: Uint8Array, to: number, target: Uint8Array, from: number, end: number): number {
  for (let at = from; at < end; at += longestInsert) {
    const size = Math.min(longestInsert, end - at);
    out[to++] = size;
    if (size < 32) { for (let i = 0; i < size; i++) out[to + i] = target[at + i] as number; }
    else out.set(target.subarray(at, at + size), to);
    to += size;
  }
  return to;
}

function writeCopy(out: Uint8Array, at: number, offset: number, size: number): number {
  const opAt = at++;
  let op = 0x80;
  for (let i = 0; i < 4; i++) {
    const byte = (offset >>> (8 * i)) & 0xff;
    if (byte === 0) continue;
    op |= 1 << i;
    out[at++] = byte;
  }
  // A size of 0x10000 is written as none at all.
  const low = size & 0xff;
  const high = (size >>> 8) & 0xff;
  if (low !== 0) {
    op |= 0x10;
    out[at++] = low;
  }
  if (high !== 0) {
    op |= 0x20;
    out[at++] = high;
  }
  out[opAt] = op;
  return at;
}

const blockBytes = 16;
const longestInsert = 127;
const longestCopy = 0x10000;
/** A match of so many bytes is taken without a look at others. */
const goodEnough = 4096;
/** Of one place of the target with blocks of the base: what bounds the time for bases that repeat themselves. */
const mostTries = 64;

/** Of the rolling hash: a polynomial over the block's bytes, modulo 2^32. */
const multiplier = 0x2c1b3c6d;
const leaving = (() => {
  let power = 1;
  for (let i = 1; i < blockBytes; i++) power = Math.imul(power, multiplier);
  return power;
})();

const scratch = new Uint8Array(1 << 18);
