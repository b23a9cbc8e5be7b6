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
  return isHfsAlias(name, ".git") || latin1(name).split("\\").some((part) => {
    const plain = withoutTail(part).toLowerCase();
    return plain === ".git" || plain === "git~1";
  });
}

/** `.gitmodules` and its aliases: clients run what it says (CVE-2018-11235, CVE-2018-17456). */
export function isDotGitmodules(name: Uint8Array): boolean {
  return isHfsAlias(name, ".gitmodules") ||
    latin1(name).split("\\").some((part) => isNtfsAlias(part, "gitmodules", "gi7eba"));
}

/** `.gitattributes` and its aliases: clients' readers of it have overflowed (CVE-2022-23521). */
export function isDotGitattributes(name: Uint8Array): boolean {
  return isHfsAlias(name, ".gitattributes") || isNtfsAlias(latin1(name), "gitattributes", "gi7d29");
}

const slash = 0x2f;

/** A stream's name begins at a colon; dots and spaces at the end are dropped. */
function withoutTail(text: string): string {
  return text.replace(/:.*$/s, "").replace(/[. ]+$/, "");
}

/**
 * `.NAME` as NTFS may store it: itself, the short names `XXXXXX~1` to `~4` of its first six letters, and what it makes of
 * them when those are taken: letters of a hash, of which `~` and digits take the last places (git's
 * `is_ntfs_dot_generic`).
 */
function isNtfsAlias(text: string, name: string, hashed: string): boolean {
  const plain = withoutTail(text).toLowerCase();
  if (plain === `.${name}`) return true;
  const short = /^([^~]{0,6})~([1-9][0-9]*)$/.exec(plain);
  if (short === null || plain.length !== 8) return false;
  const [, letters = "", digits = ""] = short;
  return hashed.startsWith(letters) || (letters === name.slice(0, 6) && /^[1-4]$/.test(digits));
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
