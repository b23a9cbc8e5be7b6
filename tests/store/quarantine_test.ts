import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  checkConnectivity,
  encodePack,
  encodeTree,
  initRepository,
  listFiles,
  newSha1,
  nodeZlib,
  objectOid,
  openRepository,
  parseOid,
  readPath,
  textOf,
  utf8,
  writeCommit,
  writeTree,
} from "../../store/mod.ts";
import type { GitObject, Oid, PackLimits, Repository } from "../../store/mod.ts";
import { refuseCollision } from "../../store/repository/loose_heap.ts";
import { realTest } from "../tools/real.ts";
import { assertGitAccepts, git, gitBytes } from "./git_fixture.ts";
import { async, inChunks, makeHistory } from "./pack_fixture.ts";

const limits: PackLimits = {
  packBytes: 1e8,
  objectBytes: 1e7,
  objects: 1e5,
  deltaDepth: 4096,
  deltaWork: 1e9,
};
const who = { name: "a", email: "a@example.test", when: 1_700_000_000, zone: "+0000" };

realTest(
  "a large push goes through quarantine into a pack that git reads",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 60, commits: 100, changes: 2, lines: 30 });
    const pack = await gitBytes(
      `${dir}/h.git`,
      ["pack-objects", "--stdout", "--revs"],
      utf8("refs/heads/main\n"),
    );
    const tip = await oidOf(`${dir}/h.git`, "main");
    const repository = await initRepository(`${dir}/z.git`);
    const quarantine = await repository.quarantine();
    const taken = await quarantine.receivePack(async(inChunks(pack, 8192)), limits);
    ok(taken.ok && taken.value.objects > 300 && taken.value.bytes === pack.length);
    equal([...quarantine.oids()].length, taken.value.objects);
    // Seen through the quarantine alone.
    ok(await quarantine.has(tip) && !await repository.has(tip));
    equal(await repository.read(tip), undefined);
    ok((await checkConnectivity(quarantine, [tip], (oid) => repository.has(oid))).ok);
    const move = { name: "refs/heads/main", old: undefined, new: tip };
    const early = await repository.refs.move(move);
    ok(!early.ok && early.error.code === "missing-object");
    await quarantine.migrate();
    await quarantine.discard();
    ok((await repository.refs.move(move)).ok);
    equal((await listFiles(repository, tip)).length, 60);
    for (const file of await listFiles(repository, tip)) {
      deepEqual(
        await readPath(repository, tip, file.path),
        await gitBytes(`${dir}/h.git`, ["cat-file", "blob", file.oid]),
      );
    }
    deepEqual(await leftOver(repository), []);
    await assertGitAccepts(repository.path);
    await git(repository.path, "verify-pack", `objects/pack/${await packName(repository)}`);
    repository.close();
  },
);

realTest("a thin pack of a small push is completed and stored loose", { needs: ["git"] }, async ({ dir }) => {
  await makeHistory(`${dir}/h.git`, { files: 20, commits: 5, changes: 2, lines: 200 });
  const repository = await initRepository(`${dir}/z.git`);
  const send = async (revisions: string, ...options: string[]) => {
    const pack = await gitBytes(
      `${dir}/h.git`,
      ["pack-objects", "--stdout", "--revs", ...options],
      utf8(revisions),
    );
    const quarantine = await repository.quarantine();
    const taken = await quarantine.receivePack(async(inChunks(pack, 100)), limits);
    ok(taken.ok, taken.ok ? "" : taken.error.message);
    return { quarantine, taken, received: [...quarantine.oids()].length };
  };
  const first = await oidOf(`${dir}/h.git`, "main~3");
  await (await send("main~3\n")).quarantine.migrate();
  const { quarantine, received } = await send("main\n^main~3\n", "--thin", "--no-reuse-delta");
  // Bases come from the repository, and are not counted as arrived.
  const expected = (await git(`${dir}/h.git`, "rev-list", "--objects", "main", "^main~3")).trim().split("\n");
  equal(received, expected.length);
  const tip = await oidOf(`${dir}/h.git`, "main");
  ok((await checkConnectivity(quarantine, [tip], (oid) => repository.has(oid))).ok);
  await quarantine.migrate();
  ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
  equal((await git(repository.path, "count-objects", "-v")).match(/in-pack: (\d+)/)?.[1], "0");
  equal((await git(repository.path, "rev-list", "--count", "main")).trim(), "5");
  ok(await repository.has(first));
  await assertGitAccepts(repository.path);
  // A thin pack whose bases are nowhere is refused.
  const empty = await initRepository(`${dir}/empty.git`);
  const thin = await gitBytes(
    `${dir}/h.git`,
    ["pack-objects", "--stdout", "--revs", "--thin"],
    utf8("main\n^main~3\n"),
  );
  const refused = await (await empty.quarantine()).receivePack(async([thin]), limits);
  ok(!refused.ok && refused.error.code === "malformed");
});

