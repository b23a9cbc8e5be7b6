/**
 * The runtime's SHA-1. Hot where objects are read: most are small, and to make a hash object, feed it twice and take its
 * bytes costs three times what one call with one buffer does. Benchmark: tests/bench/read_bench.ts.
 */
import { createHash, hash } from "node:crypto";
import { objectHeader, objectOid } from "../object/hash.ts";
import type { Sha1 } from "../object/hash.ts";
import type { ObjectKind, Oid } from "../types.ts";

export function newSha1(): Sha1 {
  const hash = createHash("sha1");
  return {
    update(bytes) {
      hash.update(bytes);
    },
    digest: () => hash.digest(),
  };
}

/** As `objectOid` with `newSha1`. */
export function nativeOid(kind: ObjectKind, content: Uint8Array): Oid {
  if (content.length > joinedBytes) return objectOid(kind, content, newSha1);
  const header = headers[kind];
  const { length } = header;
  room.set(header);
  let at = length;
  const digits = String(content.length);
  for (let i = 0; i < digits.length; i++) room[at++] = digits.charCodeAt(i);
  room[at++] = 0;
  room.set(content, at);
  return hash("sha1", room.subarray(0, at + content.length), "hex") as Oid;
}

/** Up to here a copy costs less than a second call. */
const joinedBytes = 65536;
const room = new Uint8Array(joinedBytes + 32);
/** `kind` and the space behind it. */
const headers: Readonly<Record<ObjectKind, Uint8Array>> = {
  commit: kindAndSpace("commit"),
  tree: kindAndSpace("tree"),
  blob: kindAndSpace("blob"),
  tag: kindAndSpace("tag"),
};

function kindAndSpace(kind: ObjectKind): Uint8Array {
  // Cut before the size and the NUL of an empty object.
  return objectHeader(kind, 0).subarray(0, -2);
}
