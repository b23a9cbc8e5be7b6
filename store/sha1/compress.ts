/**
 * SHA-1's message expansion and compression (FIPS 180-4, sections 6.1.2 and 4.1.1). Hot: every byte received from others
 * goes through here. The four rounds are loops of their own, five steps at a time, so that no value changes its variable.
 * Benchmark: tests/bench/sha1_bench.ts.
 */

/** The 80 words of a block of 64 bytes, big-endian, expanded. */
export function expandBlock(bytes: Uint8Array, at: number, words: Int32Array): void {
  for (let t = 0, i = at; t < 16; t++, i += 4) {
    words[t] = ((bytes[i] as number) << 24) | ((bytes[i + 1] as number) << 16) |
      ((bytes[i + 2] as number) << 8) | (bytes[i + 3] as number);
  }
  for (let t = 16; t < 80; t++) {
    const mixed = (words[t - 3] as number) ^ (words[t - 8] as number) ^ (words[t - 14] as number) ^
      (words[t - 16] as number);
    words[t] = (mixed << 1) | (mixed >>> 31);
  }
}

/** Takes a block's expanded words into the five chaining words. */
export function compress(chaining: Int32Array, words: Int32Array): void {
  const a0 = chaining[0] as number;
  const b0 = chaining[1] as number;
  const c0 = chaining[2] as number;
  const d0 = chaining[3] as number;
  const e0 = chaining[4] as number;
  let a = a0;
  let b = b0;
  let c = c0;
  let d = d0;
  let e = e0;
  let t = 0;
  for (; t < 20; t += 5) {
    e = (e + ((a << 5) | (a >>> 27)) + (d ^ (b & (c ^ d))) + K0 + (words[t] as number)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (d + ((e << 5) | (e >>> 27)) + (c ^ (a & (b ^ c))) + K0 + (words[t + 1] as number)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (c + ((d << 5) | (d >>> 27)) + (b ^ (e & (a ^ b))) + K0 + (words[t + 2] as number)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (b + ((c << 5) | (c >>> 27)) + (a ^ (d & (e ^ a))) + K0 + (words[t + 3] as number)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (a + ((b << 5) | (b >>> 27)) + (e ^ (c & (d ^ e))) + K0 + (words[t + 4] as number)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (; t < 40; t += 5) {
    e = (e + ((a << 5) | (a >>> 27)) + (b ^ c ^ d) + K1 + (words[t] as number)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (d + ((e << 5) | (e >>> 27)) + (a ^ b ^ c) + K1 + (words[t + 1] as number)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (c + ((d << 5) | (d >>> 27)) + (e ^ a ^ b) + K1 + (words[t + 2] as number)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (b + ((c << 5) | (c >>> 27)) + (d ^ e ^ a) + K1 + (words[t + 3] as number)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (a + ((b << 5) | (b >>> 27)) + (c ^ d ^ e) + K1 + (words[t + 4] as number)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (; t < 60; t += 5) {
    e = (e + ((a << 5) | (a >>> 27)) + ((b & c) | (d & (b | c))) + K2 + (words[t] as number)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (d + ((e << 5) | (e >>> 27)) + ((a & b) | (c & (a | b))) + K2 + (words[t + 1] as number)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (c + ((d << 5) | (d >>> 27)) + ((e & a) | (b & (e | a))) + K2 + (words[t + 2] as number)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (b + ((c << 5) | (c >>> 27)) + ((d & e) | (a & (d | e))) + K2 + (words[t + 3] as number)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (a + ((b << 5) | (b >>> 27)) + ((c & d) | (e & (c | d))) + K2 + (words[t + 4] as number)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  for (; t < 80; t += 5) {
    e = (e + ((a << 5) | (a >>> 27)) + (b ^ c ^ d) + K3 + (words[t] as number)) | 0;
    b = (b << 30) | (b >>> 2);
    d = (d + ((e << 5) | (e >>> 27)) + (a ^ b ^ c) + K3 + (words[t + 1] as number)) | 0;
    a = (a << 30) | (a >>> 2);
    c = (c + ((d << 5) | (d >>> 27)) + (e ^ a ^ b) + K3 + (words[t + 2] as number)) | 0;
    e = (e << 30) | (e >>> 2);
    b = (b + ((c << 5) | (c >>> 27)) + (d ^ e ^ a) + K3 + (words[t + 3] as number)) | 0;
    d = (d << 30) | (d >>> 2);
    a = (a + ((b << 5) | (b >>> 27)) + (c ^ d ^ e) + K3 + (words[t + 4] as number)) | 0;
    c = (c << 30) | (c >>> 2);
  }
  chaining[0] = (a0 + a) | 0;
  chaining[1] = (b0 + b) | 0;
  chaining[2] = (c0 + c) | 0;
  chaining[3] = (d0 + d) | 0;
  chaining[4] = (e0 + e) | 0;
}

/** One for each round of twenty steps (FIPS 180-4, section 4.2.1). */
export const constants = [0x5a827999, 0x6ed9eba1, 0x8f1bbcdc | 0, 0xca62c1d6 | 0] as const;
const [K0, K1, K2, K3] = constants;
