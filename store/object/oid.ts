import type { Oid } from "../types.ts";

/** The id if the text is one: 40 hexadecimal digits in lower case, nothing else. */
export function parseOid(text: string): Oid | undefined {
  return isOid(text) ? text : undefined;
}

export function isOid(text: string): text is Oid {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The id whose 20 bytes lie at `offset`. @throws {RangeError} where there are fewer */
export function oidFromBytes(bytes: Uint8Array, offset = 0): Oid {
  if (offset + 20 > bytes.length) throw new RangeError("an object id needs 20 bytes");
  let text = "";
  for (let i = offset; i < offset + 20; i++) text += hexPairs[bytes[i] ?? 0];
  return text as Oid;
}

/** Bytes as hexadecimal digits in lower case. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += hexPairs[bytes[i] ?? 0];
  return text;
}

/** The id's 20 bytes. */
export function oidToBytes(oid: Oid): Uint8Array {
  const bytes = new Uint8Array(20);
  writeOid(oid, bytes, 0);
  return bytes;
}

export function writeOid(oid: Oid, target: Uint8Array, offset: number): void {
  for (let i = 0; i < 20; i++) {
    target[offset + i] = (hexDigit(oid.charCodeAt(2 * i)) << 4) | hexDigit(oid.charCodeAt(2 * i + 1));
  }
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hexDigit(code: number): number {
  return code <= 0x39 ? code - 0x30 : code - 0x57;
}
