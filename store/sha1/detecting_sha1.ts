import { StoreError } from "../error.ts";
import type { Sha1 } from "../object/hash.ts";
import { compress, expandBlock } from "./compress.ts";
import { vectorsLeft } from "./conditions.ts";
import { hasSibling } from "./sibling.ts";

/**
 * SHA-1 for what others made: `digest()` throws where a block looks like one half of a collision. Every known way to
 * make two contents with one SHA-1 leaves that trace in each of them; chance does with a probability below 2^-90.
 *
 * @throws {StoreError} `collision`, from `digest`
 */
export function newDetectingSha1(): Sha1 {
  const chaining = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);
  const block = new Uint8Array(64);
  let length = 0;
  let found = false;

  function take(bytes: Uint8Array, at: number): void {
    expandBlock(bytes, at, words);
    before.set(chaining);
    compress(chaining, words);
    const vectors = vectorsLeft(words);
    if (vectors !== 0) found ||= hasSibling(vectors, words, before, chaining);
  }

  return {
    update(bytes) {
      const held = length % 64;
      length += bytes.length;
      let at = 0;
      if (held > 0) {
        at = Math.min(64 - held, bytes.length);
        block.set(bytes.subarray(0, at), held);
        if (held + at < 64) return;
        take(block, 0);
      }
      for (; at + 64 <= bytes.length; at += 64) take(bytes, at);
      block.set(bytes.subarray(at));
    },
    digest() {
      const held = length % 64;
      block[held] = 0x80;
      block.fill(0, held + 1);
      if (held >= 56) {
        take(block, 0);
        block.fill(0);
      }
      const view = new DataView(block.buffer);
      view.setUint32(56, Math.floor(length / 2 ** 29));
      view.setUint32(60, (length * 8) % 2 ** 32);
      take(block, 0);
      if (found) {
        throw new StoreError(
          "collision",
          "the content is part of an attack on SHA-1: another of the same id exists",
        );
      }
      const digest = new Uint8Array(20);
      const out = new DataView(digest.buffer);
      chaining.forEach((word, i) => out.setInt32(i * 4, word));
      return digest;
    },
  };
}

/** Of the block at hand; nothing waits while one is worked on, so they serve every instance. */
const words = new Int32Array(80);
const before = new Int32Array(5);
