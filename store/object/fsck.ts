import type { GitObject, Oid } from "../types.ts";
import { latin1 } from "./bytes.ts";
import { isDotGit, isDotGitattributes, isDotGitmodules, printable } from "./entry_name.ts";
import type { SpecialFile } from "./fsck_special.ts";
import { isObjectKind } from "./loose.ts";
import { isPlainTree } from "./plain_tree.ts";
import { parseOid } from "./oid.ts";
import { compareEntries, decodeTree } from "./tree.ts";
import type { TreeEntry } from "./tree.ts";

/** A fault of an object's form, under the name that git gives it (git-fsck(1), "FSCK MESSAGES"). */
export interface FsckFault {
  readonly id: string;
  readonly message: string;
}

/**
 * What is wrong with an object's form: all that `git fsck --strict` takes for an error, and entry modes that git itself
 * never writes. The first fault, or none.
 *
 * @param onSpecial told of each blob that a tree names as a file that git obeys; its content is for `fsckSpecial` to
 *   judge, whether it came before the tree, comes after it, or was there already
 */
export function fsckObject(
  object: GitObject,
  onSpecial?: (file: SpecialFile, oid: Oid) => void,
): FsckFault | undefined {
  switch (object.kind) {
    case "blob":
      return undefined;
    case "tree":
      return fsckTree(object.content, onSpecial);
    case "commit":
      return fsckCommit(object.content);
    case "tag":
      return fsckTag(object.content);
  }
}

function fault(id: string, message: string): FsckFault {
  return { id, message };
}

function fsckTree(
  content: Uint8Array,
  onSpecial: ((file: SpecialFile, oid: Oid) => void) | undefined,
): FsckFault | undefined {
  if (isPlainTree(content)) return undefined;
  let entries: TreeEntry[];
  try {
    entries = decodeTree(content);
  } catch (error) {
    return fault("badTree", error instanceof Error ? error.message : String(error));
  }
  // A file `a` and a folder `a` are not neighbours in git's order when others (`a.b`, `a-`) stand between them.
  const names = new Set<string>();
  let previous: TreeEntry | undefined;
  for (const entry of entries) {
    const found = fsckEntry(entry);
    if (found !== undefined) return found;
    const name = latin1(entry.name);
    if (names.has(name)) {
      return fault("duplicateEntries", `the entry ${printable(entry.name)} is there twice`);
    }
    names.add(name);
    if (previous !== undefined && compareEntries(previous, entry) >= 0) {
      return fault("treeNotSorted", `the entry ${printable(entry.name)} is out of order`);
    }
    previous = entry;
    if (onSpecial !== undefined && entry.mode.startsWith("100")) {
      if (isDotGitmodules(entry.name)) onSpecial("gitmodules", entry.oid);
      if (isDotGitattributes(entry.name)) onSpecial("gitattributes", entry.oid);
    }
  }
  return undefined;
}

function fsckEntry({ mode, name, oid }: TreeEntry): FsckFault | undefined {
  const text = latin1(name);
  const called = printable(name);
  if (oid === nullOid) return fault("nullSha1", `the entry ${called} points to the null id`);
  if (name.length === 0) return fault("emptyName", "an entry without a name");
  if (text.includes("/")) return fault("fullPathname", `the entry ${called} contains a slash`);
  if (text === ".") return fault("hasDot", "an entry named .");
  if (text === "..") return fault("hasDotdot", "an entry named ..");
  if (isDotGit(name)) return fault("hasDotgit", `the entry ${called} stands for .git on some system`);
  if (mode.startsWith("0")) {
    return fault("zeroPaddedFilemode", `the mode ${mode} of ${called} has a leading zero`);
  }
  if (!knownModes.has(mode)) return fault("badFilemode", `the entry ${called} has mode ${mode}`);
  if (mode === "120000" && isDotGitmodules(name)) {
    return fault("gitmodulesSymlink", `${called} is a symbolic link`);
  }
  if (mode === "40000" || mode === "160000") {
    if (isDotGitmodules(name)) return fault("gitmodulesBlob", `${called} is not a file`);
    if (isDotGitattributes(name)) return fault("gitattributesBlob", `${called} is not a file`);
  }
  return undefined;
}

/** 100664 was written by early versions of git and is in old histories. */
const knownModes = new Set(["100644", "100755", "100664", "120000", "40000", "160000"]);
const nullOid = "0".repeat(40);

