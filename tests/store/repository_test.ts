import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  composeCommit,
  encodeTree,
  initRepository,
  openRepository,
  parseOid,
  utf8,
} from "../../store/mod.ts";
import type { Oid, Repository } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";

const absent = parseOid("1".repeat(40)) as Oid;

realTest("a new repository is one that git reads and writes", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const commit = await smallCommit(repository, "first");
  await repository.sync();
  deepEqual(await repository.refs.move({ name: "refs/heads/main", old: undefined, new: commit }), {
    ok: true,
    value: undefined,
  });
  equal((await git(repository.path, "log", "--format=%H %s")).trim(), `${commit} first`);
  equal(await git(repository.path, "show", "HEAD:example.test.zone"), "first");
  await assertGitAccepts(repository.path);
  await run("git", ["clone", "-q", repository.path, `${dir}/copy`]);
  equal(await Deno.readTextFile(`${dir}/copy/example.test.zone`), "first");
  const again = await initRepository(`${dir}/z.git`, { owner: true });
  equal(await again.refs.get("refs/heads/main"), commit);
  equal(await again.refs.get("HEAD"), commit);
  equal(await again.refs.head(), "refs/heads/main");
});

realTest("a move whose old value does not hold changes nothing", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const a = await smallCommit(repository, "a");
  const b = await smallCommit(repository, "b");
  const main = "refs/heads/main";
  ok((await repository.refs.move({ name: main, old: undefined, new: a })).ok);
  const stale = await repository.refs.move({ name: main, old: undefined, new: b });
  ok(!stale.ok && stale.error.code === "stale" && stale.error.actual === a);
  const stale2 = await repository.refs.move({ name: main, old: b, new: undefined });
  ok(!stale2.ok && stale2.error.code === "stale");
  const missing = await repository.refs.move({ name: main, old: a, new: absent });
  ok(!missing.ok && missing.error.code === "missing-object");
  equal(await repository.refs.get(main), a);
  ok((await repository.refs.move({ name: main, old: a, new: b })).ok);
  equal((await git(repository.path, "rev-parse", main)).trim(), b);
  await assertGitAccepts(repository.path);
});

realTest("of many writers with the same old value one wins", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const commits: Oid[] = [];
  for (let i = 0; i < 8; i++) commits.push(await smallCommit(repository, `c${i}`));
  const outcomes = await Promise.all(
    commits.map((commit) => repository.refs.move({ name: "refs/heads/x", old: undefined, new: commit })),
  );
  equal(outcomes.filter((outcome) => outcome.ok).length, 1);
  equal(await repository.refs.get("refs/heads/x"), commits[outcomes.findIndex((outcome) => outcome.ok)]);
  for (const outcome of outcomes) {
    if (!outcome.ok) ok(outcome.error.code === "stale" || outcome.error.code === "locked");
  }
});

realTest(
  "packed refs are read, hidden by loose ones, and dropped on deletion",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const a = await smallCommit(repository, "a");
    const b = await smallCommit(repository, "b");
    for (const name of ["refs/heads/main", "refs/heads/x/y", "refs/tags/t"]) {
      ok((await repository.refs.move({ name, old: undefined, new: a })).ok);
    }
    await git(repository.path, "tag", "-a", "-m", "m", "annotated", a);
    await git(repository.path, "pack-refs", "--all", "--prune");
    equal(await repository.refs.get("refs/heads/x/y"), a);
    ok((await repository.refs.move({ name: "refs/heads/main", old: a, new: b })).ok);
    equal(await repository.refs.get("refs/heads/main"), b);
    deepEqual([...(await repository.refs.list("refs/heads/")).entries()], [["refs/heads/main", b], [
      "refs/heads/x/y",
      a,
    ]]);
    ok((await repository.refs.move({ name: "refs/heads/x/y", old: a, new: undefined })).ok);
    ok((await repository.refs.move({ name: "refs/heads/main", old: b, new: undefined })).ok);
    deepEqual([...(await repository.refs.list()).keys()], ["refs/tags/annotated", "refs/tags/t"]);
    equal(
      (await git(repository.path, "for-each-ref", "--format=%(refname)")).trim(),
      "refs/tags/annotated\nrefs/tags/t",
    );
    equal((await git(repository.path, "rev-parse", "annotated^{}")).trim(), a);
    ok((await repository.refs.move({ name: "refs/heads/x", old: undefined, new: a })).ok);
    await assertGitAccepts(repository.path);
  },
);

realTest("a ref cannot stand where another needs a folder", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const a = await smallCommit(repository, "a");
  const create = (name: string) => repository.refs.move({ name, old: undefined, new: a });
  const code = async (name: string) => {
    const outcome = await create(name);
    return outcome.ok ? "ok" : outcome.error.code;
  };
  equal(await code("refs/heads/a/b"), "ok");
  equal(await code("refs/heads/a"), "conflict");
  equal(await code("refs/heads/a/b/c"), "conflict");
  await git(repository.path, "pack-refs", "--all", "--prune");
  equal(await code("refs/heads/a"), "conflict");
  equal(await code("refs/heads/a/b/c"), "conflict");
  await assertGitAccepts(repository.path);
});

