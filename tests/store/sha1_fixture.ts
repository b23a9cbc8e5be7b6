/**
 * The first 320 bytes of the two files of M. Stevens, E. Bursztein, P. Karpman, A. Albertini, Y. Markov, "The first
 * collision for full SHA-1" (CRYPTO 2017, shattered.io): a common prefix of 192 bytes, then two near-collision blocks.
 */
const prefix =
  "JVBERi0xLjMKJeLjz9MKCgoxIDAgb2JqCjw8L1dpZHRoIDIgMCBSL0hlaWdodCAzIDAgUi9UeXBlIDQgMCBSL1N1YnR5cGUgNSAwIFIvRmlsdGVyIDYg" +
  "MCBSL0NvbG9yU3BhY2UgNyAwIFIvTGVuZ3RoIDggMCBSL0JpdHNQZXJDb21wb25lbnQgOD4+CnN0cmVhbQr/2P/+ACRTSEEtMSBpcyBkZWFkISEhISGF" +
  "L+wJIzl1nDmxocY8TJfh//4B";
const first =
  "c0bckWa2fhGPApq2IbJWD/nKZ8yox/hbqEx5AwwrPeIY+G2zqQkB1d9FwU8m/t+z3DjpasIv571yjw5FvOBG0jxXD+sUE5i7VS71oKgr4zH+pIA3uLXX" +
  "Hw4zLt+TrDUA603cDezBqGR5DHgsdiFWYN0wl5HQa9CvP5jNpLxGKbE=";
const second =
  "f0bck6a2fgE7ApqqHbJWC0XKZ9aIx/hLjEx5H+ArPfYU+G2xaQkBxWtFwVMK/t+3YDjpcnIv561yjw5JBOBGwjBXD+nUE5ir4S71vJQr4zVCpIAtmLXX" +
  "DyozLsN/rDUU503cDyzBqHTNDHgwWiFWZGEwl4lga9C/P5jNqARGKaE=";

export const SHATTERED: readonly Uint8Array[] = [first, second].map((half) =>
  Uint8Array.from(atob(prefix) + atob(half), (character) => character.charCodeAt(0))
);
