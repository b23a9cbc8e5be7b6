/**
 * The disturbance vectors that every known attack on SHA-1 follows, in Manuel's classification: S. Manuel,
 * "Classification and generation of disturbance vectors for collision attacks against SHA-1" (2011). The 32 that matter
 * are those of M. Stevens, "Counter-cryptanalysis" (CRYPTO 2013) and M. Stevens, D. Shumow, "Speeding up detection of SHA-1
 * collision attacks using unavoidable attack conditions" (USENIX Security 2017).
 */

/** A disturbance vector of type I or II, its place among the steps (K) and its rotation (b). */
export interface DisturbanceVector {
  readonly type: 1 | 2;
  readonly k: number;
  readonly b: number;
}

export const VECTORS: readonly DisturbanceVector[] = [
  ...range(43, 52).map((k) => ({ type: 1, k, b: 0 }) as const),
  ...range(46, 51).map((k) => ({ type: 1, k, b: 2 }) as const),
  ...range(45, 56).map((k) => ({ type: 2, k, b: 0 }) as const),
  ...[46, 49, 50, 51].map((k) => ({ type: 2, k, b: 2 }) as const),
];

/** What the two expanded messages of an attack along the vector differ in, by exclusive or: 80 words. */
export function messageDifference(vector: DisturbanceVector): Int32Array {
  // A disturbance at step t is corrected in the five steps after it, so steps -5 to 79 are needed.
  const lead = 5;
  const disturbances = disturbanceWords(vector, lead);
  const difference = new Int32Array(80);
  for (let t = 0; t < 80; t++) {
    const at = (back: number) => disturbances[t + lead - back] as number;
    difference[t] = at(0) ^ rotate(at(1), 5) ^ at(2) ^ rotate(at(3), 30) ^ rotate(at(4), 30) ^
      rotate(at(5), 30);
  }
  return difference;
}

/** Sixteen words given at steps K to K + 15, the others by the message expansion, which runs both ways. */
function disturbanceWords({ type, k, b }: DisturbanceVector, lead: number): Int32Array {
  const words = new Int32Array(80 + lead);
  const first = k + lead;
  words[first + 15] = 1 << b;
  if (type === 2) {
    words[first + 1] = rotate(1 << 31, b);
    words[first + 3] = rotate(1 << 31, b);
  }
  const at = (t: number) => words[t] as number;
  for (let t = first + 16; t < words.length; t++) {
    words[t] = rotate(at(t - 3) ^ at(t - 8) ^ at(t - 14) ^ at(t - 16), 1);
  }
  for (let t = first - 1; t >= 0; t--) words[t] = rotate(at(t + 16), 31) ^ at(t + 13) ^ at(t + 8) ^ at(t + 2);
  return words;
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}
