/** Packs made out of stored entries, read by git and by our own index pass. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  indexPack,
  newSha1,
  nodeZlib,
  objectOid,
  oidFromBytes,
  openRepository,
  utf8,
} from "../../store/mod.ts";
import type { GitObject, Oid, Repository } from "../../store/mod.ts";
import { concatBytes } from "../../store/object/bytes.ts";
import { hashObject } from "../../store/object/hash.ts";
import { writePack } from "../../store/pack/write_pack.ts";
import type { PackSource } from "../../store/pack/write_pack.ts";
import type { StoredEntry } from "../../store/types.ts";
import { realTest, run } from "../tools/real.ts";
import { git } from "./git_fixture.ts";
import { makeHistory } from "./pack_fixture.ts";

realTest(
  "stored deltas go out as they are, in any order of the objects, and git takes the pack",
  { needs: ["git"] },
  async ({ dir }) => {
    await withHistory(dir, async (repository, oids) => {
      const stored = deltasIn(repository, oids, new Set(oids));
      ok(stored > 100);
      const orders = { forward: oids, backward: oids.toReversed(), sorted: oids.toSorted() };
      for (const [order, chosen] of Object.entries(orders)) {
        for (const offsetDeltas of [true, false]) {
          const read: Oid[] = [];
          const source: PackSource<Oid> = {
            read: (oid) => (read.push(oid), repository.read(oid)),
            storedEntry: (oid) => repository.storedEntry(oid),
          };
          const pack = await written(chosen, source, offsetDeltas);
          // Not one object was inflated for it.
          deepEqual(read, []);
          const { objects, deltas } = await takenByGit(dir, `${order}-${offsetDeltas}`, pack);
          deepEqual(objects.toSorted(), oids.toSorted());
          equal(deltas, stored);
        }
      }
    });
  },
);

realTest("a delta whose base stays at home goes out whole", { needs: ["git"] }, async ({ dir }) => {
  await withHistory(dir, async (repository, oids) => {
    const some = oids.filter((_, i) => i % 3 === 0);
    const expected = deltasIn(repository, some, new Set(some));
    ok(expected < deltasIn(repository, some, new Set(oids)));
    const { objects, deltas } = await takenByGit(dir, "some", await written(some, repository, true), []);
    deepEqual(objects.toSorted(), some.toSorted());
    equal(deltas, expected);
  });
});

realTest("an entry that is not what was indexed is not sent on", { needs: ["git"] }, async ({ dir }) => {
  await withHistory(dir, async (repository, oids, path) => {
    const names = await Array.fromAsync(Deno.readDir(`${path}/objects/pack`), (entry) => entry.name);
    const pack = `${path}/objects/pack/${names.find((name) => name.endsWith(".pack"))}`;
    await Deno.chmod(pack, 0o644);
    const bytes = await Deno.readFile(pack);
    const middle = bytes.length >> 1;
    bytes[middle] = (bytes[middle] ?? 0) ^ 0x10;
    await Deno.writeFile(pack, bytes);
    await rejects(written(oids, repository, true), { code: "corrupt" });
  });
});

Deno.test("deltas of two packs on one another are cut open", async () => {
  const a: GitObject = { kind: "blob", content: utf8("a".repeat(100)) };
  const b: GitObject = { kind: "blob", content: utf8("b".repeat(100)) };
  const objects = new Map([[oidOf(a), a], [oidOf(b), b]]);
  const entry = (base: GitObject, { content }: GitObject): StoredEntry => {
    // Sizes of 100 bytes, then the content by insertion: a delta that takes nothing from its base.
    const delta = concatBytes([Uint8Array.of(base.content.length, content.length, content.length), content]);
    return { kind: "delta", base: oidOf(base), size: delta.length, deflated: nodeZlib.deflate(delta) };
  };
  const entries = new Map([[oidOf(a), entry(b, a)], [oidOf(b), entry(a, b)]]);
  const source: PackSource<Oid> = {
    read: (oid) => Promise.resolve(objects.get(oid)),
    storedEntry: (oid) => entries.get(oid),
  };
  for (const offsetDeltas of [true, false]) {
    const taken = await indexed(await written([oidOf(a), oidOf(b)], source, offsetDeltas));
    deepEqual(taken.toSorted(), [oidOf(a), oidOf(b)].toSorted());
  }
});

Deno.test("a chain of stored deltas is cut where it grows too deep for others", async () => {
  const count = 300;
  const objects = new Map<Oid, GitObject>();
  const entries = new Map<Oid, StoredEntry>();
  let base: Oid | undefined;
  for (let i = 0; i < count; i++) {
    const object: GitObject = { kind: "blob", content: Uint8Array.of(i & 127, i >> 7) };
    const oid = oidOf(object);
    objects.set(oid, object);
    const delta = Uint8Array.of(2, 2, 2, i & 127, i >> 7);
    if (base !== undefined) {
      entries.set(oid, { kind: "delta", base, size: delta.length, deflated: nodeZlib.deflate(delta) });
    }
    base = oid;
  }
  const source: PackSource<Oid> = {
    read: (oid) => Promise.resolve(objects.get(oid)),
    storedEntry: (oid) => entries.get(oid),
  };
  for (const oids of [[...objects.keys()], [...objects.keys()].toReversed()]) {
    const pack = await written(oids, source, true);
    deepEqual((await indexed(pack, 50)).toSorted(), oids.toSorted());
    await rejects(indexed(pack, 20), { code: "limit" });
  }
});

Deno.test("what is not there, or is asked for twice, makes no pack; a long one pauses for each object", async () => {
  const object: GitObject = { kind: "blob", content: utf8("x") };
  const source: PackSource<Oid> = { read: () => Promise.resolve(object) };
  await rejects(written([oidOf(object)], { read: () => Promise.resolve(undefined) }, true), {
    code: "missing",
  });
  await rejects(written([oidOf(object), oidOf(object)], source, true), { code: "malformed" });
  let pauses = 0;
  const options = {
    zlib: nodeZlib,
    newSha1,
    offsetDeltas: true,
    pause: () => Promise.resolve(void pauses++),
  };
  await Array.fromAsync(writePack([oidOf(object)], source, options));
  equal(pauses, 1);
});

async function withHistory(
  dir: string,
  use: (repository: Repository, oids: Oid[], path: string) => Promise<void>,
): Promise<void> {
  const path = `${dir}/h.git`;
  await makeHistory(path, { files: 40, commits: 60, changes: 2, lines: 40 });
  await git(path, "repack", "-adfq", "--depth=30");
  const listed = await git(path, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)");
  const oids = listed.trim().split("\n") as Oid[];
  const repository = await openRepository(path);
  try {
    // A first question makes the packs known.
    ok(await repository.has(oids[0] as Oid));
    await use(repository, oids, path);
  } finally {
    repository.close();
  }
}

/** How many of the objects are stored as deltas on one of `bases`. */
function deltasIn(repository: Repository, oids: readonly Oid[], bases: ReadonlySet<Oid>): number {
  return oids.filter((oid) => {
    const entry = repository.storedEntry(oid);
    return entry?.kind === "delta" && bases.has(entry.base);
  }).length;
}

