/** What the store needs of zlib (RFC 1950). Two implementations: `node.ts` where it is there, `pako.ts` anywhere. */
export interface Zlib {
  /**
   * Inflates the zlib stream that starts at `input[0]` and gives at most `maximum` bytes; what follows the stream's
   * end is left alone. Memory stays in proportion to what the input really holds, whatever `maximum` says. The output
   * is the caller's.
   */
  inflate(input: Uint8Array, maximum: number): Inflated;
  /** For streams that come in pieces, one after the other. */
  inflater(): Inflater;
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
  /** Begins another stream. */
  reset(): void;
  /** Takes what it can of `input` and fills `output`, which has room for a byte at least. */
  push(input: Uint8Array, output: Uint8Array<ArrayBuffer>): InflateStep;
}

/** `more`: all input was taken; `full`: there is no room left; `done`: the stream has ended, and room is left. */
export type InflateStep =
  | { readonly state: "more" | "full" | "done"; readonly consumed: number; readonly produced: number }
  | { readonly state: "bad"; readonly message: string };

/** No zlib stream that a sane encoder makes for `size` bytes is longer: stored blocks and a margin. */
export function longestDeflated(size: number): number {
  return size + Math.ceil(size / 8) + 1024;
}

/** Deflate makes no more than this many bytes out of one (zlib's "Technical Details": 1032:1), and a little at its ends. */
export function mostInflated(length: number): number {
  return length * 1032 + 64;
}
