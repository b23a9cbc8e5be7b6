import { deepEqual, equal, ok } from "node:assert/strict";
import { initRepository, openRepository, utf8, writeCommit, writeTree } from "../../store/mod.ts";
import type { CollectOptions, Oid, Repository } from "../../store/mod.ts";
import { packsToRoll } from "../../store/repository/collection_plan.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git, gitBytes } from "./git_fixture.ts";
import { async, makeHistory } from "./pack_fixture.ts";

const limits = { packBytes: 1e8, objectBytes: 1e7, objects: 1e5, deltaDepth: 4096, deltaWork: 1e9 };
const who = { name: "a", email: "a@example.test", when: 1_700_000_000, zone: "+0000" };
const main = "refs/heads/main";
const day = 86_400_000;

realTest("loose objects and small packs become one pack", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const tips: Oid[] = [];
  for (let i = 0; i < 90; i++) {
    tips.push(await commitOn(repository, tips.at(-1), { [`f${i % 4}`]: `text ${i}\n` }));
  }
  await makeHistory(`${dir}/h.git`, { files: 20, commits: 60, changes: 2, lines: 20 });
  const other = await push(repository, `${dir}/h.git`, "refs/heads/other");
  await repository.sync();
  const before = await everything(repository.path);
  const report = await repository.collect({ graceMs: day, now: Date.now() });
  equal(report.packed, before.length);
  deepEqual(
    { ...report, packed: 0, removedLoose: 0 },
    {
      packed: 0,
      dropped: 0,
      removedPacks: 1,
      removedLoose: 0,
      putAside: [],
      unreadable: [],
      aborted: false,
    },
  );
  deepEqual(await counts(repository), { loose: 0, packs: 1 });
  deepEqual(await everything(repository.path), before);
  await readsAll(repository, before);
  await readsAll(await openRepository(repository.path), before);
  await assertGitAccepts(repository.path);
  equal((await git(repository.path, "rev-parse", "refs/heads/other")).trim(), other);
  // Nothing to do: nothing is written.
  equal((await repository.collect({ graceMs: day, now: Date.now() })).packed, 0);
  repository.close();
});

realTest(
  "what nothing reaches goes after its time of grace, all at once",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const first = await commitOn(repository, undefined, { a: "kept\n" });
    const second = await commitOn(repository, first, { a: "forgotten\n", b: "forgotten too\n" }, false);
    await makeHistory(`${dir}/h.git`, { files: 20, commits: 60, changes: 2, lines: 20 });
    const other = await push(repository, `${dir}/h.git`, "refs/heads/other");
    ok((await repository.refs.move({ name: "refs/heads/other", old: other, new: undefined })).ok);
    const young = await repository.collect({ graceMs: day, now: Date.now() });
    equal(young.dropped, 0);
    ok(await repository.has(second) && await repository.has(other));
    await assertGitAccepts(repository.path);
    await repository.sync();
    const late = await repository.collect({ graceMs: day, now: Date.now() + 2 * day });
    ok(late.dropped > 200, `${late.dropped} dropped`);
    for (const oid of [second, other]) equal(await repository.has(oid), false);
    ok(await repository.has(first));
    deepEqual(await counts(repository), { loose: 0, packs: 1 });
    await assertGitAccepts(repository.path);
    equal((await git(repository.path, "count-objects", "-v")).includes("garbage: 0"), true);
    repository.close();
  },
);

