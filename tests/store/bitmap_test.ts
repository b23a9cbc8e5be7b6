/** Reachability bitmaps that a collection puts beside its pack: git takes them for its own, and so do clones from us. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { openRepository } from "../../store/mod.ts";
import type { CollectOptions } from "../../store/mod.ts";
import { type Bits, decodeEwah, encodeEwah, newBits, skipEwah } from "../../store/pack/ewah.ts";
import { isConsolidationDue } from "../../store/repository/collection_plan.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";
import { makeHistory } from "./pack_fixture.ts";
import { commits, fsck, gitV } from "./protocol/git_server.ts";
import { serving } from "./protocol/upload_server.ts";

const day = 86_400_000;
const history = { files: 60, commits: 320, changes: 3, lines: 8 };

realTest("git takes the bitmaps of a collection for its own", { needs: ["git"] }, async ({ dir }) => {
  const path = await withBranches(dir);
  await collect(path, { full: true });
  ok(await bitmapOf(path) !== undefined);
  await assertGitAccepts(path);
  for (const tip of ["main", "side", "merged", "v1^{}"]) {
    const outcome = await run("git", ["-C", path, "rev-list", "--test-bitmap", tip], { check: false });
    equal(outcome.code, 0, `${tip}: ${outcome.stderr}`);
  }
  const chosen = await run("git", ["-C", path, "rev-list", "--test-bitmap", "main"]);
  ok(/Found bitmap for/.test(chosen.stderr), chosen.stderr);
  for (
    const what of [["--all"], ["main"], ["merged"], ["main", "^main~200"], ["--all", "--filter=blob:none"]]
  ) {
    const ask = (...how: string[]) => git(path, "rev-list", "--count", "--objects", ...how, ...what);
    equal(await ask("--use-bitmap-index"), await ask(), what.join(" "));
  }
  await run("git", ["clone", "-q", "--mirror", `file://${path}`, `${dir}/theirs.git`]);
  await fsck(`${dir}/theirs.git`);
  deepEqual(await everything(`${dir}/theirs.git`), await everything(path));
});

realTest("clones from us by our bitmaps have everything", { needs: ["git"] }, async ({ dir }) => {
  const path = await withBranches(dir);
  await collect(path, { full: true });
  const repository = await openRepository(path);
  for (const reader of repository.packReaders?.() ?? []) ok(repository.bitmapFile?.(reader) !== undefined);
  repository.close();
  await commits(path, 3, "later");
  await serving(path, {}, async (url, sent) => {
    await gitV(2, ["clone", "-q", "--mirror", url, `${dir}/ours.git`]);
    await fsck(`${dir}/ours.git`);
    deepEqual(await everything(`${dir}/ours.git`), await everything(path));
    equal(sent[0], (await everything(path)).length);
  });
});

realTest("a bitmap goes with its pack, and another comes", { needs: ["git"] }, async ({ dir }) => {
  const path = await withBranches(dir);
  await collect(path, { full: true });
  const first = await bitmapOf(path);
  equal((await collect(path, { full: true })).packed, 0);
  equal(await bitmapOf(path), first);
  // One that was lost is made again, without the pack.
  await Deno.remove(`${path}/objects/pack/${first}`);
  equal((await collect(path, { full: true })).packed, 0);
  equal(await bitmapOf(path), first);
  await commits(path, 3, "later");
  await collect(path, { full: true });
  const second = await bitmapOf(path);
  ok(second !== undefined && second !== first);
  await assertGitAccepts(path);
});

realTest("a bitmap that a kill left without its pack is swept", { needs: ["git"] }, async ({ dir }) => {
  const path = await withBranches(dir);
  await collect(path, { full: true });
  const bitmap = await bitmapOf(path) ?? "";
  const litter = [`pack-${"0".repeat(40)}.bitmap`, "tmp_bitmap_1", `pack-${"1".repeat(40)}.rev`];
  for (const name of litter) {
    await Deno.copyFile(`${path}/objects/pack/${bitmap}`, `${path}/objects/pack/${name}`);
  }
  (await openRepository(path, { owner: true })).close();
  const names = new Set(
    (await Array.fromAsync(Deno.readDir(`${path}/objects/pack`))).map(({ name }) => name),
  );
  deepEqual(litter.filter((name) => names.has(name)), []);
  ok(names.has(bitmap));
  await assertGitAccepts(path);
});

realTest("what a pack does not hold whole gets no bitmap", { needs: ["git"] }, async ({ dir }) => {
  const path = await withBranches(dir);
  await run("git", ["clone", "-q", "--bare", "--depth=20", `file://${path}`, `${dir}/shallow.git`]);
  await collect(`${dir}/shallow.git`, { full: true });
  equal(await bitmapOf(`${dir}/shallow.git`), undefined);
  await assertGitAccepts(`${dir}/shallow.git`);

  // What the larger pack builds on has to stay where it is.
  const kept = `${dir}/kept.git`;
  await makeHistory(kept, { files: 5, commits: 10, changes: 1, lines: 8 });
  await git(kept, "-c", "repack.writeBitmaps=false", "repack", "-adq");
  await Deno.writeTextFile(`${kept}/objects/pack/${await packOf(kept)}.keep`, "");
  await commits(kept, 200, "later");
  ok((await collect(kept, { full: true })).packed > 400);
  equal(await bitmapOf(kept), undefined);
  await assertGitAccepts(kept);
});

realTest(
  "one pack with bitmaps is made when more than a fifth has none",
  { needs: ["git"] },
  async ({ dir }) => {
    const path = await withBranches(dir);
    await git(path, "-c", "repack.writeBitmaps=false", "repack", "-adq");
    const repository = await openRepository(path, { owner: true });
    try {
      const few = { looseObjects: 1e6, packs: 1e6, unmappedObjects: 100 };
      const options = { graceMs: day, now: Date.now(), full: "when due" } as const;
      equal(await repository.collectionDue(few), true);
      await repository.collect(options);
      const first = await bitmapOf(path);
      ok(first !== undefined);
      equal(await repository.collectionDue(few), false);
      await commits(path, 5, "some");
      await repository.collect(options);
      equal(await bitmapOf(path), first, "a few more are walked through");
      await commits(path, 400, "many");
      await repository.collect(options);
      const second = await bitmapOf(path);
      ok(second !== undefined && second !== first);
      equal((await everything(path)).length, (await inPacks(path)).length);
    } finally {
      repository.close();
    }
  },
);

Deno.test("everything is put into one pack where much of it has no bitmap", () => {
  const pack = (count: number, more: object = {}) => ({
    base: `${count}`,
    count,
    resting: 0,
    garbage: 0,
    damaged: false,
    mapped: false,
    held: false,
    ...more,
  });
  const mapped = { mapped: true };
  equal(isConsolidationDue([], 0), false);
  equal(isConsolidationDue([], 1), true);
  equal(isConsolidationDue([pack(10)], 0), true);
  equal(isConsolidationDue([pack(1000, mapped), pack(200)], 50), false);
  equal(isConsolidationDue([pack(1000, mapped), pack(200)], 51), true);
  equal(isConsolidationDue([pack(1000, { mapped: true, damaged: true })], 0), true);
  equal(isConsolidationDue([pack(1000), pack(200, { held: true })], 0), false);
  equal(isConsolidationDue([pack(1000, { resting: 1 })], 0), false);
});

Deno.test("compressed bitmaps come back as they were", () => {
  const word = fc.oneof(
    fc.constantFrom<[number, number]>([0, 0], [0xffffffff, 0xffffffff], [0xffffffff, 0], [1, 0]),
    fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff)),
  );
  const runs = fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), word), { maxLength: 30 });
  fc.assert(fc.property(runs, fc.nat(63), (runs, less) => {
    const words = runs.flatMap(([times, pair]) => Array.from({ length: times }, () => pair).flat());
    const count = Math.max(0, words.length * 32 - less);
    const bits: Bits = newBits(count);
    for (let i = 0; i < count; i++) {
      if ((((words[i >>> 5] ?? 0) >>> (i & 31)) & 1) !== 0) {
        bits[i >>> 5] = (bits[i >>> 5] ?? 0) | (1 << (i & 31));
      }
    }
    const encoded = encodeEwah(bits, count);
    const view = new DataView(encoded.buffer);
    equal(skipEwah(view, 0, encoded.length), encoded.length);
    deepEqual(decodeEwah(view, 0, count), bits);
    ok(encoded.length <= bits.length * 4 + 12 + 8);
  }));
});

/** A history with a branch, a merge and an annotated tag; in packs as git left them. */
async function withBranches(dir: string): Promise<string> {
  const path = `${dir}/h.git`;
  await makeHistory(path, history);
  const tree = (await git(path, "rev-parse", "main~40^{tree}")).trim();
  const commitTree = async (...args: string[]) =>
    (await git(
      path,
      "-c",
      "user.name=a",
      "-c",
      "user.email=a@example.test",
      "commit-tree",
      "-m",
      "m",
      ...args,
    )).trim();
  const side = await commitTree(tree, "-p", "main~100");
  const merged = await commitTree("main^{tree}", "-p", "main", "-p", side);
  await git(path, "branch", "side", side);
  await git(path, "branch", "merged", merged);
  await git(
    path,
    "-c",
    "user.name=a",
    "-c",
    "user.email=a@example.test",
    "tag",
    "-a",
    "-m",
    "t",
    "v1",
    "main~10",
  );
  return path;
}

async function collect(path: string, options: Partial<CollectOptions>) {
  const repository = await openRepository(path, { owner: true });
  try {
    return await repository.collect({ graceMs: day, now: Date.now() + 2 * day, ...options });
  } finally {
    repository.close();
  }
}

async function bitmapOf(path: string): Promise<string | undefined> {
  const found = await named(path, ".bitmap");
  ok(found.length < 2, `bitmaps: ${found}`);
  return found[0];
}

async function packOf(path: string): Promise<string> {
  const [pack] = await named(path, ".pack");
  return (pack ?? "").replace(/\.pack$/, "");
}

async function named(path: string, ending: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(`${path}/objects/pack`)))
    .map(({ name }) => name).filter((name) => name.endsWith(ending));
}

async function everything(path: string): Promise<string[]> {
  const listed = await git(path, "rev-list", "--objects", "--all");
  return [...new Set(listed.trim().split("\n").map((line) => line.slice(0, 40)))].sort();
}

async function inPacks(path: string): Promise<string[]> {
  return (await git(path, "cat-file", "--batch-all-objects", "--batch-check")).trim().split("\n");
}