realTest(
  "names that git refuses, or that lead elsewhere, are refused",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const a = await smallCommit(repository, "a");
    const names = [
      "refs/heads/../../x",
      "refs/heads/x.lock",
      "refs/heads/.x",
      "refs/heads//x",
      "refs/heads/x/",
      "/etc/x",
    ];
    names.push(
      "refs/heads/a..b",
      "refs/heads/a b",
      "refs/heads/a~1",
      "refs/heads/a^",
      "refs/heads/a:b",
      "refs/heads/a?",
    );
    names.push(
      "refs/heads/a*",
      "refs/heads/a[",
      "refs/heads/a\\b",
      "refs/heads/a@{b",
      "refs/heads/a.",
      "refs/heads/a\x7f",
    );
    names.push("refs/heads/a.lock/b", "refs/heads/\0", "refs/heads/a\n", "HEAD", "main", "refs", "refs/", "");
    for (const name of names) {
      const outcome = await repository.refs.move({ name, old: undefined, new: a });
      ok(!outcome.ok && outcome.error.code === "bad-name", JSON.stringify(name));
      if (name !== "HEAD") equal(await repository.refs.get(name), undefined);
      if (name.includes("\0")) continue;
      const checked = await run("git", ["check-ref-format", name], { check: false });
      ok(checked.code !== 0 || !name.startsWith("refs/"), `git accepts ${name}`);
    }
    for (const name of ["refs/heads/ä", "refs/heads/a@b", "refs/heads/a-b_c+d", "refs/x"]) {
      ok((await repository.refs.move({ name, old: undefined, new: a })).ok, name);
      equal((await git(repository.path, "rev-parse", name)).trim(), a);
    }
    const tooLong = await repository.refs.move({
      name: `refs/heads/${"x".repeat(251)}`,
      old: undefined,
      new: a,
    });
    ok(!tooLong.ok && tooLong.error.code === "bad-name");
  },
);

realTest("a held lock is waited for, then told", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const a = await smallCommit(repository, "a");
  const lock = `${repository.path}/refs/heads/main.lock`;
  await Deno.writeTextFile(lock, "");
  const outcome = await repository.refs.move({ name: "refs/heads/main", old: undefined, new: a });
  ok(!outcome.ok && outcome.error.code === "locked");
  deepEqual(await repository.refs.list(), new Map());
  // The owner of the repository removes what a killed run left.
  await Deno.writeTextFile(`${repository.path}/objects/${a.slice(0, 2)}/tmp_obj_x`, "half");
  await Deno.mkdir(`${repository.path}/objects/tmp_objdir-incoming-x/pack`, { recursive: true });
  const owned = await openRepository(repository.path, { owner: true });
  ok((await owned.refs.move({ name: "refs/heads/main", old: undefined, new: a })).ok);
  const left = await Array.fromAsync(Deno.readDir(`${repository.path}/objects`), (entry) => entry.name);
  deepEqual(left.filter((name) => name.startsWith("tmp")), []);
});

realTest(
  "a damaged loose object is told, not returned, and healed by a write",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const content = utf8("content of a blob");
    const oid = await repository.write("blob", content);
    const path = `${repository.path}/objects/${oid.slice(0, 2)}/${oid.slice(2)}`;
    const good = await Deno.readFile(path);
    const rotten = good.slice();
    rotten[good.length - 6] = (rotten[good.length - 6] ?? 0) ^ 0xff;
    for (
      const bytes of [
        new Uint8Array(),
        good.subarray(0, good.length - 3),
        rotten,
        new Uint8Array([...good, 0]),
      ]
    ) {
      await Deno.remove(path);
      await Deno.writeFile(path, bytes);
      if (bytes.length <= good.length) await rejects(repository.read(oid), { code: "corrupt" });
    }
    await Deno.writeFile(path, rotten);
    equal(await repository.write("blob", content), oid);
    deepEqual((await repository.read(oid))?.content, content);
    equal(await repository.read(absent), undefined);
    await assertGitAccepts(repository.path);
  },
);

realTest(
  "a folder that is no repository, or of another kind, is told",
  { needs: ["git"] },
  async ({ dir }) => {
    await rejects(openRepository(dir), { code: "missing" });
    await run("git", ["init", "-q", "--object-format=sha256", `${dir}/sha256`]);
    await rejects(openRepository(`${dir}/sha256`), { code: "malformed" });
    await run("git", ["init", "-q", `${dir}/plain`]);
    equal((await openRepository(`${dir}/plain`)).path, `${dir}/plain/.git`);
  },
);

async function smallCommit(repository: Repository, text: string): Promise<Oid> {
  const blob = await repository.write("blob", utf8(text));
  const tree = await repository.write(
    "tree",
    encodeTree([{ mode: "100644", name: utf8("example.test.zone"), oid: blob }]),
  );
  const who = "Test <test@example.test> 1700000000 +0000";
  return await repository.write(
    "commit",
    composeCommit({ tree, parents: [], author: who, committer: who, message: `${text}\n` }),
  );
}
