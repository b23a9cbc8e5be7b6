/** Ids of 20 bytes, and as 40 hexadecimal digits in lower case. */

/** The id whose 20 bytes lie at `offset`, as digits. @throws {RangeError} where there are fewer */
export function idFromBytes<Id extends string>(bytes: Uint8Array, offset = 0): Id {
  if (offset + 20 > bytes.length) throw new RangeError("an object id needs 20 bytes");
  let text = "";
  for (let i = offset; i < offset + 20; i++) text += hexPairs[bytes[i] as number];
  return text as Id;
}

/** The id's 20 bytes. */
export function idToBytes(id: string): Uint8Array {
  const bytes = new Uint8Array(20);
  writeId(id, bytes, 0);
  return bytes;
}

export function writeId(id: string, target: Uint8Array, offset: number): void {
  for (let i = 0; i < 20; i++) {
    target[offset + i] = (hexDigit(id.charCodeAt(2 * i)) << 4) | hexDigit(id.charCodeAt(2 * i + 1));
  }
}

/** Bytes as hexadecimal digits in lower case. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i++) text += hexPairs[bytes[i] as number];
  return text;
}

/** By the 20 bytes at each place; below, above or equal to 0 as the first sorts before, after or is the same. */
export function compareIds(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number): number {
  for (let i = 0; i < 20; i++) {
    const difference = (a[aAt + i] as number) - (b[bAt + i] as number);
    if (difference !== 0) return difference;
  }
  return 0;
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hexDigit(code: number): number {
  return code <= 0x39 ? code - 0x30 : code - 0x57;
}
