import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import { utf8 } from "../../store/object/bytes.ts";
import { nameHash } from "../../store/pack/find_deltas.ts";
import type { PackItem } from "../../store/pack/find_deltas.ts";
import { toHex } from "../../store/pack/id.ts";
import { decodePackIndex } from "../../store/pack/index_file.ts";
import { packObjects } from "../../store/pack/pack_objects.ts";
import type { PackObjectsOptions } from "../../store/pack/pack_objects.ts";
import { readPack } from "../../store/pack/read_pack.ts";
import type { PackKind, PackObject } from "../../store/pack/types.ts";
import type { PackSource } from "../../store/pack/write_pack.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { concatBytes } from "../../store/zlib/bytes.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import { realTest, run } from "../tools/real.ts";
import { git, gitBytes } from "./git_fixture.ts";
import { generator, makeHistory } from "./pack_fixture.ts";
import { identify, noise, takePack } from "./pack_maker.ts";

realTest(
  "git takes the pack that was searched for deltas, which is about as small as its own",
  { needs: ["git"] },
  async ({ dir }) => {
    const { items, source, path } = await history(dir, ["--depth=0", "--window=0"]);
    const list = utf8(`${items.map(({ id }) => id).join("\n")}\n`);
    const plain = (await packed(items, source, { window: 0 })).length;
    for (const depth of [1, 10, 50]) {
      const pack = await packed(items, source, { depth });
      const verified = await takenByGit(dir, `depth${depth}`, pack);
      deepEqual(verified.ids.toSorted(), items.map(({ id }) => id).toSorted());
      ok(verified.deepest <= depth && verified.deltas > items.length / 4);
      const theirs = await gitBytes(path, [
        "pack-objects",
        "-q",
        "--stdout",
        "--delta-base-offset",
        "--threads=1",
        "--no-reuse-delta",
        `--depth=${depth}`,
        "--window=10",
      ], list);
      ok(pack.length < theirs.length * 1.1, `${pack.length} bytes, git makes ${theirs.length}`);
      ok(pack.length < plain * 0.8);
    }
  },
);

realTest("stored deltas are used again and others found beside them", { needs: ["git"] }, async ({ dir }) => {
  const { items, source, reader } = await history(dir, ["--depth=50", "--window=10"]);
  const stored = [...reader.inPackOrder()].filter((rank) => reader.entryAt(rank).kind === "delta").length;
  const read: string[] = [];
  const counting: PackSource = { ...source, read: (id) => (read.push(id), source.read(id)) };
  // Nothing is looked for: the pack as it was.
  equal((await takenByGit(dir, "again", await packed(items, counting, { window: 0 }))).deltas, stored);
  deepEqual(read, []);
  // All lie in one pack, where they were tried already.
  await packed(items, counting, { packOf: () => "the pack" });
  const untried = await takenByGit(dir, "untried", await packed(items, source, { packOf: () => "the pack" }));
  equal(untried.deltas, stored);
  const more = await packed(items, source);
  const verified = await takenByGit(dir, "more", more);
  ok(verified.deltas >= stored && verified.deepest <= 50);
  // A shorter depth than the stored chains have: they are cut.
  ok((await takenByGit(dir, "short", await packed(items, source, { depth: 3 }))).deepest <= 3);
});

realTest(
  "a thin pack builds on what the other side has, and git completes it",
  { needs: ["git"] },
  async ({ dir }) => {
    const { items, source, path } = await history(dir, ["--depth=50", "--window=10"]);
    const names = await objectNames(path, "main~20..main");
    const sent = items.filter(({ id }) => names.has(id));
    const there = items.filter(({ id }) => !names.has(id));
    ok(sent.length > 20 && there.length > 20);
    const old = `${dir}/old.git`;
    await run("git", ["init", "-q", "--bare", old]);
    const oldPack = await packed(there, source);
    await Deno.writeFile(`${dir}/old.pack`, oldPack);
    await gitBytes(old, ["index-pack", "--stdin"], oldPack);
    for (const offsetDeltas of [true, false]) {
      const whole = await packed(sent, source, { offsetDeltas });
      const thin = await packed(sent, source, { thinBases: there, offsetDeltas });
      ok(thin.length < whole.length * 0.8, `${thin.length} of ${whole.length}`);
      await rejects(takePack(thin), { code: "malformed", message: /have no base/ });
      const external = (id: Uint8Array) => source.read(toHex(id));
      const { indexed, stored } = await takePack(thin, { external, size: 777 });
      equal(indexed.received, sent.length);
      ok(indexed.count > sent.length);
      // Ours, completed, is whole for git; and git completes the thin one itself.
      await takenByGit(dir, `completed${offsetDeltas}`, stored.slice());
      await gitBytes(old, ["index-pack", "--stdin", "--fix-thin", "--strict"], thin);
    }
    await git(old, "update-ref", "refs/heads/main", (await git(path, "rev-parse", "main")).trim());
    await git(old, "fsck", "--strict", "--full");
  },
);

