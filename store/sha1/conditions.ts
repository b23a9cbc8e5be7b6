/**
 * The unavoidable bit conditions: equations between single bits of an expanded message block, which hold in every block
 * of an attack along a disturbance vector (M. Stevens, D. Shumow, "Speeding up detection of SHA-1 collision attacks using
 * unavoidable attack conditions", USENIX Security 2017). An ordinary block meets each with probability one half, so few
 * vectors are left for the costly check. Hot: once a block. Benchmark: tests/bench/sha1_bench.ts.
 */
import { VECTORS } from "./vectors.ts";

/**
 * The vectors whose conditions the expanded block meets, one bit each in the order of `VECTORS`. The table is gone over
 * without a branch on what a bit says, which no processor could foretell, and left when no vector is.
 */
export function vectorsLeft(words: Int32Array): number {
  // Made when it is first needed: a process that takes nothing from others never does.
  table ??= tableOf(inOrder(conditions()));
  let left = -1;
  for (let i = 0; i < table.length && left !== 0;) {
    for (const stop = i + batch * stride; i < stop; i += stride) {
      const a = (words[table[i] as number] as number) >>> (table[i + 1] as number);
      const b = (words[table[i + 2] as number] as number) >>> (table[i + 3] as number);
      left &= (table[i + 5] as number) | -((a ^ b ^ (table[i + 4] as number)) & 1);
    }
  }
  return left;
}

/**
 * By the vector's type and b: a relation of two bits, and the K for which it holds. `-6.4 = -3.29` says that bit 4 of
 * word K-6 equals bit 29 of word K-3; `#`, that the two differ. Bit numbers are those for b = 0 and turn with b.
 */
const relations: readonly { readonly type: 1 | 2; readonly b: number; readonly lines: readonly string[] }[] =
  [
    {
      type: 1,
      b: 0,
      lines: [
        "-16.3 = -12.28: 51",
        "-14.4 # -13.4: 50-52",
        "-13.4 = -9.29: 48-52",
        "-10.4 = -7.29: 47-52",
        "-10.4 = -6.29: 45-46",
        "-8.29 = -7.29: 48-52",
        "-7.29 = -6.29: 47-52",
        "-6.4 # -4.4: 43-46",
        "-6.4 = -3.29: 43-52",
        "-4.4 # -2.4: 43-44",
        "-4.4 = -1.29: 43-52",
        "-4.29 = -3.29: 44-52",
        "-4.29 # 3.29: 52",
        "-3.29 # -1.29: 47-52",
        "-3.29 # 4.29: 51",
        "-2.4 = 1.29: 43-52",
        "-1.29 # 1.29: 45-51",
        "0.4 = 3.29: 43-52",
        "1.29 # 3.29: 43-49",
        "1.29 # 4.29: 50 52",
        "3.29 = 4.29: 43-52",
        "15.0 # 16.5: 45-48",
        "15.0 # 20.30: 43-44",
        "16.5 = 20.30: 43-44",
        "18.1 # 19.6: 43-45",
      ],
    },
    {
      type: 1,
      b: 2,
      lines: [
        "-16.3 = -12.28: 51",
        "-14.4 = -14.31: 51",
        "-14.31 # -13.4: 49-51",
        "-11.31 # -10.4: 46-48 50-51",
        "-11.31 # -9.31: 49",
        "-10.4 = -9.31: 49-51",
        "-7.31 # -6.4: 46-48 51",
        "-7.31 # 1.31: 49-50",
        "-6.4 = -4.4: 46-51",
        "-4.4 = -2.4: 46-51",
        "-2.4 = 0.4: 46-51",
        "0.4 = 1.31: 46-51",
        "15.0 # 16.5: 46-48",
      ],
    },
    {
      type: 2,
      b: 0,
      lines: [
        "-18.4 # -16.4: 54-56",
        "-18.4 = -15.29: 55-56",
        "-16.4 # -14.4: 52-56",
        "-16.4 = -13.29: 53-56",
        "-16.29 = -15.29: 56",
        "-13.30 # -8.28: 48-52",
        "-12.3 = -8.28: 47-56",
        "-12.4 = -8.29: 47-56",
        "-9.4 = -6.29: 46-56",
        "-9.4 = -5.29: 45",
        "-7.29 = -6.29: 47-56",
        "-6.29 = -5.29: 46-56",
        "-4.4 = -1.29: 45-56",
        "-2.29 = -1.29: 45-56",
        "-1.29 = 0.29: 45-56",
        "2.4 = 4.29: 55",
        "2.4 = 5.29: 45-54",
        "4.4 = 7.29: 45-52",
        "4.4 = 8.29: 53-56",
        "4.29 = 5.29: 45-54",
        "4.29 # 7.29: 47 49 52",
        "5.29 # 7.29: 45",
        "5.29 # 8.29: 46 48 50-51 53",
        "7.29 = 8.29: 45-52",
        "15.0 # 16.5: 45-48",
        "18.1 # 19.6: 45",
      ],
    },
    {
      type: 2,
      b: 2,
      lines: [
        "-13.30 # -8.28: 49-51",
        "-12.3 = -8.28: 49-51",
        "-10.31 # -9.4: 46 49-51",
        "-9.4 = -8.31: 49-51",
        "-5.31 # -4.4: 46 49",
        "-5.31 # -3.31: 50-51",
        "-4.4 = -3.31: 46 49-51",
        "1.31 # 5.31: 46 49-51",
        "2.4 = 4.4: 46 49-51",
        "4.4 = 5.31: 46 49-51",
        "15.0 # 16.5: 46",
      ],
    },
  ];

