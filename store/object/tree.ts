import { StoreError } from "../types.ts";
import type { Oid } from "../types.ts";
import { concatBytes, latin1, textOf, utf8 } from "./bytes.ts";
import { oidFromBytes, oidToBytes } from "./oid.ts";

/** One entry of a tree, as written. */
export interface TreeEntry {
  /** The octal digits as they stand: `100644`, `100755`, `120000`, `40000`, `160000`; old trees have others. */
  readonly mode: string;
  /** Bytes, not text: git knows no encoding for names. */
  readonly name: Uint8Array;
  readonly oid: Oid;
}

/** The entries in their order. @throws {StoreError} `malformed`; what fsck would also refuse is decoded as it is */
export function decodeTree(content: Uint8Array): TreeEntry[] {
  const entries: TreeEntry[] = [];
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const end = space < 0 ? -1 : content.indexOf(0, space + 1);
    if (end < 0 || end + 21 > content.length) throw new StoreError("malformed", "a tree entry is cut short");
    const mode = latin1(content.subarray(at, Math.min(space, at + 12)));
    if (!/^[0-7]{1,11}$/.test(mode)) throw new StoreError("malformed", "a tree entry's mode is not octal");
    entries.push({ mode, name: content.subarray(space + 1, end), oid: oidFromBytes(content, end + 1) });
    at = end + 21;
  }
  return entries;
}

/** The inverse of `decodeTree`; the order is the caller's (see `compareEntries`). */
export function encodeTree(entries: Iterable<TreeEntry>): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { mode, name, oid } of entries) {
    parts.push(utf8(`${mode} `), name, nul, oidToBytes(oid));
  }
  return concatBytes(parts);
}

/** Git's order: by bytes, a tree's name as if it ended in `/` (`base_name_compare`). */
export function compareEntries(a: TreeEntry, b: TreeEntry): number {
  const length = Math.min(a.name.length, b.name.length);
  for (let i = 0; i < length; i++) {
    const difference = (a.name[i] ?? 0) - (b.name[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return after(a, length) - after(b, length);
}

export function isTreeEntry(entry: TreeEntry): boolean {
  return (parseInt(entry.mode, 8) & 0o170000) === 0o040000;
}

/** A link to a commit of another repository (a submodule): its object is not in this one. */
export function isGitlink(entry: TreeEntry): boolean {
  return (parseInt(entry.mode, 8) & 0o170000) === 0o160000;
}

/** The name as text: UTF-8, or one character a byte where it is not that. */
export function entryName(entry: TreeEntry): string {
  return textOf(entry.name);
}

const nul = new Uint8Array(1);

function after(entry: TreeEntry, index: number): number {
  return index < entry.name.length ? (entry.name[index] ?? 0) : isTreeEntry(entry) ? 0x2f : 0;
}
