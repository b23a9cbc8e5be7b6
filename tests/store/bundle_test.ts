/** One file as a store: what `writeBundle` writes, git reads; what is not whole does not open. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import {
  bundleRepository,
  listFiles,
  newSha1,
  openBundle,
  openRepository,
  parseOid,
  readPath,
  type StoreError,
  type StoreErrorCode,
  textOf,
  writeBundle,
} from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { git, gitBytes } from "./git_fixture.ts";
import { makeHistory } from "./pack_fixture.ts";

realTest(
  "a bundle is a pack and an index that git verifies, the commit first",
  { needs: ["git"] },
  async ({ dir }) => {
    await makeHistory(`${dir}/h.git`, { files: 40, commits: 30, changes: 3, lines: 40 });
    // With a history packed as git packs it, deltas and all.
    await run("git", ["-C", `${dir}/h.git`, "repack", "-adq"]);
    const tip = await tipOf(`${dir}/h.git`);
    const path = `${dir}/zones.pack`;
    const repository = await openRepository(`${dir}/h.git`);
    const told: number[] = [];
    const written = await writeBundle({
      objects: repository,
      commit: tip,
      path,
      progress: (done, of) => told.push(done / of),
    });
    equal(told.at(-1), 1);

    const verified = (await run("git", ["verify-pack", "-v", path])).stdout;
    const lines = verified.split("\n").filter((line) => /^[0-9a-f]{40} /.test(line));
    equal(lines.length, written.objects);
    const [first] = lines.toSorted((a, b) => offsetOf(a) - offsetOf(b));
    match(first, new RegExp(`^${tip} commit `));
    const wanted = (await git(`${dir}/h.git`, "rev-list", "--objects", "--no-object-names", "-1", tip)).trim()
      .split("\n");
    deepEqual(
      lines.map((line) => line.slice(0, 40)).sort(),
      wanted.sort(),
      "that commit's files and nothing else",
    );

    await Deno.copyFile(path, `${dir}/again.pack`);
    await run("git", ["index-pack", `${dir}/again.pack`], { cwd: `${dir}/h.git` });
    deepEqual(await Deno.readFile(`${dir}/again.idx`), await Deno.readFile(written.indexPath));

    const bundle = await openBundle(path);
    equal(bundle.commit, tip);
    equal(bundle.parents.length, 1);
    const files = await listFiles(bundle, tip);
    deepEqual(files, await listFiles(repository, tip));
    for (const { path: file } of files) {
      equal(
        textOf(await readPath(bundle, tip, file) ?? new Uint8Array()),
        await git(`${dir}/h.git`, "show", `${tip}:${file}`),
      );
    }
    equal(await bundle.read(bundle.parents[0]), undefined);
    bundle.close();
    repository.close();
  },
);

realTest(
  "files that are alike are written as differences, stored so or not",
  { needs: ["git"] },
  async ({ dir }) => {
    const history = `${dir}/h.git`;
    await run("git", ["init", "-q", "-b", "main", history]);
    const lines = Array.from({ length: 400 }, (_, at) => `host${at} 300 IN A 192.0.2.${at % 256}`);
    for (let at = 0; at < 20; at++) {
      await Deno.writeTextFile(
        `${history}/zone${at}.test.zone`,
        [`$ORIGIN zone${at}.test.`, ...lines, ""].join("\n"),
      );
    }
    await run("git", ["add", "-A"], { cwd: history });
    await run("git", ["commit", "-qm", "Zones"], { cwd: history });
    const repository = await openRepository(history);
    const path = `${dir}/zones.pack`;
    await writeBundle({ objects: repository, commit: await tipOf(history), path });
    repository.close();
    const deltas = (await run("git", ["verify-pack", "-s", path])).stdout;
    match(deltas, /^non delta: 3 objects$/m);
    const bundle = await openBundle(path);
    equal(
      textOf(await readPath(bundle, bundle.commit, "zone7.test.zone") ?? new Uint8Array()),
      await Deno.readTextFile(`${history}/zone7.test.zone`),
    );
    bundle.close();
  },
);

realTest(
  "the pack alone is enough, and an index of another pack is refused",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, indexPath } = await smallBundle(dir);
    const index = await Deno.readFile(indexPath);
    await Deno.remove(indexPath);
    (await openBundle(path)).close();
    index[index.length - 25] ^= 1;
    await Deno.writeFile(indexPath, index);
    await rejects(openBundle(path), fault("corrupt", /zones\.idx is not the index of .*zones\.pack/));
  },
);

realTest(
  "whatever byte of a bundle is changed or cut off, it does not open",
  { needs: ["git"] },
  async ({ dir }) => {
    const { path, indexPath } = await smallBundle(dir);
    await Deno.remove(indexPath);
    const whole = await Deno.readFile(path);
    const refuse = async (bytes: Uint8Array, why: string) => {
      await Deno.writeFile(path, bytes);
      const opened = await openBundle(path).then(() => undefined, (error: StoreError) => error);
      ok(opened !== undefined, `${why} was not seen`);
      equal(opened.name, "StoreError", `${why}: ${opened.stack}`);
      ok(opened.message.includes(path), opened.message);
    };
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice();
      changed[at] ^= 0x11;
      await refuse(changed, `a change at ${at}`);
    }
    for (const length of [0, 4, 12, 40, whole.length >> 1, whole.length - 20, whole.length - 1]) {
      await refuse(whole.subarray(0, length), `a cut at ${length}`);
    }
    await refuse(Uint8Array.of(...whole, 0), "a byte more");
    // With a checksum that fits again, the ids do not.
    const forged = whole.slice();
    forged[forged.length - 30] ^= 0x11;
    const sha1 = newSha1();
    sha1.update(forged.subarray(0, -20));
    forged.set(sha1.digest(), forged.length - 20);
    await refuse(forged, "a change with a new checksum");
    await Deno.writeFile(path, whole);
    (await openBundle(path)).close();
  },
);

realTest("a pack that is no bundle says why", { needs: ["git"] }, async ({ dir }) => {
  const repository = `${dir}/h.git`;
  await makeHistory(repository, { files: 3, commits: 3, changes: 1, lines: 5 });
  const pack = async (objects: string, ...options: string[]) => {
    const bytes = await gitBytes(
      repository,
      ["pack-objects", "--stdout", "-q", ...options],
      new TextEncoder().encode(objects),
    );
    await Deno.writeFile(`${dir}/x.pack`, bytes);
    return `${dir}/x.pack`;
  };
  await rejects(openBundle(await pack("main\n", "--revs")), fault("malformed", /x\.pack holds 3 commits/));
  const tree = (await git(repository, "rev-parse", "main^{tree}")).trim();
  await rejects(openBundle(await pack(`${tree}\n`)), fault("malformed", /x\.pack holds 0 commits/));
  const tip = await tipOf(repository);
  await rejects(openBundle(await pack(`${tip}\n${tree}\n`)), fault("connectivity", /x\.pack: .* is missing/));
  await rejects(openBundle(`${dir}/none.pack`), fault("missing", /no bundle .*none\.pack/));
  await rejects(openBundle(dir), fault("malformed", /not a file/));
});

realTest("a bundle that cannot be written leaves what was there", { needs: ["git"] }, async ({ dir }) => {
  const { path, indexPath } = await smallBundle(dir);
  const before = [await Deno.readFile(path), await Deno.readFile(indexPath)];
  const repository = await openRepository(`${dir}/h.git`);
  const [, , blob] = (await git(`${dir}/h.git`, "ls-tree", "-r", "main")).split(/\s+/);
  const objects = {
    read: (oid: Parameters<typeof repository.read>[0]) =>
      oid === blob ? Promise.resolve(undefined) : repository.read(oid),
    has: repository.has,
  };
  await rejects(
    writeBundle({ objects, commit: await tipOf(`${dir}/h.git`), path }),
    fault("missing", new RegExp(blob)),
  );
  repository.close();
  deepEqual([await Deno.readFile(path), await Deno.readFile(indexPath)], before);
  deepEqual((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort(), [
    "h.git",
    "zones.idx",
    "zones.pack",
  ]);
});

realTest("a bundle as a repository can be read and takes nothing", { needs: ["git"] }, async ({ dir }) => {
  const { path } = await smallBundle(dir);
  const bundle = await openBundle(path);
  const repository = bundleRepository(bundle);
  deepEqual([...await repository.refs.list()], [["refs/heads/main", bundle.commit]]);
  equal(await repository.refs.get("HEAD"), bundle.commit);
  deepEqual([...await repository.shallow.list()], [bundle.commit]);
  const moved = await repository.refs.move({ name: "refs/heads/main", old: bundle.commit, new: undefined });
  ok(!moved.ok && /bundle/.test(moved.error.message));
  await rejects(repository.write("blob", new Uint8Array()), fault("io", /zones\.pack is a bundle/));
  await rejects(repository.quarantine(), fault("io", /zones\.pack is a bundle/));
  repository.close();
});

async function smallBundle(dir: string) {
  await makeHistory(`${dir}/h.git`, { files: 3, commits: 2, changes: 1, lines: 6 });
  const repository = await openRepository(`${dir}/h.git`);
  const path = `${dir}/zones.pack`;
  const written = await writeBundle({ objects: repository, commit: await tipOf(`${dir}/h.git`), path });
  repository.close();
  return { path, ...written };
}

async function tipOf(repository: string) {
  const oid = parseOid((await git(repository, "rev-parse", "main")).trim());
  if (oid === undefined) throw new Error("no tip");
  return oid;
}

/** `OID KIND SIZE PACKED-SIZE OFFSET …` (git-verify-pack(1)). */
function offsetOf(line: string): number {
  return Number(line.trim().split(/\s+/)[4]);
}

function fault(code: StoreErrorCode, message: RegExp) {
  return (error: StoreError) => {
    equal(error.code, code, error.message);
    match(error.message, message);
    return true;
  };
}
