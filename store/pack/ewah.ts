/**
 * Bitmaps compressed by runs of equal words (EWAH), as git keeps them (gitformat-bitmap, "Appendix A"): a count of bits, a
 * count of 64-bit words, the words, and where the last marker stands. A marker is a word that tells of a run of equal
 * words and of how many literal ones follow. Hot when a clone is selected: whole words. Benchmark:
 * tests/bench/clone_bench.ts. Pure.
 */

/** A bit for each entry of a pack, in the order of the pack: the lowest bit of the first word is the first entry. */
export type Bits = Uint32Array<ArrayBuffer>;

/** For so many entries, none set. A whole number of 64-bit words. */
export function newBits(count: number): Bits {
  return new Uint32Array(Math.ceil(count / 64) * 2);
}

export function hasBit(bits: Bits, place: number): boolean {
  return (((bits[place >>> 5] as number) >>> (place & 31)) & 1) !== 0;
}

/** Says whether it was not set before. */
export function setBit(bits: Bits, place: number): boolean {
  const word = bits[place >>> 5] as number;
  const changed = word | (1 << (place & 31));
  bits[place >>> 5] = changed;
  return word !== changed >>> 0;
}

export function encodeEwah(bits: Bits, count: number): Uint8Array {
  // A marker stands for a run of at least one word each time but the first.
  const words = new Uint32Array(bits.length + 4);
  let out = 0;
  let marker = 0;
  for (let at = 0; at < bits.length || out === 0;) {
    marker = out;
    const ones = bits[at] === full && bits[at + 1] === full;
    const fill = ones ? full : 0;
    const start = at;
    while (at < bits.length && bits[at] === fill && bits[at + 1] === fill) at += 2;
    const run = (at - start) / 2;
    out += 2;
    const literalsAt = out;
    while (at < bits.length && !isRun(bits, at)) {
      words[out++] = bits[at + 1] as number;
      words[out++] = bits[at] as number;
      at += 2;
    }
    const literals = (out - literalsAt) / 2;
    words[marker] = literals * 2 + Math.floor(run / 0x80000000);
    words[marker + 1] = (run * 2 + Number(ones)) >>> 0;
  }
  const bytes = new Uint8Array(8 + out * 4 + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, count);
  view.setUint32(4, out / 2);
  for (let i = 0; i < out; i++) view.setUint32(8 + i * 4, words[i] as number);
  view.setUint32(8 + out * 4, marker / 2);
  return bytes;
}

const full = 0xffffffff;

function isRun(bits: Bits, at: number): boolean {
  const word = bits[at];
  return (word === 0 || word === full) && bits[at + 1] === word;
}

/** Where the bitmap that starts at `at` ends; `undefined` where that is beyond `end`. */
export function skipEwah(view: DataView, at: number, end: number): number | undefined {
  if (at + 8 > end) return undefined;
  const next = at + 8 + view.getUint32(at + 4) * 8 + 4;
  return next <= end ? next : undefined;
}

/** The bitmap that starts at `at`, for so many entries; `undefined` where it does not fit. */
export function decodeEwah(view: DataView, at: number, count: number): Bits | undefined {
  const bits = newBits(count);
  const end = at + 8 + view.getUint32(at + 4) * 8;
  let out = 0;
  for (let word = at + 8; word < end;) {
    const high = view.getUint32(word);
    const low = view.getUint32(word + 4);
    word += 8;
    const run = ((low >>> 1) + (high & 1) * 0x80000000) * 2;
    const literals = high >>> 1;
    if (out + run + literals * 2 > bits.length || word + literals * 8 > end) return undefined;
    if (low & 1) bits.fill(full, out, out + run);
    out += run;
    for (let literal = 0; literal < literals; literal++, word += 8) {
      bits[out++] = view.getUint32(word + 4);
      bits[out++] = view.getUint32(word);
    }
  }
  // A run of ones may reach beyond the last entry: there is nothing there.
  if (count % 32 !== 0) bits[count >>> 5] = (bits[count >>> 5] as number) & (2 ** (count % 32) - 1);
  for (let i = (count + 31) >>> 5; i < bits.length; i++) bits[i] = 0;
  return bits;
}
