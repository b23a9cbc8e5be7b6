/**
 * Reachability bitmaps, as a collection and `git repack -b` leave them beside a pack (gitformat-bitmap, version 1): for some commits, which
 * entries of the pack they reach. With one a clone is selected without a look at any tree. Benchmark:
 * tests/bench/clone_bench.ts. Pure.
 */
import type { NewSha1 } from "../../object/hash.ts";
import { type Bits, decodeEwah, skipEwah } from "../../pack/ewah.ts";
import type { PackReader } from "../../pack/read_pack.ts";
import { fullDag, magic } from "../../pack/write_bitmap.ts";
import type { Oid } from "../../types.ts";
import { equalBytes } from "../../zlib/bytes.ts";

export interface PackBitmap {
  readonly pack: PackReader<Oid>;
  /** What the commit reaches, itself included; `undefined` where the file says nothing of it. Not to be changed. */
  reachedFrom(commit: Oid): Bits | undefined;
  /** The entries that are blobs, deltas resolved. */
  readonly blobs: Bits;
}

/** The bitmaps of a pack; `undefined` where the file is damaged, of another pack or of a kind that is not known here. */
export function readBitmap(
  file: Uint8Array,
  pack: PackReader<Oid>,
  newSha1: NewSha1,
): PackBitmap | undefined {
  const { index } = pack;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 32 + 20 || view.getUint32(0) !== magic || view.getUint16(4) !== 1) return undefined;
  // Without this flag what a commit reaches may lie outside the pack.
  if ((view.getUint16(6) & fullDag) === 0) return undefined;
  if (!equalBytes(file.subarray(12, 32), index.packChecksum)) return undefined;
  const sha1 = newSha1();
  sha1.update(file.subarray(0, file.length - 20));
  if (!equalBytes(sha1.digest(), file.subarray(file.length - 20))) return undefined;

  const end = file.length - 20;
  const count = index.count;
  const kinds: number[] = [];
  let at = 32;
  for (let kind = 0; kind < 4; kind++) {
    kinds.push(at);
    const next = skipEwah(view, at, end);
    if (next === undefined) return undefined;
    at = next;
  }
  const entries: { readonly xor: number; readonly at: number }[] = [];
  const byRank = new Map<number, number>();
  for (let entry = 0, total = view.getUint32(8); entry < total; entry++) {
    if (at + 6 > end) return undefined;
    const xor = view.getUint8(at + 4);
    if (xor > entry) return undefined;
    byRank.set(view.getUint32(at), entry);
    entries.push({ xor, at: at + 6 });
    const next = skipEwah(view, at + 6, end);
    if (next === undefined) return undefined;
    at = next;
  }
  const blobs = decodeEwah(view, kinds[2], count);
  if (blobs === undefined) return undefined;

  const known = new Map<number, Bits>();
  /** A bitmap may be stored as its difference from one before it. */
  const bitsOf = (wanted: number): Bits | undefined => {
    const chain: number[] = [];
    let entry = wanted;
    let bits = known.get(entry);
    while (bits === undefined) {
      chain.push(entry);
      const { xor } = entries[entry];
      if (xor === 0) break;
      entry -= xor;
      bits = known.get(entry);
    }
    for (let next = chain.pop(); next !== undefined; next = chain.pop()) {
      const own = decodeEwah(view, entries[next].at, count);
      if (own === undefined) return undefined;
      if (bits !== undefined) { for (let i = 0; i < own.length; i++) own[i] ^= bits[i]; }
      bits = own;
      known.set(next, bits);
    }
    return bits;
  };
  return {
    pack,
    blobs,
    reachedFrom(commit) {
      const rank = index.rankOf(commit);
      const entry = rank === undefined ? undefined : byRank.get(rank);
      return entry === undefined ? undefined : bitsOf(entry);
    },
  };
}