/** Two bits of the expanded block, and the vectors for which they must be equal or differ. */
interface Condition {
  readonly wordA: number;
  readonly bitA: number;
  readonly wordB: number;
  readonly bitB: number;
  readonly equal: boolean;
  vectors: number;
}

const batch = 8;
const stride = 6;
let table: ReturnType<typeof tableOf> | undefined;

function conditions(): Condition[] {
  const found = new Map<string, Condition>();
  for (const { type, b, lines } of relations) {
    for (const line of lines) {
      const [, wordA, bitA, sign, wordB, bitB, ks = ""] =
        /^(-?\d+)\.(\d+) ([=#]) (-?\d+)\.(\d+): (.*)$/.exec(line) ?? [];
      for (const k of ks.split(" ").flatMap(range)) {
        const vector = VECTORS.findIndex((each) => each.type === type && each.b === b && each.k === k);
        const condition = {
          wordA: k + Number(wordA),
          bitA: (Number(bitA) + b) % 32,
          wordB: k + Number(wordB),
          bitB: (Number(bitB) + b) % 32,
          equal: sign === "=",
          vectors: 0,
        };
        const key = JSON.stringify(condition);
        const same = found.get(key) ?? condition;
        same.vectors |= 1 << vector;
        found.set(key, same);
      }
    }
  }
  return [...found.values()];
}

/** `45-47` or `45`. */
function range(text: string): number[] {
  const [from = 0, to = from] = text.split("-").map(Number);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** First those that strike out most of what those before are likely to have left. */
function inOrder(rest: Condition[]): Condition[] {
  const chance = VECTORS.map(() => 1);
  const weight = ({ vectors }: Condition) =>
    chance.reduce((sum, each, vector) => sum + (vectors & (1 << vector) ? each : 0), 0);
  const ordered: Condition[] = [];
  while (rest.length > 0) {
    const next = rest.reduce((best, each) => weight(each) > weight(best) ? each : best);
    rest = rest.filter((each) => each !== next);
    ordered.push(next);
    chance.forEach((each, vector) => {
      if (next.vectors & (1 << vector)) chance[vector] = each / 2;
    });
  }
  return ordered;
}

/** Rows of word, bit, word, bit, 1 where they must be equal, and the vectors that stay in any case. */
function tableOf(ordered: readonly Condition[]): Int32Array {
  const rows = Math.ceil(ordered.length / batch) * batch;
  const numbers = new Int32Array(rows * stride);
  // The rows that fill up the last batch strike out nothing.
  for (let row = 0; row < rows; row++) numbers[row * stride + 5] = -1;
  ordered.forEach(({ wordA, bitA, wordB, bitB, equal, vectors }, row) => {
    numbers.set([wordA, bitA, wordB, bitB, equal ? 1 : 0, ~vectors], row * stride);
  });
  return numbers;
}
