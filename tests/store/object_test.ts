import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  decodeCommit,
  decodeTag,
  decodeTree,
  encodeCommit,
  encodeTag,
  encodeTree,
  formatPerson,
  newSha1,
  objectOid,
  oidFromBytes,
  oidToBytes,
  openRepository,
  parseOid,
  parsePerson,
  utf8,
} from "../../store/mod.ts";
import type { GitObject, Oid } from "../../store/mod.ts";
import { decodeHeaders, encodeHeaders } from "../../store/object/headers.ts";
import { decodeLoose, encodeLoose } from "../../store/object/loose.ts";
import { realTest, run } from "../tools/real.ts";
import { git, gitBytes } from "./git_fixture.ts";

const oid = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => oidFromBytes(bytes));
const someOid = parseOid("0123456789abcdef0123456789abcdef01234567") as Oid;

Deno.test("an id's text and bytes are one", () => {
  fc.assert(fc.property(oid, (id) => {
    equal(oidFromBytes(oidToBytes(id)), id);
    equal(parseOid(id), id);
  }));
  for (
    const text of [
      "",
      "0".repeat(39),
      "0".repeat(41),
      "A".repeat(40),
      `${"0".repeat(39)}g`,
      `${"0".repeat(40)}\n`,
    ]
  ) {
    equal(parseOid(text), undefined);
  }
});

Deno.test("any tree entries, bytes as names, come back as the same bytes", () => {
  const name = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => bytes.map((byte) => byte || 1));
  const mode = fc.constantFrom("100644", "100755", "040000", "40000", "120000", "160000", "100664", "0");
  fc.assert(fc.property(fc.array(fc.record({ mode, name, oid })), (entries) => {
    const content = encodeTree(entries);
    deepEqual(encodeTree(decodeTree(content)), content);
    deepEqual(decodeTree(content).map((entry) => ({ ...entry, name: new Uint8Array(entry.name) })), entries);
  }));
});

Deno.test("whatever can be read as headers comes back as the same bytes", () => {
  const line = fc.constantFrom(
    "tree x",
    "author",
    " folded",
    " ",
    "gpgsig a",
    "\xe4 \xff",
    "",
    "a  b",
    "body",
  );
  fc.assert(fc.property(fc.array(line, { maxLength: 12 }), fc.boolean(), (lines, ended) => {
    const content = Uint8Array.from(
      lines.join("\n") + (ended ? "\n" : ""),
      (character) => character.charCodeAt(0),
    );
    let block;
    try {
      block = decodeHeaders(content);
    } catch {
      return;
    }
    deepEqual(encodeHeaders(block), content);
  }));
});

Deno.test("a commit with signature, encoding, merged tag and an odd time zone keeps every byte", () => {
  const text = [
    `tree ${someOid}`,
    `parent ${someOid}`,
    `parent ${someOid}`,
    "author A U Thor <a@example.test> 1700000000 -0000",
    "committer  <> 1 +051800",
    "encoding ISO-8859-1",
    "gpgsig -----BEGIN PGP SIGNATURE-----",
    " ",
    "  two spaces",
    " -----END PGP SIGNATURE-----",
    `mergetag object ${someOid}`,
    " type commit",
    "novalue",
    "",
    "gr\xfc\xdfe\n\n \n",
  ].join("\n");
  const content = Uint8Array.from(text, (character) => character.charCodeAt(0));
  const commit = decodeCommit(content);
  deepEqual(encodeCommit(commit), content);
  equal(commit.parents.length, 2);
  deepEqual(commit.headers.map((header) => header.name).slice(5), [
    "encoding",
    "gpgsig",
    "mergetag",
    "novalue",
  ]);
  equal(new TextDecoder().decode(commit.headers[6]?.value).split("\n")[2], " two spaces");
  equal(parsePerson(commit.committer)?.zone, "+051800");
  for (
    const bad of [
      "",
      "tree x\n\n",
      `tree ${someOid}\n\n`,
      `tree ${someOid}`,
      " x\n",
      `tree ${someOid}\nparent x\n\n`,
    ]
  ) {
    throws(() => decodeCommit(utf8(bad)), { code: "malformed" }, bad);
  }
});

