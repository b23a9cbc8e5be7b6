/** Byte strings: helpers for formats that mix ASCII and bytes of no known encoding. */

export { concatBytes, equalBytes } from "../zlib/bytes.ts";

/** One character a byte, U+0000 to U+00FF. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i] ?? 0);
  return text;
}

/** UTF-8 where the bytes are that, else one character a byte. */
export function textOf(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return latin1(bytes);
    throw error;
  }
}

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

const encoder = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
