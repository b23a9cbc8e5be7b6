import { StoreError } from "../types.ts";
import type { ObjectKind, Oid } from "../types.ts";
import { latin1, utf8 } from "./bytes.ts";
import { decodeHeaders, encodeHeaders } from "./headers.ts";
import type { Header, HeaderBlock } from "./headers.ts";
import { isObjectKind } from "./loose.ts";
import { parseOid } from "./oid.ts";

/** A commit. The header lines are kept as they stand, so that encoding gives the same bytes back. */
export interface Commit extends HeaderBlock {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly author: Uint8Array;
  readonly committer: Uint8Array;
}

/** @throws {StoreError} `malformed` */
export function decodeCommit(content: Uint8Array): Commit {
  const block = decodeHeaders(content);
  const [first, ...rest] = block.headers;
  const tree = first?.name === "tree" ? oidOf(first) : undefined;
  if (tree === undefined) throw new StoreError("malformed", "a commit without a tree");
  const parents: Oid[] = [];
  for (const header of rest) {
    if (header.name !== "parent") break;
    const parent = oidOf(header);
    if (parent === undefined) {
      throw new StoreError("malformed", "a commit with a parent that is not an object id");
    }
    parents.push(parent);
  }
  const author = rest.find((header) => header.name === "author")?.value;
  const committer = rest.find((header) => header.name === "committer")?.value;
  if (author === undefined || committer === undefined) {
    throw new StoreError("malformed", "a commit without author or committer");
  }
  return { ...block, tree, parents, author, committer };
}

/** Encodes the header lines and the body; the other fields are views of them. */
export function encodeCommit(commit: HeaderBlock): Uint8Array {
  return encodeHeaders(commit);
}

/** A new commit's content out of its parts; `author` and `committer` in the form of `formatPerson`. */
export function composeCommit(parts: {
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  readonly author: string;
  readonly committer: string;
  readonly message: string;
}): Uint8Array {
  return encodeHeaders({
    headers: [
      { name: "tree", value: utf8(parts.tree) },
      ...parts.parents.map((parent) => ({ name: "parent", value: utf8(parent) })),
      { name: "author", value: utf8(parts.author) },
      { name: "committer", value: utf8(parts.committer) },
    ],
    body: utf8(parts.message),
  });
}

/** An annotated tag. */
export interface Tag extends HeaderBlock {
  readonly object: Oid;
  readonly type: ObjectKind;
  readonly tag: string;
}

/** @throws {StoreError} `malformed` */
export function decodeTag(content: Uint8Array): Tag {
  const block = decodeHeaders(content);
  const [first, second, third] = block.headers;
  const object = first?.name === "object" ? oidOf(first) : undefined;
  const type = second?.name === "type" && second.value !== undefined ? latin1(second.value) : undefined;
  const tag = third?.name === "tag" && third.value !== undefined ? latin1(third.value) : undefined;
  if (object === undefined || !isObjectKind(type) || tag === undefined) {
    throw new StoreError("malformed", "a tag without object, type or name");
  }
  return { ...block, object, type, tag };
}

/** Encodes the header lines and the body; the other fields are views of them. */
export function encodeTag(tag: HeaderBlock): Uint8Array {
  return encodeHeaders(tag);
}

function oidOf(header: Header): Oid | undefined {
  return header.value === undefined ? undefined : parseOid(latin1(header.value));
}