realTest("what fsck refuses leaves nothing behind", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const blob: GitObject = { kind: "blob", content: utf8("x") };
  const oid = objectOid("blob", blob.content, newSha1);
  const tree: GitObject = { kind: "tree", content: encodeTree([{ mode: "40000", name: utf8(".GIT"), oid }]) };
  const quarantine = await repository.quarantine();
  const refused = await quarantine.receivePack(packOf([blob, tree]), limits);
  ok(!refused.ok && refused.error.code === "fsck");
  ok(refused.error.message.includes("hasDotgit"), refused.error.message);
  const cut = await quarantine.receivePack(async([utf8("PACK")]), limits);
  ok(!cut.ok && cut.error.code === "malformed");
  const broken = (async function* () {
    yield utf8("PACK");
    await Promise.reject(new Error("the peer is gone"));
  })();
  const lost = await quarantine.receivePack(broken, limits);
  ok(!lost.ok && lost.error.code === "io");
  deepEqual([...quarantine.oids()], []);
  await quarantine.discard();
  await quarantine.discard();
  equal(await repository.has(oid), false);
  deepEqual(await leftOver(repository), []);
  await assertGitAccepts(repository.path);
});

realTest("an empty pack is taken and leaves no pack", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const quarantine = await repository.quarantine();
  deepEqual(await quarantine.receivePack(packOf([]), limits), { ok: true, value: { objects: 0, bytes: 32 } });
  await quarantine.migrate();
  deepEqual(await leftOver(repository), []);
});

realTest("what is not whole is not connected", { needs: ["git"] }, async ({ dir }) => {
  const repository = await initRepository(`${dir}/z.git`);
  const blob = utf8("x");
  const blobOid = objectOid("blob", blob, newSha1);
  const tree = encodeTree([{ mode: "100644", name: utf8("f"), oid: blobOid }]);
  const treeOid = objectOid("tree", tree, newSha1);
  const wrongKind = encodeTree([{ mode: "40000", name: utf8("f"), oid: blobOid }]);
  const link = encodeTree([{ mode: "160000", name: utf8("sub"), oid: treeOid }]);
  const check = async (tip: Oid, objects: GitObject[]) => {
    const quarantine = await repository.quarantine();
    ok((await quarantine.receivePack(packOf(objects), limits)).ok);
    const outcome = await checkConnectivity(quarantine, [tip], (oid) => repository.has(oid));
    await quarantine.discard();
    return outcome.ok ? "whole" : outcome.error.code;
  };
  const oid = (content: Uint8Array) => objectOid("tree", content, newSha1);
  equal(await check(treeOid, [{ kind: "tree", content: tree }]), "connectivity");
  equal(await check(treeOid, [{ kind: "tree", content: tree }, { kind: "blob", content: blob }]), "whole");
  equal(
    await check(oid(wrongKind), [{ kind: "tree", content: wrongKind }, { kind: "blob", content: blob }]),
    "connectivity",
  );
  equal(await check(oid(link), [{ kind: "tree", content: link }]), "whole");
  equal(await check(treeOid, []), "connectivity");
  await repository.write("blob", blob);
  equal(await check(treeOid, [{ kind: "tree", content: tree }]), "whole");
});

realTest(
  "objects that git repacks while we have the repository open are found",
  { needs: ["git"] },
  async ({ dir }) => {
    const repository = await initRepository(`${dir}/z.git`);
    const tips: Oid[] = [];
    for (let i = 0; i < 3; i++) {
      const tree = await writeTree(repository, tips.at(-1), new Map([[`f${i}`, utf8(`${i}`)]]));
      const tip = await writeCommit(repository, {
        tree,
        parents: tips.slice(-1),
        author: who,
        committer: who,
        message: "m",
      });
      ok((await repository.refs.move({ name: "refs/heads/main", old: tips.at(-1), new: tip })).ok);
      tips.push(tip);
      await git(repository.path, "repack", "-adq");
      await git(repository.path, "prune-packed");
      for (const [index, each] of tips.entries()) {
        equal(textOf(await readPath(repository, each, `f${index}`) ?? new Uint8Array()), `${index}`);
      }
      // Written again although it is packed: found, compared, not stored twice.
      equal(await repository.write("blob", utf8(`${i}`)), (await listFiles(repository, tip))[i]?.oid);
    }
    equal((await git(repository.path, "count-objects")).trim(), "0 objects, 0 kilobytes");
    await assertGitAccepts(repository.path);
  },
);

