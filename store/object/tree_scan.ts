/**
 * Going over a tree's entries without making an object of each. Hot when a pack is taken in (fsck, connectivity) and when
 * one is made (selection): a history has a tree for every commit and folder, all nearly the same.
 * Benchmark: tests/bench/transfer_bench.ts.
 */
import { StoreError } from "../types.ts";

/** `mode` as a number; the name lies at [nameAt, nameEnd), the id's 20 bytes at nameEnd + 1. */
export type VisitEntry = (mode: number, nameAt: number, nameEnd: number) => void;

/** Every entry in its order; what fsck would also refuse is visited as it is. @throws {StoreError} `malformed` */
export function scanTree(content: Uint8Array, visit: VisitEntry): void {
  let at = 0;
  while (at < content.length) {
    let mode = 0;
    let next = at;
    let byte = content[next++];
    while (byte !== 0x20) {
      if (byte === undefined) throw cutShort();
      // More digits than any mode has would be told as cut short or as not octal by what follows.
      if (byte < 0x30 || byte > 0x37 || next - at > 11) throw notOctal();
      mode = mode * 8 + byte - 0x30;
      byte = content[next++];
    }
    if (next - at < 2) throw notOctal();
    const nameEnd = content.indexOf(0, next);
    if (nameEnd < 0 || nameEnd + 21 > content.length) throw cutShort();
    visit(mode, next, nameEnd);
    at = nameEnd + 21;
  }
}

/** A folder's entry. */
export function isTreeMode(mode: number): boolean {
  return (mode & 0o170000) === 0o040000;
}

/** A link to a commit of another repository (a submodule): its object is not in this one. */
export function isGitlinkMode(mode: number): boolean {
  return (mode & 0o170000) === 0o160000;
}

function cutShort(): StoreError {
  return new StoreError("malformed", "a tree entry is cut short");
}

function notOctal(): StoreError {
  return new StoreError("malformed", "a tree entry's mode is not octal");
}