Deno.test("a person is read as it was written", () => {
  const zone = fc.constantFrom("+0000", "-0330", "+1400");
  const word = fc.string({ maxLength: 12 }).map((text) => text.replace(/[^\w äß.,'-]/g, "").trim());
  fc.assert(fc.property(word, word, fc.nat(), zone, (name, email, when, zone) => {
    deepEqual(parsePerson(utf8(formatPerson({ name, email, when, zone }))), { name, email, when, zone });
  }));
  equal(formatPerson({ name: "a\n<b>", email: "c>\0", when: 1, zone: "+0000" }), "ab <c> 1 +0000");
  for (const line of ["", "x", "a <b> 1", "a <b 1 +0000", "a b> 1 +0000", "a <b> x +0000", "a <b> 1 0000"]) {
    equal(parsePerson(utf8(line)), undefined, line);
  }
});

Deno.test("a loose object's header must be git's and fit its content", () => {
  const object: GitObject = { kind: "blob", content: utf8("hello") };
  deepEqual(decodeLoose(encodeLoose(object)), object);
  for (
    const text of [
      "blob 5\0hell",
      "blob 05\0hello",
      "blob 5hello",
      "blub 5\0hello",
      "blob -1\0",
      "",
      "blob 5\0hello!",
    ]
  ) {
    throws(() => decodeLoose(utf8(text)), { code: "malformed" }, text);
  }
});

realTest(
  "every object of a repository that git made is encoded as it was decoded",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = `${dir}/w`;
    await run("git", ["init", "-q", "-b", "main", work]);
    await Deno.mkdir(`${work}/sub/deep`, { recursive: true });
    await Deno.writeTextFile(`${work}/sub/deep/ä ö`, "x");
    await Deno.writeTextFile(`${work}/sub-`, "y");
    await Deno.symlink("sub-", `${work}/link`);
    await git(work, "add", ".");
    await git(work, "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "-q", "-m", "grüße");
    await git(work, "checkout", "-q", "-b", "side");
    await git(work, "commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "");
    await git(work, "tag", "-a", "-m", "signed?", "v1");
    await git(work, "checkout", "-q", "main");
    await git(work, "commit", "-q", "--allow-empty", "-m", "other");
    await git(work, "merge", "-q", "-m", "merged", "v1");
    await git(work, "tag", "-a", "-m", "", "v2", "v1");
    // Oddities that git takes when asked to: no blank line, header without value, NUL in the body.
    const tree = (await git(work, "rev-parse", "HEAD^{tree}")).trim();
    for (const rest of ["", "odd\n", "gpgsig a\n b\n  c\n\nbody", "\n\0body"]) {
      const content = utf8(`tree ${tree}\nauthor a <b> 1 +0000\ncommitter a <b> 1 -0999\n${rest}`);
      await gitBytes(work, ["hash-object", "-w", "--literally", "-t", "commit", "--stdin"], content);
    }
    const repository = await openRepository(work);
    const listing = await git(work, "cat-file", "--batch-all-objects", "--batch-check");
    const kinds = new Set<string>();
    for (const line of listing.trim().split("\n")) {
      const [id = "", kind = ""] = line.split(" ");
      kinds.add(kind);
      const object = await repository.read(parseOid(id) as Oid);
      ok(object !== undefined);
      equal(object.kind, kind);
      deepEqual(object.content, await gitBytes(work, ["cat-file", kind, id]));
      equal(objectOid(object.kind, object.content, newSha1), id);
      if (kind === "tree") deepEqual(encodeTree(decodeTree(object.content)), object.content);
      if (kind === "commit") deepEqual(encodeCommit(decodeCommit(object.content)), object.content);
      if (kind === "tag") deepEqual(encodeTag(decodeTag(object.content)), object.content);
    }
    deepEqual([...kinds].sort(), ["blob", "commit", "tag", "tree"]);
  },
);
