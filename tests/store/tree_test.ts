import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  commitInfo,
  diffTrees,
  initRepository,
  isAncestor,
  listFiles,
  openRepository,
  parseOid,
  readPath,
  resolveCommit,
  textOf,
  utf8,
  writeCommit,
  writeTree,
} from "../../store/mod.ts";
import type { ObjectReader, Oid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";

const who = { name: "Zoë", email: "z@example.test", when: 1_700_000_000, zone: "+0130" };

realTest("edits of paths become the tree that git's own index gives", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const first = await writeTree(
    repository,
    undefined,
    new Map([
      ["a", utf8("1")],
      ["a.b", utf8("2")],
      ["a-b/x", utf8("3")],
      ["zones/deep/er/example.test", utf8("4")],
      ["zones/ä.test", utf8("5")],
    ]),
  );
  const commit = await writeCommit(repository, {
    tree: first,
    parents: [],
    author: who,
    committer: who,
    message: "ü\n",
  });
  await repository.sync();
  ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: commit })).ok);
  await run("git", ["clone", "-q", repository.path, `${dir}/copy`]);
  // `git add` of the same files must give the same tree.
  await run("git", ["clone", "-q", "--no-checkout", repository.path, `${dir}/other`]);
  await git(`${dir}/other`, "--work-tree", `${dir}/copy`, "add", ".");
  equal((await git(`${dir}/other`, "write-tree")).trim(), first);
  deepEqual(
    (await listFiles(repository, commit)).map((file) => file.path),
    [
      "a-b/x",
      "a.b",
      "a",
      "zones/deep/er/example.test",
      "zones/ä.test",
    ].sort((a, b) => (a < b ? -1 : 1)),
  );
  deepEqual((await listFiles(repository, commit, "zones/deep")).map((file) => file.path), [
    "zones/deep/er/example.test",
  ]);
  deepEqual(await listFiles(repository, commit, "nothing"), []);
  equal(textOf(await readPath(repository, commit, "zones/ä.test") ?? new Uint8Array()), "5");
  equal(await readPath(repository, commit, "zones/deep"), undefined);
  equal(await readPath(repository, commit, "a/b"), undefined);

  // A file becomes a folder, a folder a file, an only file goes with its folder.
  const second = await writeTree(
    repository,
    commit,
    new Map([["a/new", utf8("6")], ["a-b", utf8("7")], ["zones/deep/er/example.test", undefined], [
      "none",
      undefined,
    ]]),
  );
  equal(
    await git(repository.path, "ls-tree", "-r", "--name-only", "-z", second),
    "a-b\0a.b\0a/new\0zones/ä.test\0",
  );
  deepEqual(
    (await diffTrees(repository, commit, second)).map((change) => [change.path, !!change.old, !!change.new]),
    [
      ["a", true, false],
      ["a-b", false, true],
      ["a-b/x", true, false],
      ["a/new", false, true],
      ["zones/deep/er/example.test", true, false],
    ],
  );
  const info = await commitInfo(repository, commit);
  deepEqual([info.tree, info.parents, info.author, info.message], [first, [], who, "ü\n"]);
  equal(
    (await git(repository.path, "log", "-1", "--format=%an|%ae|%ad|%s", "main")).trim().slice(0, 19),
    "Zoë|z@example.test|",
  );
  equal(
    await writeTree(
      repository,
      second,
      new Map([...(await listFiles(repository, second))].map((f) => [f.path, undefined])),
    ),
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
  );
  await assertGitAccepts(repository.path);
});

realTest("an edit keeps other entries' modes, and links", { needs: ["git"] }, async ({ dir }) => {
  await run("git", ["init", "-q", `${dir}/w`]);
  await Deno.writeTextFile(`${dir}/w/run`, "x");
  await Deno.chmod(`${dir}/w/run`, 0o755);
  await Deno.symlink("run", `${dir}/w/link`);
  await git(`${dir}/w`, "add", ".");
  await git(`${dir}/w`, "commit", "-q", "-m", "m");
  const repository = await openRepository(`${dir}/w`);
  const head = await repository.refs.get("HEAD") as Oid;
  const tree = await writeTree(repository, head, new Map([["run", utf8("y")], ["file", utf8("z")]]));
  deepEqual((await listFiles(repository, tree)).map((file) => `${file.mode} ${file.path}`), [
    "100644 file",
    "120000 link",
    "100755 run",
  ]);
  await assertGitAccepts(`${dir}/w`);
});

realTest("an unchanged folder is never read by a comparison", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const files = new Map<string, Uint8Array>();
  for (let i = 0; i < 50; i++) files.set(`zones/${i}/x.test`, utf8(`${i}`));
  const a = await writeTree(repository, undefined, files);
  const b = await writeTree(repository, a, new Map([["zones/7/x.test", utf8("changed")]]));
  let reads = 0;
  const counting: ObjectReader = {
    has: (oid) => repository.has(oid),
    read: (oid) => (reads++, repository.read(oid)),
  };
  const changes = await diffTrees(counting, a, b);
  deepEqual(changes.map((change) => change.path), ["zones/7/x.test"]);
  // The two trees resolved, then root, zones and zones/7 on both sides.
  equal(reads, 8);
});

realTest("paths that a tree may not hold are refused", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  for (
    const path of [
      "",
      "/a",
      "a/",
      "a//b",
      "../a",
      "a/./b",
      ".git/x",
      "x/.GIT/y",
      "git~1",
      ".git. ",
      ".g\u200cit",
      "a\0b",
    ]
  ) {
    await rejects(
      writeTree(repository, undefined, new Map([[path, utf8("x")]])),
      { code: "malformed" },
      path,
    );
  }
});

realTest("ancestry and tags lead to the commits that git says", { needs: ["git"] }, async ({ dir }) => {
  await run("git", ["init", "-q", "-b", "main", `${dir}/w`]);
  const commit = async (text: string) => {
    await git(`${dir}/w`, "commit", "-q", "--allow-empty", "-m", text);
    return parseOid((await git(`${dir}/w`, "rev-parse", "HEAD")).trim()) as Oid;
  };
  const root = await commit("root");
  const left = await commit("left");
  await git(`${dir}/w`, "checkout", "-q", "-b", "side", root);
  const right = await commit("right");
  await git(`${dir}/w`, "merge", "-q", "-m", "merge", left);
  await git(`${dir}/w`, "tag", "-a", "-m", "t", "t");
  await git(`${dir}/w`, "tag", "-a", "-m", "tt", "tt", "t");
  const repository = await openRepository(`${dir}/w`);
  const merge = await repository.refs.get("refs/heads/side") as Oid;
  equal(await resolveCommit(repository, await repository.refs.get("refs/tags/tt") as Oid), merge);
  deepEqual((await commitInfo(repository, merge)).parents, [right, left]);
  for (
    const [a, b, expected] of [[root, merge, true], [left, merge, true], [left, right, false], [
      merge,
      root,
      false,
    ], [root, root, true]] as const
  ) {
    equal(await isAncestor(repository, a, b), expected);
  }
});
