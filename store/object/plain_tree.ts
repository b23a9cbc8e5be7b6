/**
 * The quick answer for nearly every tree: one pass over its bytes that finds it sound, or leaves it to the full check.
 * Hot when a pack is taken in. Benchmark: tests/bench/transfer_bench.ts.
 */
import { StoreError } from "../types.ts";
import { scanTree } from "./tree_scan.ts";

/**
 * Whether a tree is surely without fault: ordinary modes, names in which nothing could be an alias of anything, in strict
 * order, no id that looks null. False says nothing; `fsckObject` then finds out.
 */
export function isPlainTree(content: Uint8Array): boolean {
  let plain = true;
  let entryAt = 0;
  let lastAt = 0;
  let lastEnd = 0;
  let lastIsTree = false;
  try {
    scanTree(content, (mode, nameAt, nameEnd) => {
      if (!plain) return;
      const isTree = mode === 0o40000;
      plain = (isTree || mode === 0o100644 || mode === 0o100755) && content[entryAt] !== zero &&
        isPlainName(content, nameAt, nameEnd) && !startsNull(content, nameEnd + 1) &&
        (entryAt === 0 || follows(content, lastAt, lastEnd, lastIsTree, nameAt, nameEnd, isTree));
      entryAt = nameEnd + 21;
      lastAt = nameAt;
      lastEnd = nameEnd;
      lastIsTree = isTree;
    });
  } catch (error) {
    if (error instanceof StoreError) return false;
    throw error;
  }
  return plain;
}

const zero = 0x30;

/** Letters, digits and a few signs, not beginning with a dot: no `.`, `..`, `.git`, `git~1`, stream or invisible sign. */
function isPlainName(bytes: Uint8Array, at: number, end: number): boolean {
  if (at === end || bytes[at] === 0x2e) return false;
  for (let i = at; i < end; i++) if (harmless[bytes[i] as number] === 0) return false;
  return true;
}

const harmless = new Uint8Array(256);
for (const sign of "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_@+=,%") {
  harmless[sign.charCodeAt(0)] = 1;
}

/** True for more than the null id, which is for the full check to tell. */
function startsNull(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0 && bytes[at + 1] === 0 && bytes[at + 2] === 0 && bytes[at + 3] === 0;
}

/** Whether the second entry comes after the first and the first gives no hint of a file with the second's name. */
function follows(
  bytes: Uint8Array,
  aAt: number,
  aEnd: number,
  aIsTree: boolean,
  bAt: number,
  bEnd: number,
  bIsTree: boolean,
): boolean {
  let i = 0;
  while (aAt + i < aEnd && bAt + i < bEnd && bytes[aAt + i] === bytes[bAt + i]) i++;
  // A file `x` and a folder `x` need not be neighbours, but what stands right before the folder then begins with `x`.
  if (bAt + i === bEnd && bIsTree) return false;
  const a = aAt + i < aEnd ? bytes[aAt + i] as number : aIsTree ? 0x2f : 0;
  const b = bAt + i < bEnd ? bytes[bAt + i] as number : bIsTree ? 0x2f : 0;
  return a < b;
}
