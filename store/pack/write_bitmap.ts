/** The file of reachability bitmaps that lies beside a pack (gitformat-bitmap, version 1). Pure. */
import { type Bits, encodeEwah } from "./ewah.ts";
import type { NewSha1, PackKind } from "./types.ts";

export interface BitmapWriter {
  /** What the commit of this rank reaches, itself included. Taken as it is: not to be changed afterwards. */
  add(rank: number, reached: Bits): void;
  /** The bytes of the file. `kinds`: which entries are of each kind, deltas resolved. */
  finish(kinds: Readonly<Record<PackKind, Bits>>): Uint8Array;
}

/** For a pack of `count` entries that holds all that those in it refer to. */
export function bitmapWriter(count: number, packChecksum: Uint8Array, newSha1: NewSha1): BitmapWriter {
  const entries: Uint8Array[] = [];
  let before: Bits[] = [];
  return {
    add(rank, reached) {
      let xor = 0;
      let best = encodeEwah(reached, count);
      // The histories of two commits are nearly the same: their difference is short.
      for (const [place, other] of before.entries()) {
        const encoded = encodeEwah(difference(reached, other), count);
        if (encoded.length < best.length) [xor, best] = [place + 1, encoded];
      }
      before = [reached, ...before.slice(0, comparedWith - 1)];
      const entry = new Uint8Array(6 + best.length);
      new DataView(entry.buffer).setUint32(0, rank);
      entry[4] = xor;
      entry.set(best, 6);
      entries.push(entry);
    },
    finish({ commit, tree, blob, tag }) {
      const header = new Uint8Array(32);
      const view = new DataView(header.buffer);
      view.setUint32(0, magic);
      view.setUint16(4, 1);
      view.setUint16(6, fullDag);
      view.setUint32(8, entries.length);
      header.set(packChecksum, 12);
      const sha1 = newSha1();
      const parts = [header, ...[commit, tree, blob, tag].map((bits) => encodeEwah(bits, count)), ...entries];
      const file = new Uint8Array(parts.reduce((total, { length }) => total + length, 20));
      let at = 0;
      for (const part of parts) {
        file.set(part, at);
        at += part.length;
      }
      sha1.update(file.subarray(0, at));
      file.set(sha1.digest(), at);
      return file;
    },
  };
}

/** `BITM` */
export const magic = 0x4249544d;
/** What any commit of the file reaches is in the pack. */
export const fullDag = 1;

/** Readers follow differences of differences; git looks back ten entries too. */
const comparedWith = 10;

function difference(a: Bits, b: Bits): Bits {
  const bits = new Uint32Array(a.length);
  for (let i = 0; i < a.length; i++) bits[i] = (a[i] as number) ^ (b[i] as number);
  return bits;
}
