import type { ObjectKind, Oid } from "../types.ts";
import type { NewSha1 } from "../pack/types.ts";
import { utf8 } from "./bytes.ts";
import { oidFromBytes } from "./oid.ts";

export type { NewSha1, Sha1 } from "../pack/types.ts";

/** The 20 bytes that name an object: SHA-1 over `kind size NUL content` (gitformat-loose, "Loose object"). */
export function hashObject(kind: ObjectKind, content: Uint8Array, newSha1: NewSha1): Uint8Array {
  const sha1 = newSha1();
  sha1.update(objectHeader(kind, content.length));
  sha1.update(content);
  return sha1.digest();
}

export function objectOid(kind: ObjectKind, content: Uint8Array, newSha1: NewSha1): Oid {
  return oidFromBytes(hashObject(kind, content, newSha1));
}

export function objectHeader(kind: ObjectKind, size: number): Uint8Array {
  return utf8(`${kind} ${size}\0`);
}
