import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { checkConnectivity, initRepository, openRepository, parseOid } from "../../store/mod.ts";
import type { Oid, Repository } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertGitAccepts, git, gitBytes } from "./git_fixture.ts";
import { async, makeHistory } from "./pack_fixture.ts";

const limits = { packBytes: 1e8, objectBytes: 1e7, objects: 1e5, deltaDepth: 4096, deltaWork: 1e9 };

realTest(
  "git ends the history where our shallow file says, and accepts the repository",
  { needs: ["git"] },
  async ({ dir }) => {
    const { repository, tip, parent } = await shallowRepository(dir);
    await assertGitAccepts(repository.path);
    equal((await git(repository.path, "log", "--format=%H", "main")).trim(), tip);
    equal((await git(repository.path, "rev-parse", "--is-shallow-repository")).trim(), "true");
    deepEqual(await repository.shallow.list(), new Set([tip]));

    // Taken away, the same history is broken: so it is the file that made it whole.
    await repository.shallow.update({ remove: [tip] });
    deepEqual(await repository.shallow.list(), new Set());
    equal((await git(repository.path, "rev-parse", "--is-shallow-repository")).trim(), "false");
    const broken = await run("git", ["-C", repository.path, "fsck", "--full"], { check: false });
    ok(broken.code !== 0 && broken.stderr.includes(parent) || broken.stdout.includes(parent));
    repository.close();
  },
);

realTest("what git marks is read, ours is kept beside it", { needs: ["git"] }, async ({ dir }) => {
  await makeHistory(`${dir}/h.git`, { files: 3, commits: 5, changes: 1, lines: 5 });
  await run("git", ["clone", "-q", "--bare", "--depth=2", `file://${dir}/h.git`, `${dir}/z.git`]);
  const repository = await openRepository(`${dir}/z.git`);
  const [first, second, third] = (await git(`${dir}/h.git`, "rev-list", "main")).trim().split("\n") as Oid[];
  deepEqual(await repository.shallow.list(), new Set([second]));
  ok(first !== undefined && second !== undefined && third !== undefined);
  await repository.shallow.update({ add: [first] });
  deepEqual(await repository.shallow.list(), new Set([first, second]));
  equal((await git(repository.path, "log", "--format=%H", "main")).trim(), first);
  await repository.shallow.update({ add: [second], remove: [first] });
  await git(repository.path, "fetch", "-q", "--unshallow", `file://${dir}/h.git`, "main");
  deepEqual(await repository.shallow.list(), new Set());
  await assertGitAccepts(repository.path);
  repository.close();
});

realTest(
  "a held lock and a damaged line are told, and nothing changes",
  { needs: ["git"] },
  async ({ dir }) => {
    const { repository, tip } = await shallowRepository(dir);
    const path = `${repository.path}/shallow`;
    await Deno.writeTextFile(`${path}.lock`, "");
    await rejects(repository.shallow.update({ remove: [tip] }), { code: "io" });
    deepEqual(await repository.shallow.list(), new Set([tip]));
    await openRepository(repository.path, { owner: true });
    await repository.shallow.update({ remove: [tip] });
    for (
      const text of [`${tip}\nnot an id\n`, `${tip}\n\n${tip}\n`, `${tip.toUpperCase()}\n`, `${tip} x\n`]
    ) {
      await Deno.writeTextFile(path, text);
      await rejects(repository.shallow.list(), { code: "corrupt" });
      await rejects(repository.shallow.update({ add: [tip] }), { code: "corrupt" });
      equal(await Deno.readTextFile(path), text);
      await rejects(Deno.stat(`${path}.lock`), Deno.errors.NotFound);
    }
    repository.close();
  },
);

async function shallowRepository(dir: string): Promise<{ repository: Repository; tip: Oid; parent: Oid }> {
  await makeHistory(`${dir}/h.git`, { files: 3, commits: 5, changes: 1, lines: 5 });
  const [tip, parent] = (await git(`${dir}/h.git`, "rev-list", "main")).trim().split("\n").map((line) =>
    parseOid(line)
  );
  if (tip === undefined || parent === undefined) throw new Error("no history");
  const objects = (await git(`${dir}/h.git`, "rev-list", "--objects", "--no-walk", tip)).replace(
    / .*$/gm,
    "",
  );
  const pack = await gitBytes(
    `${dir}/h.git`,
    ["pack-objects", "--stdout"],
    new TextEncoder().encode(objects),
  );
  const repository = await initRepository(`${dir}/z.git`);
  const quarantine = await repository.quarantine();
  ok((await quarantine.receivePack(async([pack]), limits)).ok);
  const has = (oid: Oid) => repository.has(oid);
  const whole = await checkConnectivity(quarantine, [tip], has);
  ok(!whole.ok && whole.error.message.includes(parent));
  ok((await checkConnectivity(quarantine, [tip], has, { shallow: new Set([tip]) })).ok);
  await repository.shallow.update({ add: [tip] });
  await quarantine.migrate();
  ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
  return { repository, tip, parent };
}
