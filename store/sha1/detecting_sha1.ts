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
  const chaining = new Int32Array(initial);
  const block = new Uint8Array(64);
  let length = 0;
  let found = false;

  function take(bytes: Uint8Array, at: number): void {
    expandBlock(bytes, at, words);
    for (let i = 0; i < 5; i++) before[i] = chaining[i] as number;
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
        for (let i = 0; i < at; i++) block[held + i] = bytes[i] as number;
        if (held + at < 64) return;
        take(block, 0);
      }
      for (; at + 64 <= bytes.length; at += 64) take(bytes, at);
      for (let i = 0; at < bytes.length; i++, at++) block[i] = bytes[at] as number;
    },
    digest() {
      const held = length % 64;
      block[held] = 0x80;
      block.fill(0, held + 1);
      if (held >= 56) {
        take(block, 0);
        block.fill(0);
      }
      putWord(block, 56, Math.floor(length / 2 ** 29));
      putWord(block, 60, length << 3);
      take(block, 0);
      if (found) {
        throw new StoreError(
          "collision",
          "the content is part of an attack on SHA-1: another of the same id exists",
        );
      }
      const digest = new Uint8Array(20);
      for (let i = 0; i < 5; i++) putWord(digest, i * 4, chaining[i] as number);
      return digest;
    },
  };
}

/** FIPS 180-4, section 5.3.1. */
const initial = Int32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0);

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}

/** Of the block at hand; nothing waits while one is worked on, so they serve every instance. */
const words = new Int32Array(80);
const before = new Int32Array(5);