realTest(
  "a damaged pack is told as corrupt, not returned as content",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 10, commits: 10, changes: 2, lines: 20 });
    await git(`${dir}/h.git`, "repack", "-adfq");
    const before = await openRepository(`${dir}/h.git`);
    const name = await packName(before);
    const tip = await oidOf(`${dir}/h.git`, "main");
    before.close();
    const path = `${dir}/h.git/objects/pack/${name}`;
    const good = await Deno.readFile(path);
    await Deno.chmod(path, 0o644);
    let told = 0;
    for (let at = 20; at < good.length - 20; at += 997) {
      const changed = good.slice();
      changed[at] = (changed[at] ?? 0) ^ 0x55;
      await Deno.writeFile(path, changed);
      const repository = await openRepository(`${dir}/h.git`);
      try {
        for (const { oid } of await listFiles(repository, tip)) {
          const object = await repository.read(oid);
          equal(objectOid("blob", object?.content ?? new Uint8Array(), newSha1), oid);
        }
      } catch (error) {
        equal((error as { code?: unknown }).code, "corrupt");
        told++;
      }
      repository.close();
    }
    ok(told > 0);
    await Deno.writeFile(path, good.subarray(0, good.length >> 1));
    const cut = await openRepository(`${dir}/h.git`);
    await rejects(async () => {
      for (const { oid } of await listFiles(cut, tip)) await cut.read(oid);
    }, { code: "corrupt" });
    cut.close();
  },
);

realTest(
  "a pack that fits what is stored under its ids is taken, twice over",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 40, commits: 60, changes: 2, lines: 10 });
    const pack = await gitBytes(
      `${dir}/h.git`,
      ["pack-objects", "--stdout", "--revs"],
      utf8("refs/heads/main\n"),
    );
    const repository = await initRepository(`${dir}/z.git`);
    for (let time = 0; time < 2; time++) {
      const quarantine = await repository.quarantine();
      ok((await quarantine.receivePack(async([pack]), limits)).ok);
      await quarantine.migrate();
    }
    equal(await repository.has(await oidOf(`${dir}/h.git`, "main")), true);
    deepEqual(await leftOver(repository), []);
    await assertGitAccepts(repository.path);
    repository.close();
  },
);

Deno.test("two contents under one id are refused", () => {
  const oid = parseOid("1".repeat(40)) as Oid;
  const a: GitObject = { kind: "blob", content: utf8("a") };
  refuseCollision(oid, a, { kind: "blob", content: utf8("a") });
  for (const other of [{ kind: "blob", content: utf8("b") }, { kind: "tree", content: utf8("a") }] as const) {
    let code: unknown;
    try {
      refuseCollision(oid, a, other);
    } catch (error) {
      code = (error as { code?: unknown }).code;
    }
    equal(code, "corrupt");
  }
});

function packOf(objects: readonly GitObject[]): AsyncIterable<Uint8Array> {
  return encodePack(objects, objects.length, { zlib: nodeZlib, newSha1 });
}

async function oidOf(repository: string, revision: string): Promise<Oid> {
  return parseOid((await git(repository, "rev-parse", revision)).trim()) as Oid;
}

async function packName(repository: Repository): Promise<string> {
  const names = await Array.fromAsync(Deno.readDir(`${repository.path}/objects/pack`), (entry) => entry.name);
  const name = names.find((each) => each.endsWith(".pack"));
  if (name === undefined) throw new Error("no pack");
  return name;
}

/** Quarantines and temporary files that should be gone. */
async function leftOver(repository: Repository): Promise<string[]> {
  const found: string[] = [];
  const look = async (folder: string) => {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (name.startsWith("tmp")) found.push(`${folder}/${name}`);
      else if (isDirectory) await look(`${folder}/${name}`);
    }
  };
  await look(`${repository.path}/objects`);
  return found;
}
