import { latin1 } from "./bytes.ts";

/**
 * Whether a tree may hold this name: not empty, no `/`, not `.` or `..`, and not `.git` in any spelling that a file
 * system takes for it: case, NTFS short names, trailing dots and spaces, streams, code points that HFS+ ignores.
 */
export function isSafeEntryName(name: Uint8Array): boolean {
  if (name.length === 0 || name.includes(0) || name.includes(slash)) return false;
  const text = latin1(name);
  return text !== "." && text !== ".." && !isDotGit(name);
}

/** `.git` and its aliases. A backslash parts names on Windows, so each part is looked at (git's `verify_path`). */
export function isDotGit(name: Uint8Array): boolean {
  return isHfsAlias(name, ".git") ||
    latin1(name).split("\\").some((part) => isNtfsAlias(part, ".git", "git~1"));
}

/** `.gitmodules` and its aliases: a symbolic link under that name has led clients astray (CVE-2018-11235). */
export function isDotGitmodules(name: Uint8Array): boolean {
  return isHfsAlias(name, ".gitmodules") || isNtfsAlias(latin1(name), ".gitmodules", "gitmod~1") ||
    /^(gi7eba~[1-9]|gitmod~[1-4])$/i.test(latin1(name));
}

const slash = 0x2f;

function isNtfsAlias(text: string, name: string, short: string): boolean {
  // A stream name begins at a colon; dots and spaces at the end are dropped.
  const plain = text.replace(/:.*$/s, "").replace(/[. ]+$/, "").toLowerCase();
  return plain === name || plain === short;
}

function isHfsAlias(bytes: Uint8Array, name: string): boolean {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
  return text.replace(ignoredByHfs, "").toLowerCase() === name;
}

/** Zero-width characters and direction marks (git's `next_hfs_char`). */
const ignoredByHfs = /[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** For messages: the name as it may be printed. */
export function printable(name: Uint8Array): string {
  return JSON.stringify(latin1(name));
}
