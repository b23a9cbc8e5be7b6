import { StoreError } from "../types.ts";
import type { GitObject, ObjectKind } from "../types.ts";
import { concatBytes, latin1 } from "./bytes.ts";
import { objectHeader } from "./hash.ts";

/** An object as a loose file holds it, before compression: `kind size NUL content`. */
export function encodeLoose(object: GitObject): Uint8Array {
  return concatBytes([objectHeader(object.kind, object.content.length), object.content]);
}

/** The inverse. @throws {StoreError} `malformed` */
export function decodeLoose(bytes: Uint8Array): GitObject {
  const header = decodeLooseHeader(bytes);
  if (header === undefined) throw new StoreError("malformed", "a loose object without a valid header");
  const content = bytes.subarray(header.length);
  if (content.length !== header.size) {
    throw new StoreError(
      "malformed",
      `a loose object of ${content.length} bytes that declares ${header.size}`,
    );
  }
  return { kind: header.kind, content };
}

/** Kind and size from the first bytes (32 are enough); `length` is the header's own. */
function decodeLooseHeader(
  bytes: Uint8Array,
): { readonly kind: ObjectKind; readonly size: number; readonly length: number } | undefined {
  const end = bytes.subarray(0, 32).indexOf(0);
  if (end < 0) return undefined;
  const match = /^(commit|tree|blob|tag) (0|[1-9][0-9]{0,14})$/.exec(latin1(bytes.subarray(0, end)));
  const [, kind, size] = match ?? [];
  if (!isObjectKind(kind)) return undefined;
  return { kind, size: Number(size), length: end + 1 };
}

export function isObjectKind(text: string | undefined): text is ObjectKind {
  return text === "commit" || text === "tree" || text === "blob" || text === "tag";
}
