import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  initRepositoryOn,
  memoryDevice,
  newSha1,
  objectOid,
  openRepository,
  runtimeTools,
  utf8,
} from "../../store/mod.ts";
import type { Oid, PackDamage, Repository } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git, gitBytes } from "./git_fixture.ts";
import { async, makeHistory } from "./pack_fixture.ts";

const limits = { packBytes: 1e8, objectBytes: 1e7, objects: 1e5, deltaDepth: 4096, deltaWork: 1e9 };
const day = 86_400_000;

realTest(
  "a pack damaged anywhere is told once, and what is whole in it is read",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, pack, oids } = await onePack(dir);
    const good = await Deno.readFile(pack);
    await Deno.chmod(pack, 0o644);
    for (let at = 13; at < good.length; at += 1009) {
      const changed = good.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      await Deno.writeFile(pack, changed);
      const told: PackDamage[] = [];
      const repository = await openRepository(path, { onDamage: (damage) => told.push(damage) });
      const { whole, damaged } = await census(repository, oids);
      equal(whole + damaged, oids.length);
      ok(whole > 0);
      // What another's read found damaged is no longer there for those who ask.
      let gone = 0;
      for (const oid of oids) if (!await repository.has(oid)) gone++;
      equal(gone, damaged);
      equal(told.length, damaged > 0 || at >= good.length - 20 ? 1 : 0, `byte ${at}`);
      deepEqual(repository.damage(), told);
      if (told[0] !== undefined) equal(told[0].pack, baseName(pack));
      repository.close();
    }
  },
);

realTest("a pack that is cut short gives what comes before the cut", { needs: ["git"] }, async ({ dir }) => {
  const { path, pack, oids } = await onePack(dir);
  const good = await Deno.readFile(pack);
  await Deno.chmod(pack, 0o644);
  for (const part of [0, 0.001, 0.3, 0.6, 0.999]) {
    await Deno.writeFile(pack, good.subarray(0, Math.floor(good.length * part)));
    const told: PackDamage[] = [];
    const repository = await openRepository(path, { onDamage: (damage) => told.push(damage) });
    equal(told.length, 1);
    const { whole, damaged } = await census(repository, oids);
    equal(whole + damaged, oids.length);
    ok(damaged > 0 && (part < 0.3 || whole > 0));
    equal(told.length, 1);
    repository.close();
  }
});

realTest("a damaged index is made anew in memory from its pack", { needs: ["git"] }, async ({ dir }) => {
  const { path, pack, oids } = await onePack(dir);
  const index = pack.replace(/pack$/, "idx");
  const good = await Deno.readFile(index);
  await Deno.chmod(index, 0o644);
  for (const at of [0, 4, 300, 1032 + 7, good.length >> 1, good.length - 3]) {
    const changed = good.slice();
    changed[at] = (changed[at] ?? 0) ^ 0x55;
    await Deno.writeFile(index, changed);
    const repository = await openRepository(path, { owner: true });
    equal(repository.damage().length, 1, `byte ${at}`);
    ok(repository.damage()[0]?.reason.startsWith("its index"));
    deepEqual(await census(repository, oids), { whole: oids.length, damaged: 0 });
    repository.close();
  }
  // A collection puts everything into a sound pack, and the damaged pair aside.
  const repository = await openRepository(path);
  const report = await repository.collect({ graceMs: day, now: Date.now() });
  deepEqual(report.putAside, [baseName(pack)]);
  deepEqual(repository.damage(), []);
  await readsAll(repository, oids);
  await assertGitAccepts(path);
  ok((await Deno.stat(`${pack}.broken`)).isFile && (await Deno.stat(`${index}.broken`)).isFile);
  repository.close();
});

