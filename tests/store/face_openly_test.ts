/** Which repositories may be served to anybody, and what it costs to ask. */
import { equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  commitOn,
  initRepositoryOn,
  mayServeOpenly,
  memoryDevice,
  runtimeTools,
  utf8,
} from "../../store/mod.ts";
import type { ObjectReader, Oid, Repository } from "../../store/mod.ts";
import { person } from "./protocol/push_world.ts";

const MAIN = "refs/heads/main";

Deno.test("key files are found under every name that they have, and nothing else is taken for one", async () => {
  const cases: readonly [string, boolean][] = [
    ["_keys", true],
    ["zones/_keys", true],
    ["a/b/c/example.test._keys", true],
    ["EXAMPLE._KEYS", true],
    ["_keys/readme", false],
    ["x_keys", false],
    ["_keys.md", false],
    ["keys", false],
  ];
  for (const [path, secret] of cases) {
    const repository = await fresh();
    await grow(repository, { "zones/example.test": "zone", [path]: "content" });
    const may = await mayServeOpenly(repository);
    equal(may.ok, !secret, path);
    if (!may.ok) match(may.error.message, new RegExp(`^${path.replaceAll(".", "\\.")} in refs/heads/main`));
    repository.close();
  }
});

Deno.test("a tag that leads to keys, and a tag on a folder of them, count as well", async () => {
  const repository = await fresh();
  const secret = await grow(repository, { "_keys": "secret" });
  ok((await repository.refs.move({ name: MAIN, old: secret, new: undefined })).ok);
  ok((await mayServeOpenly(repository)).ok);
  const header = `object ${secret}\ntype commit\ntag v1\ntagger T <t@example.test> 1 +0000\n\nv1\n`;
  const tag = await repository.write("tag", utf8(header));
  ok((await repository.refs.move({ name: "refs/tags/v1", old: undefined, new: tag })).ok);
  const may = await mayServeOpenly(repository);
  ok(!may.ok);
  match(may.error.message, /refs\/tags\/v1/);
  repository.close();
});

Deno.test("asked again it reads what came since, and nothing where nothing came", async () => {
  const repository = await fresh();
  for (let i = 0; i < 50; i++) {
    await grow(repository, { [`zones/${i % 7}/${i}.test`]: `zone ${i}`, "serial": `${i}` });
  }
  let reads = 0;
  const counted: ObjectReader & Pick<Repository, "refs" | "shallow"> = {
    ...repository,
    read(oid) {
      reads++;
      return repository.read(oid);
    },
  };
  ok((await mayServeOpenly(counted)).ok);
  ok(reads > 50);
  reads = 0;
  ok((await mayServeOpenly(counted)).ok);
  equal(reads, 0);
  await grow(repository, { "zones/3/new.test": "one more" });
  ok((await mayServeOpenly(counted)).ok);
  // The commit, its tree, and the two folders on the way to what is new.
  equal(reads, 4);
  repository.close();
});

Deno.test("what is remembered never hides keys, whatever was asked before", async () => {
  const path = fc.constantFrom("a", "zones/a", "zones/b", "_keys", "zones/b._keys");
  const step = fc.record({
    path,
    content: fc.constantFrom("1", "2", undefined),
    branch: fc.constantFrom("x", "y"),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async (steps) => {
      const repository = await fresh();
      const tainted = new Map<string, boolean>();
      for (const { path, content, branch } of steps) {
        const before = await repository.refs.get(`refs/heads/${branch}`);
        const after = await grow(repository, { [path]: content }, `refs/heads/${branch}`);
        if (after !== before && content !== undefined && path.endsWith("_keys")) tainted.set(branch, true);
        const may = await mayServeOpenly(repository);
        equal(may.ok, tainted.size === 0, JSON.stringify(steps));
        const onlyX = await mayServeOpenly(repository, { visible: (name) => name === "refs/heads/x" });
        equal(onlyX.ok, tainted.get("x") !== true);
      }
      repository.close();
    }),
    { numRuns: 40 },
  );
});

function fresh(): Promise<Repository> {
  return initRepositoryOn(memoryDevice(), runtimeTools);
}

/** Commits onto a branch and moves it. */
async function grow(
  repository: Repository,
  files: Record<string, string | undefined>,
  ref = MAIN,
): Promise<Oid | undefined> {
  const base = await repository.refs.get(ref);
  const changes = new Map(
    Object.entries(files).map(([path, content]) => [path, content === undefined ? undefined : utf8(content)]),
  );
  const made = await commitOn(repository, { base, changes, author: person("ours"), message: "m\n" });
  if (made.kind === "unchanged") return base;
  const moved = await repository.refs.move({ name: ref, old: base, new: made.commit });
  if (!moved.ok) throw new Error(moved.error.message);
  return made.commit;
}
