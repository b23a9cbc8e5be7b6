/**
 * Random histories, fetched from `git upload-pack` by us and by git with the same algorithm: what arrives is whole, and
 * hardly more than what git fetches.
 */
import { deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { fetchFrom, initRepository } from "../../../store/mod.ts";
import type { NegotiatorName } from "../../../store/mod.ts";
import { realTest, run } from "../../tools/real.ts";
import { fetchOptions, gitRemote } from "./fetch_remotes.ts";
import { fsck } from "./git_server.ts";
import { histories, importHistory } from "./negotiation_history.ts";

/** How many objects more than git may come: a commit, its tree and its file. */
const MORE = 3;

// Skipping leaves out the more the further it is from its own tips, up to half as many commits again, and which ones those
// are hangs on the order of the queue: git's takes a commit that it has not read yet for one of 1970, ours reads it first.

for (const negotiator of ["consecutive", "skipping", "noop"] as const) {
  for (const version of [0, 1, 2] as const) {
    realTest(`random histories by v${version}, ${negotiator}: whole, and no more than git fetches`, {
      needs: ["git"],
    }, async ({ dir }) => {
      let serial = 0;
      await fc.assert(
        fc.asyncProperty(histories, async (commits) => {
          const base = `${dir}/${serial++}`;
          await Promise.all([
            importHistory(`${base}/theirs.git`, commits, "theirs"),
            importHistory(`${base}/ours.git`, commits, "ours"),
            importHistory(`${base}/gits.git`, commits, "ours"),
          ]);
          const ours = await ourFetch(`${base}/ours.git`, `${base}/theirs.git`, version, negotiator);
          const gits = await gitFetch(`${base}/gits.git`, `${base}/theirs.git`, version, negotiator);
          await fsck(`${base}/ours.git`);
          deepEqual(await revisions(`${base}/ours.git`), await revisions(`${base}/gits.git`));
          const own = commits.filter(({ side }) => side === "ours").length;
          const room = negotiator === "skipping" ? MORE + 3 * Math.ceil(own / 2) : MORE;
          ok(ours <= gits + room, `${ours} objects came where git fetches ${gits}`);
          await Deno.remove(base, { recursive: true });
        }),
        { numRuns: 6 },
      );
    });
  }
}

async function ourFetch(
  into: string,
  from: string,
  version: 0 | 1 | 2,
  negotiator: NegotiatorName,
): Promise<number> {
  const repository = await initRepository(into);
  const remote = gitRemote(from);
  try {
    const outcome = await fetchFrom(fetchOptions(repository, remote.open, version, { negotiator }));
    if (!outcome.ok) throw outcome.error;
    for (const [name, oid] of outcome.value.refs) {
      const moved = await repository.refs.move({
        name: name.replace("refs/heads/", "refs/theirs/"),
        old: undefined,
        new: oid,
      });
      if (!moved.ok) throw new Error(moved.error.message);
    }
    return outcome.value.received?.objects ?? 0;
  } finally {
    repository.close();
    await remote.ended();
  }
}

async function gitFetch(
  into: string,
  from: string,
  version: number,
  negotiator: NegotiatorName,
): Promise<number> {
  const { stderr } = await run("git", [
    "-c",
    `protocol.version=${version}`,
    "-c",
    `fetch.negotiationAlgorithm=${negotiator}`,
    "fetch",
    "--no-tags",
    "--progress",
    `file://${from}`,
    "+refs/heads/*:refs/theirs/*",
  ], { cwd: into });
  return Number(/^remote: Total (\d+) /m.exec(stderr)?.[1] ?? 0);
}

async function revisions(path: string): Promise<string[]> {
  const { stdout } = await run("git", ["rev-list", "--objects", "--all"], { cwd: path });
  return stdout.split("\n").map((line) => line.slice(0, 40)).sort();
}