Deno.test("any objects packed with a search are found again, in whatever order and window", async () => {
  const piece = fc.uint8Array({ minLength: 30, maxLength: 90 });
  const kinds = fc.constantFrom<PackKind[]>("commit", "tree", "blob", "tag");
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { minLength: 1, maxLength: 5 }),
      fc.array(fc.tuple(kinds, fc.array(fc.nat(4), { maxLength: 6 }), fc.nat(3)), { maxLength: 25 }),
      fc.nat(4),
      fc.nat(3),
      fc.constantFrom(0, 300, 1 << 20),
      async (pieces, recipes, window, depth, cacheBytes) => {
        const objects = new Map<string, PackObject>();
        for (const [kind, parts] of recipes) {
          const content = concatBytes(parts.map((part) => pieces[part % pieces.length] ?? new Uint8Array()));
          objects.set(toHex(identify(kind, content)), { kind, content });
        }
        const items = [...objects].map(([id, { kind, content }], i): PackItem => ({
          id,
          kind,
          size: content.length,
          group: recipes[i]?.[2],
        }));
        const source: PackSource = { read: (id) => Promise.resolve(objects.get(id)) };
        const pack = await packed(items, source, { window, depth, cacheBytes });
        const { indexed } = await takePack(pack, { limits: { deltaDepth: depth } });
        const reader = readPack({
          name: "made",
          index: decodePackIndex(indexed.index),
          size: pack.length,
          map: (offset, length) => pack.subarray(offset, offset + length),
          zlib: nodeZlib,
        });
        equal(indexed.count, objects.size);
        for (const [id, object] of objects) deepEqual(reader.read(reader.index.rankOf(id) ?? -1), object);
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("the window is bounded in bytes, and large objects are left alone", async () => {
  const random = generator(1);
  const base = noise(100_000, 1);
  const contents = Array.from({ length: 10 }, () => {
    const copy = base.slice();
    copy[random(copy.length)] = random(256);
    return copy;
  });
  const objects = new Map(contents.map((content) => [toHex(identify("blob", content)), content]));
  const items = [...objects].map(([id, content]): PackItem => ({ id, kind: "blob", size: content.length }));
  const source: PackSource = {
    read(id) {
      const content = objects.get(id);
      return Promise.resolve(content === undefined ? undefined : { kind: "blob", content });
    },
  };
  ok((await packed(items, source, { windowBytes: 500_000 })).length < 150_000);
  ok((await packed(items, source, { windowBytes: 300_000 })).length > 900_000);
  await rejects(packed([...items, { id: "0".repeat(40), kind: "blob", size: 100 }], source), {
    code: "missing",
  });
});

Deno.test("paths that end alike have near numbers", () => {
  equal(nameHash("zones/a.zone"), nameHash("zon es/a.zone"));
  const near = Math.abs(nameHash("one/example.test.zone") - nameHash("two/example.test.zone"));
  ok(near < Math.abs(nameHash("one/example.test.zone") - nameHash("one/README.md")));
});

async function packed(
  items: readonly PackItem[],
  source: PackSource,
  options: Partial<PackObjectsOptions> = {},
): Promise<Uint8Array> {
  return concatBytes(
    await Array.fromAsync(packObjects(items, source, { zlib: nodeZlib, newSha1, ...options })),
  );
}

async function history(dir: string, repack: readonly string[]) {
  const path = `${dir}/h.git`;
  await makeHistory(path, { files: 40, commits: 100, changes: 3, lines: 120 });
  await git(path, "repack", "-adfq", ...repack);
  const folder = `${path}/objects/pack`;
  const files = await Array.fromAsync(Deno.readDir(folder), (entry) => entry.name);
  const file = `${folder}/${files.find((name) => name.endsWith(".pack"))}`;
  const bytes = await Deno.readFile(file);
  const reader = readPack({
    name: file,
    index: decodePackIndex(await Deno.readFile(file.replace(/pack$/, "idx"))),
    size: bytes.length,
    map: (offset, length) => bytes.subarray(offset, offset + length),
    zlib: nodeZlib,
  });
  const { index } = reader;
  const names = await objectNames(path, "--all");
  const items = [...names].map(([id, name]): PackItem => {
    const { kind, size } = reader.weigh(index.rankOf(id) ?? -1);
    return { id, kind, size, group: nameHash(name) };
  });
  equal(items.length, index.count);
  const source: PackSource = {
    read(id) {
      const rank = index.rankOf(id);
      return Promise.resolve(rank === undefined ? undefined : reader.read(rank));
    },
    storedEntry(id) {
      const rank = index.rankOf(id);
      return rank === undefined ? undefined : reader.entryAt(rank);
    },
  };
  return { items, source, reader, path };
}

async function objectNames(path: string, range: string): Promise<Map<string, string>> {
  const lines = (await git(path, "rev-list", "--objects", range)).trim().split("\n");
  return new Map(lines.map((line) => [line.slice(0, 40), line.slice(41)]));
}

async function takenByGit(
  dir: string,
  name: string,
  pack: Uint8Array,
): Promise<{ readonly ids: string[]; readonly deltas: number; readonly deepest: number }> {
  const path = `${dir}/${name}.pack`;
  await Deno.writeFile(path, pack);
  await run("git", ["init", "-q", "--bare", `${dir}/${name}.git`]);
  await run("git", ["index-pack", path], { cwd: `${dir}/${name}.git` });
  const { stdout } = await run("git", ["verify-pack", "-v", path]);
  const lines = stdout.split("\n").map((line) => line.trim().split(/\s+/));
  const entries = lines.filter(([id, kind]) => id?.length === 40 && kind !== undefined);
  const depths = entries.filter((entry) => entry.length >= 7).map((entry) => Number(entry[5]));
  return {
    ids: entries.map(([id = ""]) => id),
    deltas: depths.length,
    deepest: Math.max(0, ...depths),
  };
}
