/** Histories that end early: every step is done by git beside ours, and the two repositories come to the same. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { fetchFrom, initRepository } from "../../../store/mod.ts";
import type {
  DepthOptions,
  FetchRepository,
  OpenService,
  ProtocolVersion,
  Repository,
} from "../../../store/mod.ts";
import { realTest, run } from "../../tools/real.ts";
import {
  assertSameHistory,
  fetchOptions,
  follow,
  gitRemote,
  history,
  marksOf,
  REMOTES,
  withRepository,
} from "./fetch_remotes.ts";
import { commits, fsck, workTree } from "./git_server.ts";

const VERSIONS = [0, 1, 2] as const;

for (const version of VERSIONS) {
  for (const [name, remoteOf] of REMOTES) {
    realTest(
      `fetches so deep, deepens, cuts off and unshallows as git does, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir, step }) => {
        const work = await branchy(dir);
        const gits = await gitBare(dir);
        const remote = remoteOf(`${work}/.git`);
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const both = (title: string, options: DepthOptions, args: string[]) =>
            step(title, async () => {
              await follow(repository, remote.open, version, options);
              await gitFetch(gits, work, version, args);
              await assertSameHistory(repository.path, gits);
            });
          await both("three commits", { depth: 3 }, ["--depth=3"]);
          equal((await repository.shallow.list()).size > 0, true);
          await commits(work, 2, "later");
          await both("what is new, without more of the old", {}, []);
          await both("two further", { deepenBy: 2 }, ["--deepen=2"]);
          await both("less than there is", { depth: 2 }, ["--depth=2"]);
          await both("since a date", { since: new Date(1_700_000_005_000) }, ["--shallow-since=1700000005"]);
          await commits(work, 1, "last");
          await both("all of it", { unshallow: true }, ["--unshallow"]);
          deepEqual(await marksOf(repository.path), []);
          await both("five again", { depth: 5 }, ["--depth=5"]);
          await both("deeper than there is anything", { depth: 500 }, ["--depth=500"]);
        });
        await remote.ended();
      },
    );

    realTest(
      `takes over where a shallow server's history ends, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await branchy(dir);
        await run("git", [
          "clone",
          "-q",
          "--bare",
          "--depth=4",
          "--no-single-branch",
          `file://${work}`,
          `${dir}/s.git`,
        ]);
        const remote = remoteOf(`${dir}/s.git`);
        await withRepository(`${dir}/ours.git`, async (repository) => {
          await follow(repository, remote.open, version);
          await assertSameHistory(repository.path, `${dir}/s.git`);
          // Ours is the same now, so there is nothing more to accept or refuse.
          await commits(work, 2, "later");
          await run("git", ["fetch", "-q", `file://${work}`, "main:main"], { cwd: `${dir}/s.git` });
          await follow(repository, remote.open, version);
          await assertSameHistory(repository.path, `${dir}/s.git`);
        });
        // Less than the server has, and then on from there: its boundary may come in the place of ours.
        const gits = await gitBare(dir);
        await withRepository(`${dir}/less.git`, async (repository) => {
          await follow(repository, remote.open, version, { depth: 2 });
          await gitFetch(gits, `${dir}/s.git`, version, ["--depth=2"]);
          await assertSameHistory(repository.path, gits);
          await commits(work, 2, "last");
          await run("git", ["fetch", "-q", `file://${work}`, "main:main"], { cwd: `${dir}/s.git` });
          await follow(repository, remote.open, version);
          await gitFetch(gits, `${dir}/s.git`, version, []);
          await assertSameHistory(repository.path, gits);
        });
        await remote.ended();
      },
    );

    realTest(
      `a whole history does not come to end early for a shallow server, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await branchy(dir);
        await run("git", ["clone", "-q", "--bare", work, `${dir}/ours.git`]);
        await commits(work, 9, "later");
        await run("git", ["clone", "-q", "--bare", "--depth=4", `file://${work}`, `${dir}/s.git`]);
        const remote = remoteOf(`${dir}/s.git`);
        await withRepository(`${dir}/ours.git`, async (repository) => {
          const before = await history(repository.path);
          const refused = await fetchFrom(fetchOptions(repository, remote.open, version));
          ok(!refused.ok);
          equal(refused.error.code, "connectivity");
          match(
            refused.error.message,
            /the server's repository is shallow: its history ends at [0-9a-f]{40}/,
          );
          deepEqual(await history(repository.path), before);
          deepEqual(await marksOf(repository.path), []);
          await follow(repository, remote.open, version, { acceptShallow: true });
          equal((await marksOf(repository.path)).length, 1);
          await fsck(repository.path);
        });
        await remote.ended();
      },
    );

    realTest(
      `boundaries of a shallow server inside what we have change nothing, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await branchy(dir);
        await run("git", ["clone", "-q", "--bare", work, `${dir}/ours.git`]);
        await commits(work, 2, "later");
        await run("git", ["clone", "-q", "--bare", "--depth=6", `file://${work}`, `${dir}/s.git`]);
        const remote = remoteOf(`${dir}/s.git`);
        await withRepository(`${dir}/ours.git`, async (repository) => {
          await follow(repository, remote.open, version);
          deepEqual(await marksOf(repository.path), []);
          const whole = await history(`${work}/.git`);
          const ours = await history(repository.path);
          deepEqual(ours, whole);
          await fsck(repository.path);
        });
        await remote.ended();
      },
    );
  }

  if (version === 1) continue; // Of v0 it differs in its first line alone.

  realTest(`killed between any two steps, the next fetch goes on, by v${version}`, {
    needs: ["git"],
  }, async ({ dir, step }) => {
    const work = await branchy(dir);
    const remote = gitRemote(`${work}/.git`);
    const cases: readonly [string, DepthOptions, DepthOptions, string[]][] = [
      ["the first fetch", {}, { depth: 3 }, ["--depth=3"]],
      ["a deepening", { depth: 3 }, { deepenBy: 2 }, ["--deepen=2"]],
      ["a cut", { depth: 6 }, { depth: 2 }, ["--depth=2"]],
      ["an unshallowing", { depth: 3 }, { unshallow: true }, ["--unshallow"]],
    ];
    let serial = 0;
    for (const [title, before, options, args] of cases) {
      for (const point of KILLS) {
        await step(`${title}, ${point}`, async () => {
          const path = `${dir}/ours${serial}.git`;
          const gits = `${dir}/git${serial++}.git`;
          await run("git", ["init", "-q", "--bare", "-b", "main", gits]);
          await withRepository(path, async (repository) => {
            if (before.depth !== undefined) {
              await follow(repository, remote.open, version, before);
              await gitFetch(gits, work, version, [`--depth=${before.depth}`]);
            }
            await killedAt(point, repository, remote.open, version, options);
            await fsck(path);
            await run("git", ["rev-list", "--objects", "--all"], { cwd: path });
          });
          // As after a start: what the killed run left is swept.
          const repository = await initRepository(path, { owner: true });
          try {
            await follow(repository, remote.open, version, options);
          } finally {
            repository.close();
          }
          await gitFetch(gits, work, version, args);
          if (title !== "a deepening" || KILLS.indexOf(point) < 2) return await assertSameHistory(path, gits);
          // Its objects and marks were in: deeper it went already, and now it goes deeper again.
          await fsck(path);
          const ours = new Set((await history(path)).objects);
          ok((await history(gits)).objects.every((oid) => ours.has(oid)));
        });
      }
    }
    await remote.ended();
  });

  realTest(`a whole fetch after a shallow one that was killed is whole, by v${version}`, {
    needs: ["git"],
  }, async ({ dir }) => {
    const work = await branchy(dir);
    const remote = gitRemote(`${work}/.git`);
    await withRepository(`${dir}/ours.git`, async (repository) => {
      await killedAt("before the objects", repository, remote.open, version, { depth: 3 });
      ok((await marksOf(repository.path)).length > 0);
      await follow(repository, remote.open, version);
      deepEqual(await marksOf(repository.path), []);
      deepEqual(await history(repository.path), await history(`${work}/.git`));
    });
    await remote.ended();
  });
}

realTest(
  "depths that make no sense are refused before anything is asked",
  { needs: ["git"] },
  async ({ dir }) => {
    await withRepository(`${dir}/ours.git`, async (repository) => {
      const work = await branchy(dir);
      const remote = gitRemote(`${work}/.git`);
      for (
        const options of [
          { depth: 0 },
          { depth: -1 },
          { depth: 1.5 },
          { deepenBy: NaN },
          { since: new Date(0) },
          { since: new Date(NaN) },
          { depth: 1, since: new Date(1e12) },
          { depth: 1, unshallow: true },
        ]
      ) {
        const outcome = await fetchFrom(fetchOptions(repository, remote.open, 2, options));
        equal(outcome.ok || outcome.error.code, "malformed");
      }
      // Of a whole history there is nothing to deepen.
      await follow(repository, remote.open, 2);
      for (const options of [{ unshallow: true }, { deepenBy: 3 }]) {
        equal((await follow(repository, remote.open, 2, options)).received, undefined);
      }
      await remote.ended();
    });
  },
);

realTest(
  "a depth cuts off what the fetch is about, and no other branch",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await branchy(dir);
    await run("git", ["clone", "-q", "--bare", work, `${dir}/ours.git`]);
    await run("git", ["branch", "-m", "main", "other"], { cwd: `${dir}/ours.git` });
    await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/theirs.git`]);
    await commits(`${dir}/theirs.git`, 6, "theirs");
    const remote = gitRemote(`${dir}/theirs.git`);
    await withRepository(`${dir}/ours.git`, async (repository) => {
      const before = (await history(repository.path)).commits.length;
      await follow(repository, remote.open, 2, { depth: 2 });
      equal((await history(repository.path)).commits.length, before + 2);
    });
    await remote.ended();
  },
);

const KILLS = [
  "before the marks",
  "before the objects",
  "before marks are taken away",
  "after the last mark",
] as const;

/** A fetch whose process ends at a point: nothing after it happens, not even the clearing up. */
async function killedAt(
  point: (typeof KILLS)[number],
  repository: Repository,
  open: OpenService,
  version: ProtocolVersion,
  options: DepthOptions,
): Promise<void> {
  class Killed extends Error {}
  const dies = (at: (typeof KILLS)[number]) => {
    if (at === point) throw new Killed();
  };
  let discard = () => Promise.resolve();
  const mortal: FetchRepository = {
    read: repository.read,
    has: repository.has,
    refs: repository.refs,
    shallow: {
      list: () => repository.shallow.list(),
      async update(change) {
        dies(change.add === undefined ? "before marks are taken away" : "before the marks");
        await repository.shallow.update(change);
      },
    },
    async quarantine() {
      const quarantine = await repository.quarantine();
      discard = quarantine.discard;
      return {
        ...quarantine,
        async migrate() {
          dies("before the objects");
          await quarantine.migrate();
        },
        discard: () => Promise.resolve(),
      };
    },
  };
  try {
    const outcome = await fetchFrom(fetchOptions(mortal, open, version, options));
    if (!outcome.ok) throw outcome.error;
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  await discard();
}

/** Ten commits a second apart with a side branch merged in their midst, and a branch that stays apart. */
async function branchy(dir: string): Promise<string> {
  const work = await workTree(dir);
  await commits(work, 4);
  await run("git", ["checkout", "-q", "-b", "side"], { cwd: work });
  await commits(work, 3, "side");
  await run("git", ["checkout", "-q", "main"], { cwd: work });
  await commits(work, 2, "main");
  await run("git", ["merge", "-q", "--no-ff", "-m", "merge", "side"], {
    cwd: work,
    env: { GIT_AUTHOR_DATE: "1700000010 +0000", GIT_COMMITTER_DATE: "1700000010 +0000" },
  });
  await commits(work, 3, "more");
  return work;
}

async function gitBare(dir: string): Promise<string> {
  await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/gits.git`]);
  return `${dir}/gits.git`;
}

async function gitFetch(into: string, from: string, version: number, args: readonly string[]): Promise<void> {
  await run("git", [
    "-c",
    `protocol.version=${version}`,
    "fetch",
    "-q",
    "--no-tags",
    "--update-shallow",
    ...args,
    `file://${from}`,
    "+refs/heads/*:refs/heads/*",
  ], { cwd: into });
}