realTest(
  "a young object keeps what it refers to, however old that is",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    await commitOn(repository, undefined, { a: "reached\n" });
    const old = await commitOn(repository, undefined, { a: "old\n", b: "also old\n" }, false);
    for await (const path of looseFiles(repository)) await Deno.utime(path, 1e9, 1e9);
    const recent = await commitOn(repository, old, { a: "young\n" }, false);
    const report = await repository.collect({ graceMs: day, now: Date.now() });
    equal(report.dropped, 0);
    for (const oid of [recent, old]) ok(await repository.has(oid));
    equal(await git(repository.path, "show", `${recent}:b`), "also old\n");
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

realTest("an old object that a writer found again is young", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  await commitOn(repository, undefined, { a: "reached\n" });
  const loose = await repository.write("blob", utf8("found loose"));
  const packed = await repository.write("blob", utf8("found packed"));
  const asked = await repository.write("blob", utf8("asked for"));
  const lost = await repository.write("blob", utf8("never found"));
  await gitBytes(repository.path, ["pack-objects", "-q", "objects/pack/pack"], utf8(`${packed}\n`));
  await Deno.remove(`${repository.path}/objects/${packed.slice(0, 2)}/${packed.slice(2)}`);
  for await (const path of looseFiles(repository)) await Deno.utime(path, 1e9, 1e9);
  for await (const { name } of Deno.readDir(`${repository.path}/objects/pack`)) {
    await Deno.utime(`${repository.path}/objects/pack/${name}`, 1e9, 1e9);
  }
  const again = await openRepository(repository.path);
  await again.write("blob", utf8("found loose"));
  await again.write("blob", utf8("found packed"));
  ok(await again.has(asked));
  const report = await again.collect({ graceMs: day, now: Date.now() });
  equal(report.dropped, 1);
  for (const oid of [loose, packed, asked]) ok(await again.has(oid));
  equal(await again.has(lost), false);
  await assertGitAccepts(repository.path);
  again.close();
  repository.close();
});

realTest("what is named to be kept is kept", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const pending = await commitOn(repository, undefined, { a: "a pending move names me\n" }, false);
  const report = await collectAll(repository, { keep: () => [pending] });
  equal(report.dropped, 0);
  equal(await git(repository.path, "show", `${pending}:a`), "a pending move names me\n");
  equal((await collectAll(repository)).dropped, 3);
  repository.close();
});

realTest(
  "what a writer finds during the collection is kept, with all it refers to",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    await commitOn(repository, undefined, { a: "reached\n" });
    const old = await commitOn(repository, undefined, { a: "old\n", b: "also old\n" }, false);
    let found = false;
    const report = await collectAll(repository, {
      onProgress({ stage }) {
        if (stage !== "removing" || found) return;
        found = true;
        // Packs and loose files are going at this very moment.
        repository.has(old).then((has) => ok(has));
      },
    });
    ok(found);
    equal(report.dropped, 0);
    const next = await commitOn(repository, old, { a: "builds on it\n" }, false);
    ok((await repository.refs.move({ name: "refs/heads/next", old: undefined, new: next })).ok);
    await assertGitAccepts(repository.path);
    equal(await git(repository.path, "show", `${next}:b`), "also old\n");
    repository.close();
  },
);

realTest(
  "a push that counts on what nothing reaches any more is whole",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 20, commits: 60, changes: 2, lines: 20 });
    const repository = await initRepository(`${dir}/z.git`);
    const [tip, before] = (await git(`${dir}/h.git`, "rev-list", "main")).split("\n") as Oid[];
    if (tip === undefined || before === undefined) throw new Error("no history");
    await receive(repository, `${dir}/h.git`, `${before}\n`);
    // The objects are old, and no ref leads to them: a push comes that has only the newest commit.
    const quarantine = await repository.quarantine();
    const pack = await gitBytes(
      `${dir}/h.git`,
      ["pack-objects", "--stdout", "--revs", "--thin"],
      utf8(`${tip}\n^${before}\n`),
    );
    ok((await quarantine.receivePack(async([pack]), limits)).ok);
    ok(await repository.has(before));
    const report = await collectAll(repository);
    equal(report.dropped, 0);
    await quarantine.migrate();
    ok((await repository.refs.move({ name: main, old: undefined, new: tip })).ok);
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

