/** Names that file systems take for those that git obeys, and what those files may say: ours beside git's own judgement. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { utf8 } from "../../store/object/bytes.ts";
import { fsckObject } from "../../store/object/fsck.ts";
import { fsckSpecial, type SpecialFile } from "../../store/object/fsck_special.ts";
import { parseGitConfig } from "../../store/object/git_config.ts";
import { encodeTree } from "../../store/object/tree.ts";
import type { Oid } from "../../store/types.ts";
import { realTest, run } from "../tools/real.ts";
import { gitBytes } from "./git_fixture.ts";

const blob = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391" as Oid;

/** Spellings of `.git`, and whether a tree may hold them. */
const dotGit: readonly (readonly [name: string, fault: string | undefined])[] = [
  ...[".git", ".GIT", ".Git", "git~1", "GIT~1", ".git ", ".git.", ".git...", ".git . ."].map((name) =>
    [name, "hasDotgit"] as const
  ),
  ...[".git::$INDEX_ALLOCATION", ".git:stream", ".git::", ".git .::x", "git~1::$DATA", "git~1."].map((name) =>
    [name, "hasDotgit"] as const
  ),
  ...["\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202e", "\u206a", "\u206f", "\ufeff"].flatMap((
    sign,
  ) =>
    [`.g${sign}it`, `${sign}.git`, `.git${sign}`, `.GI${sign}T`].map((name) => [name, "hasDotgit"] as const)
  ),
  ...["a\\.git", "a\\b\\.GIT ", "a\\git~1", ".git\\config"].map((name) => [name, "hasDotgit"] as const),
  [".", "hasDot"],
  ["..", "hasDotdot"],
  ["a/b", "fullPathname"],
  ["/", "fullPathname"],
  ...[
    ".gitx",
    ".gitignore",
    ".git~1",
    "git~2",
    "xgit~1",
    "git",
    " .git",
    ".g it",
    ".git_",
    "..git",
    "...",
    "-x",
  ]
    .map((name) => [name, undefined] as const),
];

/** Names that stand for `.gitmodules` or `.gitattributes` somewhere. */
const aliases: readonly (readonly [name: string, file: SpecialFile | undefined])[] = [
  ...[".gitmodules", ".GITMODULES", ".gitmodules ", ".gitmodules.", ".gitmodules .", ".gitmodules:$DATA"].map(
    (name) => [name, "gitmodules"] as const,
  ),
  ...[
    "GITMOD~1",
    "gitmod~4",
    "gitmod~1 ",
    "GI7EBA~1",
    "gi7eba~9",
    "gi7eb~10",
    "gi7e~123",
    "gi7eb~99",
  ].map((
    name,
  ) => [name, "gitmodules"] as const),
  [".git\u200cmodules", "gitmodules"],
  ["a\\.gitmodules", "gitmodules"],
  ...[".gitattributes", ".GitAttributes", ".gitattributes..", "gitatt~1", "GI7D29~1", "gi7d2~12"].map((
    name,
  ) => [name, "gitattributes"] as const),
  [".gitattri\u200dbutes", "gitattributes"],
  ...[
    "gitmod~5",
    "gitmod~0",
    "gi7eba~0",
    "gi7eba~",
    "gi7eba~12",
    "gi8eba~1",
    "gitmodules",
    ".gitmodule",
    "~1",
  ].map((
    name,
  ) => [name, undefined] as const),
];

const settings: readonly (readonly [fault: string | undefined, content: string])[] = [
  [undefined, ""],
  [undefined, '[submodule "a"]\n\tpath = a\n\turl = https://example.test/a.git\n'],
  [undefined, '[submodule "a/b"]\r\n url = ../b.git\r\n update = rebase ; comment\r\n'],
  [undefined, '[submodule "a"] url = ssh://git@example.test/a.git\n[other]\n\turl = -x\n'],
  [undefined, '[submodule "a..b"]\n path = x-\n'],
  [undefined, '[submodule "a"]\n url = git@example.test:a.git\n'],
  ["gitmodulesName", '[submodule ".."]\n\tpath = a\n'],
  ["gitmodulesName", '[submodule "../a"]\n\tpath = a\n'],
  ["gitmodulesName", '[submodule "a/../b"]\n\tpath = a\n'],
  ["gitmodulesName", '[submodule "a\\\\..\\\\b"]\n\tpath = a\n'],
  ["gitmodulesName", '[submodule "a/.."]\n\turl = x\n'],
  ["gitmodulesName", '[submodule ""]\n\tpath = a\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = -u./payload\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = "--upload-pack=x"\n'],
  ["gitmodulesUrl", '[SubModule "a"]\n\tURL = \\\n-x\n'],
  ["gitmodulesUrl", "[submodule.a]\n\turl = -x\n"],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = "https://exa%0ample.test/x"\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = "../%0ahost=evil.test/a"\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = "git://example.test/%0a"\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = https:///example.test/a\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = http::https://\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = ../../../../../:example.test/a\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = ../../../../../:localhost:8080/a\n'],
  ["gitmodulesUrl", '[submodule "a"]\n\turl = ./%0ahost=evil.test\n'],
  ["gitmodulesPath", '[submodule "a"]\n\tpath = -sub\n'],
  ["gitmodulesPath", '[submodule "a"]\n\tpath = x\n\tpath = --help\n'],
  ["gitmodulesUpdate", '[submodule "a"]\n\tupdate = !rm -rf /\n'],
  ["gitmodulesUpdate", '# c\n[submodule "a"]update=!x\n'],
  ["gitmodulesParse", '[submodule "a"\n\tpath = a\n'],
  ["gitmodulesParse", "path\n"],
  ["gitmodulesParse", '[submodule "a"]\n\tpath = "a\n'],
  ["gitmodulesParse", '[submodule "a"]\n\tpath = \\x\n'],
];