realTest(
  "a pack without a readable byte hides nothing of the others",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, pack, oids } = await onePack(dir);
    const bad = `${path}/objects/pack/pack-${"1".repeat(40)}`;
    await Deno.writeFile(`${bad}.pack`, utf8("nothing of a pack"));
    await Deno.writeFile(`${bad}.idx`, utf8("nothing of an index"));
    const repository = await openRepository(path);
    await readsAll(repository, oids);
    deepEqual(repository.damage().map((each) => each.pack), [`pack-${"1".repeat(40)}`]);
    const report = await repository.collect({ graceMs: day, now: Date.now() });
    deepEqual(report.putAside, [`pack-${"1".repeat(40)}`]);
    ok((await Deno.stat(pack)).isFile);
    await assertGitAccepts(path);
    repository.close();
  },
);

realTest(
  "what a damaged pack cannot give is taken from another copy, and put there by a fetch",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, pack, oids, all } = await onePack(dir);
    const good = await Deno.readFile(pack);
    await Deno.chmod(pack, 0o644);
    const rotten = good.slice();
    for (let at = 100; at < good.length - 20; at += 211) rotten[at] = (rotten[at] ?? 0) ^ 0x55;
    await Deno.writeFile(pack, rotten);
    const repository = await openRepository(path);
    const before = await census(repository, oids);
    ok(before.damaged > 100);
    // While something needed is nowhere else, the damaged pack stays, and nothing is dropped.
    const early = await repository.collect({ graceMs: 0, now: Date.now() + day });
    deepEqual([early.putAside, early.dropped, early.unreadable.length > 0], [[], 0, true]);
    ok((await Deno.stat(pack)).isFile);

    const quarantine = await repository.quarantine();
    ok((await quarantine.receivePack(async([all]), limits)).ok);
    await quarantine.migrate();
    await readsAll(repository, oids);
    const late = await repository.collect({ graceMs: 0, now: Date.now() + day });
    deepEqual([late.putAside, late.unreadable], [[baseName(pack)], []]);
    deepEqual(repository.damage(), []);
    await readsAll(repository, oids);
    await assertGitAccepts(path);
    repository.close();
  },
);

realTest("a few objects heal loosely", { needs: ["git"] }, async ({ dir }) => {
  const { path, pack, oids } = await onePack(dir);
  const copy = await openRepository(path);
  const objects = new Map(await Promise.all(oids.map(async (oid) => [oid, await copy.read(oid)] as const)));
  copy.close();
  const good = await Deno.readFile(pack);
  await Deno.chmod(pack, 0o644);
  good[good.length >> 1] = (good[good.length >> 1] ?? 0) ^ 0x55;
  await Deno.writeFile(pack, good);
  const repository = await openRepository(path);
  const lost: Oid[] = [];
  for (const oid of oids) await repository.read(oid).catch(() => lost.push(oid));
  ok(lost.length > 0);
  for (const oid of lost) {
    await rejects(repository.read(oid), { code: "corrupt" });
    const object = objects.get(oid);
    if (object !== undefined) equal(await repository.write(object.kind, object.content), oid);
  }
  await readsAll(repository, oids);
  const report = await repository.collect({ graceMs: day, now: Date.now() });
  deepEqual(report.putAside, [baseName(pack)]);
  await assertGitAccepts(path);
  repository.close();
});