realTest(
  "a reader, a cloning git and a writer go on while everything is collected",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 30, commits: 80, changes: 2, lines: 20 });
    const repository = await initRepository(`${dir}/z.git`);
    let tip = await push(repository, `${dir}/h.git`, main);
    const oids = await everything(repository.path);
    let going = true;
    const reading = (async () => {
      while (going) {
        await readsAll(repository, oids);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
    })();
    const cloning = run("git", ["clone", "-q", "--bare", `file://${repository.path}`, `${dir}/copy.git`]);
    for (let i = 0; i < 6; i++) {
      const collecting = repository.collect({ graceMs: 0, now: Date.now(), full: true });
      tip = await commitOn(repository, tip, { extra: `${i}\n` }, false);
      ok((await repository.refs.move({ name: main, old: await repository.refs.get(main), new: tip })).ok);
      await collecting;
    }
    going = false;
    await reading;
    await cloning;
    await assertGitAccepts(`${dir}/copy.git`);
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

realTest("git collects beside us, and we beside git", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  let tip: Oid | undefined;
  for (let i = 0; i < 5; i++) {
    tip = await commitOn(repository, tip, { [`f${i}`]: `${i}\n` });
    // With nothing spared, git takes the other's temporary files away too: each may fail, and say so, and nothing is lost.
    const theirs = run("git", ["-C", repository.path, "gc", "-q", "--prune=now"], { check: false });
    const ours = repository.collect({ graceMs: 0, now: Date.now() });
    const [outcome] = await Promise.allSettled([ours, theirs]);
    if (outcome.status === "rejected") equal(outcome.reason.code, "io");
    await git(repository.path, "repack", "-adq", "--write-midx");
    tip = await commitOn(repository, tip, { [`g${i}`]: `${i}\n` });
    await git(repository.path, "commit-graph", "write", "--reachable");
    await commitOn(repository, undefined, { x: `lost ${i}\n` }, false);
    await repository.collect({ graceMs: 0, now: Date.now() + day, full: true });
    await readsAll(repository, await everything(repository.path));
    await assertGitAccepts(repository.path);
  }
  repository.close();
});

realTest(
  "a shallow history is collected as it is; marks of what is gone go too",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 5, commits: 8, changes: 1, lines: 5 });
    await run("git", ["clone", "-q", "--bare", "--depth=3", `file://${dir}/h.git`, `${dir}/z.git`]);
    const repository = await openRepository(`${dir}/z.git`);
    const marks = await repository.shallow.list();
    equal(marks.size, 1);
    const commits = (await git(repository.path, "rev-list", "main")).trim().split("\n");
    equal(commits.length, 3);
    const absent = "1".repeat(40) as Oid;
    await repository.shallow.update({ add: [absent] });
    const waiting = await repository.quarantine();
    const report = await collectAll(repository, { full: true });
    deepEqual([report.unreadable, report.dropped], [[], 0]);
    deepEqual(await repository.shallow.list(), new Set([...marks, absent]));
    await waiting.discard();
    await collectAll(repository);
    deepEqual(await repository.shallow.list(), marks);
    equal((await git(repository.path, "rev-list", "main")).trim(), commits.join("\n"));
    await assertGitAccepts(repository.path);
    // With the branch, its history goes, and the mark with that.
    ok((await repository.refs.move({ name: main, old: await repository.refs.get(main), new: undefined })).ok);
    ok((await collectAll(repository)).dropped > 0);
    deepEqual(await repository.shallow.list(), new Set());
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

realTest("a pack that somebody holds stays, with what it refers to", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const lost = await commitOn(repository, undefined, { a: "lost\n" }, false);
  const made = await gitBytes(
    repository.path,
    ["pack-objects", "-q", "objects/pack/pack"],
    utf8(`${lost}\n`),
  );
  const base = `pack-${new TextDecoder().decode(made).trim()}`;
  await Deno.writeTextFile(`${repository.path}/objects/pack/${base}.keep`, "");
  equal((await collectAll(repository)).dropped, 0);
  equal(await git(repository.path, "show", `${lost}:a`), "lost\n");
  await Deno.remove(`${repository.path}/objects/pack/${base}.keep`);
  ok((await collectAll(repository)).dropped > 0);
  equal(await repository.has(lost), false);
  await assertGitAccepts(repository.path);
  repository.close();
});

