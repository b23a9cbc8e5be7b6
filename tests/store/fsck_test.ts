import { deepEqual, equal, ok } from "node:assert/strict";
import { encodeTree, fsckObject, parseOid, utf8 } from "../../store/mod.ts";
import type { ObjectKind, Oid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { git, gitBytes } from "./git_fixture.ts";

const id = parseOid("4b825dc642cb6eb9a060e54bf8d69288fbee4904") as Oid;
const emptyBlob = parseOid("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391") as Oid;
const who = "a <b@example.test> 1700000000 +0000";

Deno.test("the faults git names are found under git's names", () => {
  for (const [name, kind, content] of faulty) equal(fsckObject({ kind, content })?.id, name, show(content));
});

Deno.test("what git takes is taken", () => {
  // Old histories have it; git informs and takes it.
  equal(fsckObject({ kind: "tree", content: tree(["100664", "a"]) }), undefined);
  for (const [kind, content] of sound) deepEqual(fsckObject({ kind, content }), undefined, show(content));
});

realTest("git judges the same objects the same way", { needs: ["git"] }, async ({ dir }) => {
  await run("git", ["init", "-q", dir]);
  for (const kind of ["tree", "blob"]) {
    await gitBytes(dir, ["hash-object", "-w", "-t", kind, "--stdin"], new Uint8Array());
  }
  const written: { content: Uint8Array; oid: string; id: string | undefined }[] = [];
  for (const [name, kind, content] of faulty) {
    written.push({ content, oid: await hash(kind, content), id: name });
  }
  for (const [kind, content] of sound) {
    written.push({ content, oid: await hash(kind, content), id: undefined });
  }
  const outcome = await run("git", ["-C", dir, "fsck", "--strict", "--no-dangling"], { check: false });
  const report = outcome.stdout + outcome.stderr;
  for (const { content, oid, id } of written) {
    const line = report.split("\n").filter((line) => line.includes(oid) && /^(error|warning) in /.test(line));
    if (id === undefined) deepEqual(line, [], show(content));
    else if (!ours.has(id)) {
      ok(line.some((each) => each.includes(`${id}:`)) || unreadable(report, oid), `${id}\n${report}`);
    }
  }

  async function hash(kind: ObjectKind, content: Uint8Array): Promise<string> {
    const out = await gitBytes(dir, ["hash-object", "-w", "--literally", "-t", kind, "--stdin"], content);
    await git(dir, "cat-file", "-e", new TextDecoder().decode(out).trim());
    return new TextDecoder().decode(out).trim();
  }
});

/** Stricter than git 2.39, which only informs of these. */
const ours = new Set(["badFilemode", "badHeaderContinuation"]);

/** Some objects git cannot even parse, and says so without the name of the fault. */
function unreadable(report: string, oid: string): boolean {
  return report.split("\n").some((line) =>
    line.includes(oid) && /could not be parsed|broken|unable to parse|error in/.test(line)
  );
}

function tree(...entries: [mode: string, name: string | Uint8Array, oid?: Oid][]): Uint8Array {
  return encodeTree(entries.map(([mode, name, oid = mode.endsWith("40000") ? id : emptyBlob]) => ({
    mode,
    name: typeof name === "string" ? utf8(name) : name,
    oid,
  })));
}

function commit(author = who, committer = who, rest = "\nmessage\n"): Uint8Array {
  return utf8(`tree ${id}\nauthor ${author}\ncommitter ${committer}\n${rest}`);
}

function show(content: Uint8Array): string {
  return JSON.stringify(new TextDecoder("latin1").decode(content));
}

const faulty: [string, ObjectKind, Uint8Array][] = [
  ["treeNotSorted", "tree", tree(["100644", "b"], ["100644", "a"])],
  ["treeNotSorted", "tree", tree(["40000", "a"], ["100644", "a.b"])],
  ["duplicateEntries", "tree", tree(["100644", "a"], ["100644", "a"])],
  ["duplicateEntries", "tree", tree(["100644", "a"], ["40000", "a"])],
  ["duplicateEntries", "tree", tree(["100644", "a"], ["100644", "a.b"], ["40000", "a"])],
  ["hasDot", "tree", tree(["40000", "."])],
  ["hasDotdot", "tree", tree(["40000", ".."])],
  ["hasDotgit", "tree", tree(["40000", ".git"])],
  ["hasDotgit", "tree", tree(["40000", ".GiT"])],
  ["hasDotgit", "tree", tree(["40000", "GIT~1"])],
  ["hasDotgit", "tree", tree(["40000", ".git . "])],
  ["hasDotgit", "tree", tree(["40000", ".git::$INDEX_ALLOCATION"])],
  ["hasDotgit", "tree", tree(["40000", ".g\u200cit"])],
  ["hasDotgit", "tree", tree(["40000", "\ufeff.git"])],
  ["hasDotgit", "tree", tree(["40000", "a\\.git"])],
  ["fullPathname", "tree", tree(["100644", "a/b"])],
  ["zeroPaddedFilemode", "tree", tree(["040000", "a"])],
  ["badFilemode", "tree", tree(["100600", "a"])],
  ["badFilemode", "tree", tree(["60000", "a"])],
  ["nullSha1", "tree", tree(["100644", "a", "0".repeat(40) as Oid])],
  ["gitmodulesSymlink", "tree", tree(["120000", ".gitmodules"])],
  ["badTree", "tree", utf8("100644 a\0short")],
  ["badTree", "tree", utf8("100644")],
  ["missingTree", "commit", utf8(`author ${who}\ncommitter ${who}\n\nm`)],
  ["badTreeSha1", "commit", utf8(`tree abc\nauthor ${who}\ncommitter ${who}\n\nm`)],
  ["badParentSha1", "commit", utf8(`tree ${id}\nparent abc\nauthor ${who}\ncommitter ${who}\n\nm`)],
  ["missingAuthor", "commit", utf8(`tree ${id}\ncommitter ${who}\n\nm`)],
  ["missingCommitter", "commit", utf8(`tree ${id}\nauthor ${who}\n\nm`)],
  ["multipleAuthors", "commit", utf8(`tree ${id}\nauthor ${who}\nauthor ${who}\ncommitter ${who}\n\nm`)],
  ["missingEmail", "commit", commit("a")],
  ["missingNameBeforeEmail", "commit", commit("<b> 1 +0000")],
  ["missingSpaceBeforeEmail", "commit", commit("a<b> 1 +0000")],
  ["badName", "commit", commit("a> <b> 1 +0000")],
  ["badEmail", "commit", commit("a <b 1 +0000")],
  ["badEmail", "commit", commit("a <b<c> 1 +0000")],
  ["missingSpaceBeforeDate", "commit", commit("a <b>1 +0000")],
  ["zeroPaddedDate", "commit", commit("a <b> 01 +0000")],
  ["badDate", "commit", commit("a <b> x +0000")],
  ["badDateOverflow", "commit", commit("a <b> 99999999999999999999 +0000")],
  ["badTimezone", "commit", commit("a <b> 1 0000")],
  ["badTimezone", "commit", commit("a <b> 1 +00000")],
  ["badTimezone", "commit", commit(who, "a <b> 1 +0x00")],
  ["nulInHeader", "commit", commit("a\0 <b> 1 +0000")],
  ["nulInCommit", "commit", commit(who, who, "\na\0b")],
  ["unterminatedHeader", "commit", utf8(`tree ${id}\nauthor ${who}\ncommitter ${who}`)],
  ["badHeaderContinuation", "commit", commit(who, who, "extra\n more\n\nm")],
  ["badHeaderContinuation", "tag", utf8(`object ${id}\ntype tree\ntag x\nextra\n more\n\nm`)],
  ["missingObject", "tag", utf8(`type tree\ntag x\n\nm`)],
  ["badObjectSha1", "tag", utf8(`object abc\ntype tree\ntag x\n\nm`)],
  ["missingTypeEntry", "tag", utf8(`object ${id}\ntag x\n\nm`)],
  ["badType", "tag", utf8(`object ${id}\ntype branch\ntag x\n\nm`)],
  ["missingTagEntry", "tag", utf8(`object ${id}\ntype tree\ntagger ${who}\n\nm`)],
  ["missingEmail", "tag", utf8(`object ${id}\ntype tree\ntag x\ntagger a\n\nm`)],
];

const sound: [ObjectKind, Uint8Array][] = [
  ["blob", utf8("anything\0")],
  ["tree", new Uint8Array()],
  ["tree", tree(["100644", "a.b"], ["40000", "a"], ["100644", "a0"])],
  ["tree", tree(["100755", ".gitx"], ["120000", "git"], ["100644", "git~2"])],
  ["commit", commit()],
  ["commit", commit(" <> 0 -0000", "ä <ö> 9223372036854775807 +9999")],
  ["commit", commit(who, who, "gpgsig x\n y\n\nm")],
  ["tag", utf8(`object ${id}\ntype tree\ntag x\ntagger ${who}\n\nm`)],
];
