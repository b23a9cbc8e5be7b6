/** What git gets from us, beside what it gets from git: repositories and requests that are out of the ordinary. */
import { equal, ok } from "node:assert/strict";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, workTree } from "./git_server.ts";
import { serving } from "./upload_server.ts";

for (const version of [0, 1, 2]) {
  realTest(
    `a HEAD that is detached is shown and cloned, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const path = await tagged(dir);
      await run("git", ["update-ref", "--no-deref", "HEAD", "main~1"], { cwd: path });
      // No ref leads to what it names.
      await run("git", ["update-ref", "refs/heads/main", "main~2"], { cwd: path });
      ok((await sameAsGit(dir, path, version, listing)).includes("\tHEAD\n"));
      await sameAsGit(dir, path, version, clone("--mirror"));
      await sameAsGit(dir, path, version, clone("--bare", "--depth=1"));
    },
  );

  realTest(
    `a HEAD that is yet to be born, and refs that are tags alone, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const path = await tagged(dir);
      await run("git", ["symbolic-ref", "HEAD", "refs/heads/unborn"], { cwd: path });
      await sameAsGit(dir, path, version, listing);
      await sameAsGit(dir, path, version, clone("--bare"));
      await run("git", ["update-ref", "-d", "refs/heads/main"], { cwd: path });
      await sameAsGit(dir, path, version, listing);
      await sameAsGit(dir, path, version, clone("--bare"));
    },
  );

  realTest(
    `tags of trees and blobs come with what they name, and stand in no deepening's way, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const path = await tagged(dir);
      const short = clone("--depth=2");
      ok((await sameAsGit(dir, path, version, short)).includes("refs/tags/of-tree"));
      const whole = await sameAsGit(dir, path, version, async (git, url, to) => {
        await short(git, url, to);
        await git("-C", to, "fetch", "-q", "--unshallow");
        return await state(to);
      });
      ok(whole.includes("shallow=false"));
      // A client that lacks nothing but a tag.
      await sameAsGit(dir, path, version, async (git, url, to) => {
        await clone("--depth=2", "--no-tags")(git, url, to);
        await git("-C", to, "fetch", "-q", "--unshallow", "origin", "tag", "of-blob");
        return await state(to);
      });
    },
  );
}

type Git = (...args: string[]) => ReturnType<typeof gitV>;

const listing = async (git: Git, url: string) => (await git("ls-remote", "--symref", url)).stdout;

const clone = (...how: string[]) => async (git: Git, url: string, to: string) => {
  await git("clone", "-q", ...how, url, to);
  return await state(to);
};

/** Does the same to git's upload-pack and to ours, and gives what came of both. */
async function sameAsGit(
  dir: string,
  path: string,
  version: number,
  act: (git: Git, url: string, to: string) => Promise<string>,
): Promise<string> {
  const git: Git = (...args) => gitV(version, args);
  await run("rm", ["-rf", `${dir}/theirs`, `${dir}/ours`]);
  const theirs = await act(git, `file://${path}`, `${dir}/theirs`);
  await serving(path, {}, async (url) => {
    equal(await act(git, url, `${dir}/ours`), theirs);
  });
  return theirs;
}

/** Refs, objects that they reach, and where history ends. */
async function state(path: string): Promise<string> {
  await fsck(path);
  const refs = (await run("git", ["show-ref", "--head"], { cwd: path, check: false })).stdout;
  const objects = (await run("git", ["rev-list", "--all", "--objects"], { cwd: path })).stdout;
  const shallow = (await run("git", ["rev-parse", "--is-shallow-repository"], { cwd: path })).stdout;
  return `${refs}${objects.split("\n").sort().join("\n")}shallow=${shallow}`;
}

/** A bare repository of six commits, with tags of each kind of object. */
async function tagged(dir: string): Promise<string> {
  const work = await workTree(dir);
  await commits(work, 6);
  await run("git", ["tag", "-a", "-m", "commit", "of-commit", "main~3"], { cwd: work });
  await run("git", ["tag", "-a", "-m", "tag", "of-tag", "of-commit"], { cwd: work });
  await run("git", ["tag", "-a", "-m", "tree", "of-tree", "main^{tree}"], { cwd: work });
  const blob =
    (await run("git", ["ls-tree", "-r", "--object-only", "main"], { cwd: work })).stdout.split("\n")[0];
  ok(blob !== undefined);
  await run("git", ["tag", "-a", "-m", "blob", "of-blob", blob], { cwd: work });
  await run("git", ["tag", "tree", "main~4^{tree}"], { cwd: work });
  await run("git", ["clone", "-q", "--mirror", work, `${dir}/served.git`]);
  return `${dir}/served.git`;
}