async function written(
  oids: readonly Oid[],
  source: PackSource<Oid>,
  offsetDeltas: boolean,
): Promise<Uint8Array> {
  const options = { zlib: nodeZlib, newSha1, offsetDeltas };
  return concatBytes(await Array.fromAsync(writePack(oids, source, options)));
}

async function takenByGit(
  dir: string,
  name: string,
  pack: Uint8Array,
  strict: string[] = ["--strict"],
): Promise<{ objects: string[]; deltas: number }> {
  const path = `${dir}/${name}.pack`;
  await Deno.writeFile(path, pack);
  await run("git", ["init", "-q", "--bare", `${dir}/${name}.git`]);
  await run("git", ["index-pack", ...strict, path], { cwd: `${dir}/${name}.git` });
  const { stdout } = await run("git", ["verify-pack", "-v", path]);
  const lines = stdout.split("\n").filter((line) => /^[0-9a-f]{40} /.test(line));
  return {
    objects: lines.map((line) => line.slice(0, 40)),
    deltas: lines.filter((line) => line.trim().split(/\s+/).length >= 7).length,
  };
}

async function indexed(pack: Uint8Array, deltaDepth = 100): Promise<string[]> {
  const { oids, count } = await indexPack([pack], {
    limits: { packBytes: 1e7, objectBytes: 1e6, objects: 1e4, deltaDepth, deltaWork: 1e8 },
    zlib: nodeZlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, newSha1),
    storage: {
      append: () => Promise.resolve(),
      read: (offset, length) => pack.slice(offset, offset + length),
      overwrite() {
        throw new Error("this pack is not thin");
      },
      truncate() {
        throw new Error("this pack is not thin");
      },
    },
  });
  return Array.from({ length: count }, (_, i) => oidFromBytes(oids, i * 20));
}

function oidOf({ kind, content }: GitObject): Oid {
  return objectOid(kind, content, newSha1);
}