realTest("while something needed is missing, nothing is dropped", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const tip = await commitOn(repository, undefined, { a: "one\n", b: "two\n" });
  const blob = (await git(repository.path, "rev-parse", `${tip}:a`)).trim() as Oid;
  const lost = await commitOn(repository, undefined, { a: "lost\n" }, false);
  await Deno.remove(`${repository.path}/objects/${blob.slice(0, 2)}/${blob.slice(2)}`);
  const report = await collectAll(repository);
  deepEqual([report.unreadable, report.dropped, report.packed], [[blob], 0, 3]);
  ok(await repository.has(lost));
  equal(await git(repository.path, "show", `${tip}:b`), "two\n");
  await repository.write("blob", utf8("one\n"));
  ok((await collectAll(repository)).dropped > 0);
  await assertGitAccepts(repository.path);
  repository.close();
});

realTest(
  "many loose refs are packed, those that move meanwhile keep their value",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const a = await commitOn(repository, undefined, { a: "a\n" });
    const b = await commitOn(repository, a, { a: "b\n" });
    const names = Array.from({ length: 120 }, (_, i) => `refs/tags/${i % 7}/t${i}`);
    for (const name of names) ok((await repository.refs.move({ name, old: undefined, new: a })).ok);
    const moves = names.filter((_, i) => i % 3 === 0);
    const deletions = names.filter((_, i) => i % 3 === 1);
    await Promise.all([
      repository.collect({ graceMs: day, now: Date.now() }),
      git(repository.path, "pack-refs", "--all").catch(() => "it may find the file locked"),
      ...moves.map((name) => settled(() => repository.refs.move({ name, old: a, new: b }))),
      ...deletions.map((name) => settled(() => repository.refs.move({ name, old: a, new: undefined }))),
    ]);
    await repository.collect({ graceMs: day, now: Date.now() });
    const refs = await repository.refs.list("refs/tags/");
    for (const [i, name] of names.entries()) equal(refs.get(name), [b, undefined, a][i % 3], name);
    const theirs = await git(
      repository.path,
      "for-each-ref",
      "--format=%(refname) %(objectname)",
      "refs/tags",
    );
    equal(theirs.trim().split("\n").length, refs.size);
    for (const line of theirs.trim().split("\n")) equal(refs.get(line.slice(0, -41)), line.slice(-40));
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

realTest("told to stop, it stops at the next step and loses nothing", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  let tip: Oid | undefined;
  for (let i = 0; i < 10; i++) tip = await commitOn(repository, tip, { [`f${i}`]: `${i}\n` });
  const oids = await everything(repository.path);
  let aborted = 0;
  for (let after = 0; after < 400; after += 7) {
    const controller = new AbortController();
    let steps = 0;
    const report = await repository.collect({
      graceMs: 0,
      now: Date.now() + day,
      signal: controller.signal,
      pause: () => {
        if (++steps > after) controller.abort();
        return Promise.resolve();
      },
    });
    if (report.aborted) aborted++;
    await readsAll(repository, oids);
    if (!report.aborted) break;
  }
  ok(aborted > 10);
  await collectAll(repository, { full: true });
  deepEqual(await counts(repository), { loose: 0, packs: 1 });
  await assertGitAccepts(repository.path);
  repository.close();
});

realTest(
  "a collection is due when loose objects or packs have grown many",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    equal(await repository.collectionDue(), false);
    let tip: Oid | undefined;
    for (let i = 0; i < 100; i++) tip = await commitOn(repository, tip, { [`f${i}`]: `${i}\n` });
    equal(await repository.collectionDue(), false);
    equal(await repository.collectionDue({ looseObjects: 0 }), true);
    await collectAll(repository);
    equal(await repository.collectionDue({ looseObjects: 0 }), false);
    // What a collection left is no reason for another.
    equal(await repository.collectionDue({ packs: 0 }), false);
    equal(await (await openRepository(repository.path)).collectionDue({ packs: 0 }), true);
    repository.close();
  },
);

