/** What the store needs of zlib (RFC 1950). Two implementations: `node.ts` where it is there, `pako.ts` anywhere. */
export interface Zlib {
  /**
   * Inflates the zlib stream that starts at `input[0]` and gives at most `maximum` bytes; what follows the stream's
   * end is left alone. Memory stays in proportion to what the input really holds, whatever `maximum` says. The output
   * is the caller's.
   */
  inflate(input: Uint8Array, maximum: number): Inflated;
  /** The same for a stream that comes in pieces. */
  inflater(maximum: number): Inflater;
  deflate(content: Uint8Array): Uint8Array;
  /** CRC-32, going on from `start` (0 at first). */
  crc32(bytes: Uint8Array, start: number): number;
}

export type Inflated =
  | { readonly state: "done"; readonly output: Uint8Array; readonly consumed: number }
  /** The input ends before the stream does. */
  | { readonly state: "more" }
  | { readonly state: "bad"; readonly message: string };

export interface Inflater {
  /** With `more`, all of `input` was taken; with `done`, `consumed` bytes of this piece were. */
  push(input: Uint8Array): Inflated;
}

/** No zlib stream that a sane encoder makes for `size` bytes is longer: stored blocks and a margin. */
export function longestDeflated(size: number): number {
  return size + Math.ceil(size / 8) + 1024;
}