realTest(
  "a repository of many packs opens, reads and is made one pack",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 10, commits: 120, changes: 1, lines: 10 });
    await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/z.git`]);
    const commits = (await git(`${dir}/h.git`, "rev-list", "--reverse", "main")).trim().split("\n");
    for (const [index, commit] of commits.entries()) {
      const revisions = index === 0 ? `${commit}\n` : `${commit}\n^${commits[index - 1]}\n`;
      const pack = await gitBytes(`${dir}/h.git`, ["pack-objects", "--stdout", "--revs"], utf8(revisions));
      await gitBytes(`${dir}/z.git`, ["index-pack", "--stdin"], pack);
    }
    const repository = await openRepository(`${dir}/z.git`);
    const tip = commits.at(-1) as Oid;
    ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
    ok(await repository.collectionDue());
    const report = await repository.collect({ graceMs: day, now: Date.now() });
    deepEqual([report.removedPacks, report.dropped], [commits.length, 0]);
    equal(await repository.collectionDue(), false);
    await assertGitAccepts(`${dir}/z.git`);
    // Deltas were found: the pack is far smaller than its objects.
    const [{ packed, whole }] = [await sizes(`${dir}/z.git`)];
    ok(packed < whole / 2, `${packed} of ${whole} bytes`);
    repository.close();
  },
);

realTest("a damaged loose object goes where a pack has it whole", { needs: ["git"] }, async ({ dir }) => {
  const { path, pack, oids } = await onePack(dir);
  const [first] = oids;
  if (first === undefined) throw new Error("no objects");
  await Deno.mkdir(`${path}/objects/${first.slice(0, 2)}`, { recursive: true });
  await Deno.writeTextFile(`${path}/objects/${first.slice(0, 2)}/${first.slice(2)}`, "damaged");
  equal((await run("git", ["-C", path, "fsck", "--full"], { check: false })).code === 0, false);
  const repository = await openRepository(path);
  await readsAll(repository, oids);
  const report = await repository.collect({ graceMs: day, now: Date.now() });
  deepEqual([report.removedLoose, report.packed, report.unreadable], [1, 0, []]);
  ok((await Deno.stat(pack)).isFile);
  await assertGitAccepts(path);
  repository.close();
});

Deno.test("a repository in memory is written, pushed to, collected and read", async () => {
  const device = memoryDevice();
  const repository = await initRepositoryOn(device, runtimeTools);
  const oid = await repository.write("blob", utf8("in memory"));
  ok((await repository.refs.move({ name: "refs/blobs/a", old: undefined, new: oid })).ok);
  equal((await repository.collect({ graceMs: day, now: Date.now() })).packed, 1);
  const again = await initRepositoryOn(device, runtimeTools, { owner: true });
  deepEqual((await again.read(oid))?.content, utf8("in memory"));
  equal(objectOid("blob", utf8("in memory"), newSha1), await again.refs.get("refs/blobs/a"));
});

async function onePack(dir: string): Promise<{ path: string; pack: string; oids: Oid[]; all: Uint8Array }> {
  const path = `${dir}/z.git`;
  await makeHistory(path, { files: 30, commits: 60, changes: 2, lines: 30 });
  const all = await gitBytes(path, ["pack-objects", "--stdout", "--revs"], utf8("refs/heads/main\n"));
  await git(path, "repack", "-adfq");
  const names = await Array.fromAsync(Deno.readDir(`${path}/objects/pack`), ({ name }) => name);
  const pack = names.find((name) => name.endsWith(".pack"));
  const lines = (await git(path, "rev-list", "--objects", "--all")).trim().split("\n");
  return {
    path,
    pack: `${path}/objects/pack/${pack}`,
    oids: lines.map((line) => line.slice(0, 40) as Oid),
    all,
  };
}

function baseName(pack: string): string {
  return pack.slice(pack.lastIndexOf("/") + 1, -".pack".length);
}

/** How many objects are read as they should be, and how many are told to be damaged; anything else fails. */
async function census(
  repository: Repository,
  oids: readonly Oid[],
): Promise<{ whole: number; damaged: number }> {
  let whole = 0;
  let damaged = 0;
  for (const oid of oids) {
    try {
      const object = await repository.read(oid);
      ok(object !== undefined, oid);
      equal(objectOid(object.kind, object.content, newSha1), oid);
      whole++;
    } catch (error) {
      equal((error as { code?: unknown }).code, "corrupt");
      damaged++;
    }
  }
  return { whole, damaged };
}

async function readsAll(repository: Repository, oids: readonly Oid[]): Promise<void> {
  deepEqual(await census(repository, oids), { whole: oids.length, damaged: 0 });
}

async function sizes(path: string): Promise<{ packed: number; whole: number }> {
  const text = await git(
    path,
    "cat-file",
    "--batch-all-objects",
    "--batch-check=%(objectsize) %(objectsize:disk)",
  );
  let packed = 0;
  let whole = 0;
  for (const line of text.trim().split("\n")) {
    const [size, disk] = line.split(" ").map(Number);
    whole += size ?? 0;
    packed += disk ?? 0;
  }
  return { packed, whole };
}