const attributes: readonly (readonly [fault: string | undefined, content: string])[] = [
  [undefined, "*.zone text eol=lf\n"],
  [undefined, `${"a".repeat(2047)}\n`],
  ["gitattributesLineLength", `${"a".repeat(2048)}\n`],
  ["gitattributesLineLength", `* text\n${"a".repeat(5000)}`],
];

Deno.test("no spelling of .git comes into a tree", () => {
  for (const [name, fault] of dotGit) equal(fsckObject(treeOf(name))?.id, fault, JSON.stringify(name));
});

Deno.test("a link, a folder or a submodule in the place of .gitmodules is refused, whatever its spelling", () => {
  for (const [name, file] of aliases) {
    equal(
      fsckObject(treeOf(name, "120000"))?.id,
      file === "gitmodules" ? "gitmodulesSymlink" : undefined,
      name,
    );
    for (const mode of ["40000", "160000"]) {
      equal(fsckObject(treeOf(name, mode))?.id, file === undefined ? undefined : `${file}Blob`, name);
    }
  }
});

Deno.test("the files that git obeys are found under every spelling", () => {
  for (const [name, file] of aliases) {
    const found: unknown[] = [];
    equal(fsckObject(treeOf(name), (...noted) => found.push(noted)), undefined);
    deepEqual(found, file === undefined ? [] : [[file, blob]], JSON.stringify(name));
  }
});

Deno.test("what .gitmodules may say is what git lets it say", () => {
  for (const [fault, content] of settings) {
    equal(fsckSpecial("gitmodules", utf8(content))?.id, fault, JSON.stringify(content));
  }
  equal(fsckSpecial("gitmodules", new Uint8Array((1 << 20) + 1))?.id, "gitmodulesLarge");
});

Deno.test("lines of .gitattributes are as short as git wants them", () => {
  for (const [fault, content] of attributes) equal(fsckSpecial("gitattributes", utf8(content))?.id, fault);
});

realTest("git judges the same names and files the same way", { needs: ["git"] }, async ({ dir }) => {
  await run("git", ["init", "-q", dir]);
  await gitBytes(dir, ["hash-object", "-w", "--stdin"], new Uint8Array());
  const expected = new Map<string, string | undefined>();
  const write = async (kind: string, content: Uint8Array) =>
    new TextDecoder().decode(
      await gitBytes(dir, ["hash-object", "-w", "--literally", "-t", kind, "--stdin"], content),
    ).trim();
  for (const [name, fault] of dotGit) expected.set(await write("tree", treeOf(name).content), fault);
  for (const [name, file] of aliases) {
    const fault = file === "gitmodules" ? "gitmodulesSymlink" : undefined;
    expected.set(await write("tree", treeOf(name, "120000").content), fault);
  }
  for (const [file, cases] of [["gitmodules", settings], ["gitattributes", attributes]] as const) {
    for (const [fault, content] of cases) {
      const oid = await write("blob", utf8(content));
      await write("tree", treeOf(`.${file}`, "100644", oid as Oid).content);
      expected.set(oid, fault);
    }
  }
  const outcome = await run("git", ["-C", dir, "fsck", "--strict", "--no-dangling"], { check: false });
  const report = (outcome.stdout + outcome.stderr).split("\n");
  for (const [oid, fault] of expected) {
    const lines = report.filter((line) => line.includes(oid));
    if (fault === undefined) deepEqual(lines.filter((line) => line.startsWith("error")), [], oid);
    // Of a .gitmodules that it cannot read git says nothing, or informs; we refuse it.
    else if (fault !== "gitmodulesParse") {
      ok(lines.some((line) => line.includes(`${fault}:`)), `${fault} ${oid}\n${lines.join("\n")}`);
    }
  }
});

realTest("a configuration is read as git reads it", { needs: ["git"] }, async ({ dir }) => {
  const text = [
    "\ufeff# remark",
    "[Core] ; remark",
    " one = a  b\t c  # remark",
    '\ttwo="quoted # ; "and not  \\',
    "  on the next line",
    "three",
    'Four = \\"\\\\\\t\\n',
    "[sub.Section]",
    "key-1=x",
    '[Sub "Sec\\"tion\\\\ \\x"] key = = y',
    "[empty]",
    "",
  ].join("\n");
  await Deno.writeTextFile(`${dir}/config`, text);
  const listed = (await run("git", ["config", "-f", `${dir}/config`, "-z", "--list"])).stdout;
  const theirs = listed.split("\0").slice(0, -1);
  const bytes = String.fromCharCode(...utf8(text));
  const ours = parseGitConfig(bytes)?.map(({ section, subsection, key, value }) =>
    [section, ...(subsection === undefined ? [] : [subsection]), key].join(".") +
    (value === undefined ? "" : `\n${value}`)
  );
  deepEqual(ours, theirs);
  ok(theirs.length >= 6);
  match(theirs.join("|"), /core\.three\|/);
});

function treeOf(name: string, mode = "100644", oid = blob) {
  return { kind: "tree" as const, content: encodeTree([{ mode, name: utf8(name), oid }]) };
}