Deno.test("packs stay in a geometric row", () => {
  const pack = (base: string, count: number, more: object = {}) => ({
    base,
    count,
    resting: 0,
    garbage: 0,
    damaged: false,
    mapped: false,
    held: false,
    ...more,
  });
  const roll = (loose: number, full: boolean, ...packs: ReturnType<typeof pack>[]) =>
    [...packsToRoll(packs, loose, full)].sort().join("");
  equal(roll(10, false, pack("a", 1000), pack("b", 100)), "");
  equal(roll(60, false, pack("a", 1000), pack("b", 100)), "b");
  equal(roll(600, false, pack("a", 1000), pack("b", 100)), "ab");
  equal(roll(0, false, pack("a", 1000), pack("b", 100), pack("c", 90)), "bc");
  equal(roll(0, false, pack("a", 1000)), "");
  equal(roll(0, true, pack("a", 1000)), "");
  equal(roll(0, true, pack("a", 1000), pack("b", 10)), "ab");
  equal(roll(0, false, pack("a", 1000, { garbage: 1 })), "a");
  equal(roll(0, false, pack("a", 1000, { damaged: true })), "a");
  equal(roll(600, true, pack("a", 1000, { held: true }), pack("b", 100, { resting: 1 })), "");
});

/** As if every time of grace were over. */
function collectAll(repository: Repository, options: Partial<CollectOptions> = {}) {
  return repository.collect({ graceMs: day, now: Date.now() + 2 * day, ...options });
}

async function commitOn(
  repository: Repository,
  parent: Oid | undefined,
  files: Record<string, string>,
  move = true,
): Promise<Oid> {
  const edits = new Map(Object.entries(files).map(([path, text]) => [path, utf8(text)]));
  const base = parent === undefined ? undefined : await treeOf(repository, parent);
  const tree = await writeTree(repository, base, edits);
  const parents = parent === undefined ? [] : [parent];
  const oid = await writeCommit(repository, { tree, parents, author: who, committer: who, message: "m\n" });
  if (move) ok((await repository.refs.move({ name: main, old: parent, new: oid })).ok);
  return oid;
}

async function treeOf(repository: Repository, commit: Oid): Promise<Oid> {
  return (await git(repository.path, "rev-parse", `${commit}^{tree}`)).trim() as Oid;
}

async function receive(repository: Repository, from: string, revisions: string): Promise<void> {
  const pack = await gitBytes(from, ["pack-objects", "--stdout", "--revs"], utf8(revisions));
  const quarantine = await repository.quarantine();
  ok((await quarantine.receivePack(async([pack]), limits)).ok);
  await quarantine.migrate();
}

async function push(repository: Repository, from: string, name: string): Promise<Oid> {
  await receive(repository, from, `${main}\n`);
  const tip = (await git(from, "rev-parse", main)).trim() as Oid;
  ok((await repository.refs.move({ name, old: await repository.refs.get(name), new: tip })).ok);
  return tip;
}

/** All that the refs reach, as git sees it. */
async function everything(path: string): Promise<Oid[]> {
  const lines = await git(path, "rev-list", "--objects", "--all");
  return lines.trim().split("\n").map((line) => line.slice(0, 40) as Oid).sort();
}

async function readsAll(repository: Repository, oids: readonly Oid[]): Promise<void> {
  for (const oid of oids) ok(await repository.read(oid) !== undefined, oid);
}

async function counts(repository: Repository): Promise<{ loose: number; packs: number }> {
  const text = await git(repository.path, "count-objects", "-v");
  const count = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1]);
  return { loose: count("count"), packs: count("packs") };
}

async function* looseFiles(repository: Repository): AsyncIterable<string> {
  for await (const folder of Deno.readDir(`${repository.path}/objects`)) {
    if (folder.name.length !== 2) continue;
    for await (const file of Deno.readDir(`${repository.path}/objects/${folder.name}`)) {
      yield `${repository.path}/objects/${folder.name}/${file.name}`;
    }
  }
}

/** Again while another writer holds a lock. */
async function settled(move: () => ReturnType<Repository["refs"]["move"]>): Promise<void> {
  for (let times = 0;; times++) {
    const outcome = await move();
    if (outcome.ok) return;
    ok(outcome.error.code === "locked" && times < 20, outcome.error.message);
  }
}