function fsckCommit(content: Uint8Array): FsckFault | undefined {
  const unreadable = fsckHeaderBytes(content);
  if (unreadable !== undefined) return unreadable;
  if (content.includes(0)) return fault("nulInCommit", "a commit message with a NUL");
  const lines = headerLines(content);
  const tree = lines.next();
  if (!tree.startsWith("tree ")) return fault("missingTree", "a commit that does not start with its tree");
  if (parseOid(tree.slice(5)) === undefined) {
    return fault("badTreeSha1", "a commit whose tree is not an object id");
  }
  while (lines.peek().startsWith("parent ")) {
    if (parseOid(lines.next().slice(7)) === undefined) {
      return fault("badParentSha1", "a commit with a parent that is not an object id");
    }
  }
  if (!lines.peek().startsWith("author ")) return fault("missingAuthor", "a commit without an author");
  let authors = 0;
  while (lines.peek().startsWith("author ")) {
    authors++;
    const found = fsckPerson(lines.next().slice(7));
    if (found !== undefined) return found;
  }
  if (authors > 1) return fault("multipleAuthors", "a commit with several authors");
  if (!lines.peek().startsWith("committer ")) {
    return fault("missingCommitter", "a commit without a committer");
  }
  return fsckPerson(lines.next().slice(10));
}

function fsckTag(content: Uint8Array): FsckFault | undefined {
  const unreadable = fsckHeaderBytes(content);
  if (unreadable !== undefined) return unreadable;
  const lines = headerLines(content);
  const object = lines.next();
  if (!object.startsWith("object ")) {
    return fault("missingObject", "a tag that does not start with its object");
  }
  if (parseOid(object.slice(7)) === undefined) {
    return fault("badObjectSha1", "a tag whose object is not an object id");
  }
  const type = lines.next();
  if (!type.startsWith("type ")) return fault("missingTypeEntry", "a tag without a type");
  if (!isObjectKind(type.slice(5))) return fault("badType", "a tag of an unknown type");
  const name = lines.next();
  if (!name.startsWith("tag ")) return fault("missingTagEntry", "a tag without a name");
  // Very old tags have no tagger (git's own v0.99).
  return lines.peek().startsWith("tagger ") ? fsckPerson(lines.next().slice(7)) : undefined;
}

/**
 * Git's `verify_headers`: no NUL before the blank line, and the last header ended. Stricter: a line that continues a
 * header follows one that has a value.
 */
function fsckHeaderBytes(content: Uint8Array): FsckFault | undefined {
  let hasValue = false;
  for (let i = 0; i < content.length; i++) {
    const byte = content[i];
    if (byte === 0) return fault("nulInHeader", "a NUL in the header");
    if (byte === 0x20) hasValue = true;
    if (byte !== 0x0a) continue;
    if (content[i + 1] === 0x0a) return undefined;
    if (content[i + 1] !== 0x20) hasValue = false;
    else if (!hasValue) {
      return fault("badHeaderContinuation", "a line that continues a header without a value");
    }
  }
  if (content.at(-1) === 0x0a) return undefined;
  return fault("unterminatedHeader", "a header without an end");
}

function headerLines(content: Uint8Array): { next(): string; peek(): string } {
  let at = 0;
  const lineAt = () => {
    const end = content.indexOf(0x0a, at);
    return latin1(content.subarray(at, end < 0 ? content.length : end));
  };
  return {
    peek: lineAt,
    next() {
      const line = lineAt();
      at = Math.min(content.length, at + line.length + 1);
      return line;
    },
  };
}

/** Git's `fsck_ident`, in its order of questions. */
function fsckPerson(line: string): FsckFault | undefined {
  if (line.startsWith("<")) {
    return fault("missingNameBeforeEmail", "a person without a name before the address");
  }
  const open = line.search(/[<>]/);
  if (open >= 0 && line[open] === ">") return fault("badName", "a person whose name contains >");
  if (open < 0) return fault("missingEmail", "a person without an address");
  if (line[open - 1] !== " ") {
    return fault("missingSpaceBeforeEmail", "a person without a space before the address");
  }
  const rest = line.slice(open + 1);
  const close = rest.search(/[<>]/);
  if (close < 0 || rest[close] !== ">") return fault("badEmail", "a person whose address has no end");
  const date = rest.slice(close + 1);
  if (!date.startsWith(" ")) {
    return fault("missingSpaceBeforeDate", "a person without a space before the date");
  }
  if (/^ 0[0-9]/.test(date)) return fault("zeroPaddedDate", "a person with a zero-padded date");
  const [, seconds] = /^ (\d+) /.exec(date) ?? [];
  if (seconds === undefined) return fault("badDate", "a person with a bad date");
  if (BigInt(seconds) > 0x7fffffffffffffffn) {
    return fault("badDateOverflow", "a person with a date beyond all time");
  }
  if (!/^ \d+ [+-]\d{4}$/.test(date)) return fault("badTimezone", "a person with a bad time zone");
  return undefined;
}
