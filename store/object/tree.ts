import type { Oid } from "../types.ts";
import { concatBytes, latin1, textOf, utf8 } from "./bytes.ts";
import { oidFromBytes, oidToBytes } from "./oid.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "./tree_scan.ts";

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
  scanTree(content, (_, nameAt, nameEnd) => {
    entries.push({
      mode: latin1(content.subarray(at, nameAt - 1)),
      name: content.subarray(nameAt, nameEnd),
      oid: oidFromBytes(content, nameEnd + 1),
    });
    at = nameEnd + 21;
  });
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
  return isTreeMode(parseInt(entry.mode, 8));
}

/** A link to a commit of another repository (a submodule): its object is not in this one. */
export function isGitlink(entry: TreeEntry): boolean {
  return isGitlinkMode(parseInt(entry.mode, 8));
}

/** The name as text: UTF-8, or one character a byte where it is not that. */
export function entryName(entry: TreeEntry): string {
  return textOf(entry.name);
}

const nul = new Uint8Array(1);

function after(entry: TreeEntry, index: number): number {
  return index < entry.name.length ? (entry.name[index] ?? 0) : isTreeEntry(entry) ? 0x2f : 0;
}
