import { constants } from "./compress.ts";
import { messageDifference, VECTORS } from "./vectors.ts";

/**
 * Whether a block that differs from this one by a disturbance vector ends in the same chaining value: then both are one
 * half of a collision (M. Stevens, "Counter-cryptanalysis", CRYPTO 2013). At the step where an attack along the vector has no
 * difference in its state, the other message's state is this one's; from there its compression is run back to the
 * chaining value it must have begun with, and on to the end.
 *
 * @param vectors one bit each, in the order of `VECTORS`
 * @param words the expanded block
 * @param before the chaining value it was compressed into, and `after` what came of it
 */
export function hasSibling(
  vectors: number,
  words: Int32Array,
  before: Int32Array,
  after: Int32Array,
): boolean {
  for (let vector = 0; vector < attacks.length; vector++) {
    if ((vectors & (1 << vector)) === 0) continue;
    const { calm, difference } = attacks[vector] as Attack;
    state.set(before);
    for (let t = 0; t < calm; t++) stepForward(state, t, words[t] as number);
    start.set(state);
    for (let t = calm - 1; t >= 0; t--) stepBack(start, t, (words[t] as number) ^ (difference[t] as number));
    for (let t = calm; t < 80; t++) stepForward(state, t, (words[t] as number) ^ (difference[t] as number));
    let same = true;
    for (let i = 0; i < 5; i++) {
      same &&= (((state[i] as number) + (start[i] as number)) | 0) === after[i];
    }
    if (same) return true;
  }
  return false;
}

interface Attack {
  /** The number of steps after which the states do not differ. */
  readonly calm: number;
  readonly difference: Int32Array;
}

const attacks: readonly Attack[] = VECTORS.map((vector) => ({
  calm: vector.k < 50 ? 58 : 65,
  difference: messageDifference(vector),
}));

const state = new Int32Array(5);
const start = new Int32Array(5);

/** One step of FIPS 180-4, section 6.1.2; the state is a, b, c, d, e. */
function stepForward(state: Int32Array, t: number, word: number): void {
  const a = state[0] as number;
  const b = state[1] as number;
  const c = state[2] as number;
  const d = state[3] as number;
  const e = state[4] as number;
  state[4] = d;
  state[3] = c;
  state[2] = (b << 30) | (b >>> 2);
  state[1] = a;
  state[0] = ((a << 5) | (a >>> 27)) + mix(t, b, c, d) + e + constantOf(t) + word;
}

/** Its inverse. */
function stepBack(state: Int32Array, t: number, word: number): void {
  const next = state[0] as number;
  const a = state[1] as number;
  const turned = state[2] as number;
  const c = state[3] as number;
  const d = state[4] as number;
  const b = (turned << 2) | (turned >>> 30);
  state[0] = a;
  state[1] = b;
  state[2] = c;
  state[3] = d;
  state[4] = next - ((a << 5) | (a >>> 27)) - mix(t, b, c, d) - constantOf(t) - word;
}

/** FIPS 180-4, section 4.1.1. */
function mix(t: number, b: number, c: number, d: number): number {
  if (t < 20) return d ^ (b & (c ^ d));
  return t >= 40 && t < 60 ? (b & c) | (d & (b | c)) : b ^ c ^ d;
}

function constantOf(t: number): number {
  return t < 20 ? constants[0] : t < 40 ? constants[1] : t < 60 ? constants[2] : constants[3];
}
