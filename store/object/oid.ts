import { idFromBytes, idToBytes, writeId } from "../pack/id.ts";
import type { Oid } from "../types.ts";

export { toHex } from "../pack/id.ts";

/** The id if the text is one: 40 hexadecimal digits in lower case, nothing else. */
export function parseOid(text: string): Oid | undefined {
  return isOid(text) ? text : undefined;
}

export function isOid(text: string): text is Oid {
  return /^[0-9a-f]{40}$/.test(text);
}

/** The id whose 20 bytes lie at `offset`. @throws {RangeError} where there are fewer */
export function oidFromBytes(bytes: Uint8Array, offset = 0): Oid {
  return idFromBytes<Oid>(bytes, offset);
}

/** The id's 20 bytes. */
export function oidToBytes(oid: Oid): Uint8Array {
  return idToBytes(oid);
}

export function writeOid(oid: Oid, target: Uint8Array, offset: number): void {
  writeId(oid, target, offset);
}
