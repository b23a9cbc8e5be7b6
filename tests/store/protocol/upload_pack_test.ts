/** git fetches from our upload-pack, in every version of the protocol. */
import { equal, match, ok } from "node:assert/strict";
import { makeHistory } from "../pack_fixture.ts";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, oidOf, workTree } from "./git_server.ts";
import { serving } from "./upload_server.ts";

for (const version of [0, 1, 2]) {
  realTest(`git clones, and fetches what is new, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 3);
    await run("git", ["tag", "-a", "-m", "first", "v1"], { cwd: work });
    await serving(`${work}/.git`, {}, async (url, sent) => {
      await gitV(version, ["clone", url, `${dir}/clone`]);
      equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "HEAD"));
      equal(await oidOf(`${dir}/clone`, "v1"), await oidOf(work, "v1"));
      equal(
        (await run("git", ["symbolic-ref", "HEAD"], { cwd: `${dir}/clone` })).stdout,
        "refs/heads/main\n",
      );
      await fsck(`${dir}/clone`);

      await commits(work, 2, "later");
      await run("git", ["tag", "-a", "-m", "second", "v2"], { cwd: work });
      sent.length = 0;
      await gitV(version, ["fetch"], { cwd: `${dir}/clone` });
      equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "HEAD"));
      equal(await oidOf(`${dir}/clone`, "v2"), await oidOf(work, "v2"));
      // Two commits with a tree and a blob each, and the tag: nothing of what the clone had.
      equal(sent.reduce((sum, count) => sum + count, 0), 7);
      await fsck(`${dir}/clone`);

      sent.length = 0;
      await gitV(version, ["fetch"], { cwd: `${dir}/clone` });
      equal(sent.length, 0);
    });
  });

  realTest(
    `a long history of the client's own takes rounds of haves, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 4);
      await serving(`${work}/.git`, {}, async (url, sent) => {
        await gitV(version, ["clone", url, `${dir}/clone`]);
        await commits(`${dir}/clone`, 150, "mine");
        await commits(work, 3, "theirs");
        sent.length = 0;
        await gitV(version, ["fetch"], { cwd: `${dir}/clone` });
        equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "HEAD"));
        equal(sent.reduce((sum, count) => sum + count, 0), 9);
        await fsck(`${dir}/clone`);
      });
    },
  );

  realTest(
    `what is stored as deltas is sent as deltas, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      await makeHistory(`${dir}/h.git`, { files: 30, commits: 40, changes: 2, lines: 40 });
      await run("git", ["repack", "-adfq"], { cwd: `${dir}/h.git` });
      await serving(`${dir}/h.git`, {}, async (url) => {
        await gitV(version, ["clone", "-q", "--bare", url, `${dir}/clone`]);
      });
      await fsck(`${dir}/clone`);
      const deltas = async (repository: string) => {
        const { stdout } = await run(
          "git",
          ["cat-file", "--batch-all-objects", "--batch-check=%(deltabase)"],
          {
            cwd: repository,
          },
        );
        return stdout.split("\n").filter((base) => /[1-9a-f]/.test(base)).length;
      };
      const stored = await deltas(`${dir}/h.git`);
      ok(stored > 50);
      equal(await deltas(`${dir}/clone`), stored);
    },
  );

  realTest(`an unrelated history is sent whole, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 3);
    await serving(`${work}/.git`, {}, async (url, sent) => {
      await run("git", ["init", "-q", "-b", "main", `${dir}/other`]);
      await commits(`${dir}/other`, 40, "unrelated");
      await gitV(version, ["fetch", url, "main:refs/heads/theirs"], { cwd: `${dir}/other` });
      equal(await oidOf(`${dir}/other`, "theirs"), await oidOf(work, "HEAD"));
      equal(sent.reduce((sum, count) => sum + count, 0), 9);
      await fsck(`${dir}/other`);
    });
  });

  realTest(`an empty repository can be cloned, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    await run("git", ["init", "-q", "--bare", "-b", "trunk", `${dir}/empty.git`]);
    await serving(`${dir}/empty.git`, {}, async (url) => {
      const { stderr } = await gitV(version, ["clone", url, `${dir}/clone`]);
      match(stderr, /empty repository/);
      // Only v2 can tell what an unborn HEAD stands for.
      if (version === 2) {
        equal(
          (await run("git", ["symbolic-ref", "HEAD"], { cwd: `${dir}/clone` })).stdout,
          "refs/heads/trunk\n",
        );
      }
    });
  });

  realTest(`a hidden ref is not seen and not given, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 1);
    await run("git", ["checkout", "-q", "-b", "secret"], { cwd: work });
    await commits(work, 1, "secret");
    const hidden = await oidOf(work, "secret");
    await run("git", ["checkout", "-q", "main"], { cwd: work });
    await serving(`${work}/.git`, { visible: (name) => name !== "refs/heads/secret" }, async (url) => {
      const { stdout } = await gitV(version, ["ls-remote", url]);
      match(stdout, /refs\/heads\/main/);
      ok(!stdout.includes("secret"));
      await run("git", ["init", "-q", `${dir}/thief`]);
      const refused = await gitV(version, ["fetch", url, hidden], { cwd: `${dir}/thief`, check: false });
      ok(refused.code !== 0);
      match(refused.stderr, new RegExp(`not our ref ${hidden}`));
      // What a visible ref reaches may be asked for by its id.
      const parent = await oidOf(work, "main");
      await gitV(version, ["fetch", url, parent], { cwd: `${dir}/thief` });
      await fsck(`${dir}/thief`);
    });
  });
}
