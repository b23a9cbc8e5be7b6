/** Random histories, cut off and deepened at random: after each fetch ours and git's end in the same places. */
import fc from "fast-check";
import type { DepthOptions } from "../../../store/mod.ts";
import { realTest, run } from "../../tools/real.ts";
import { assertSameHistory, follow, gitRemote, withRepository } from "./fetch_remotes.ts";
import { histories, importHistory } from "./negotiation_history.ts";

/** A fetch by our options and by git's; `undefined` for one that leaves the boundaries where they are. */
const fetches = fc.oneof(
  fc.integer({ min: 1, max: 12 }).map((depth): Fetch => [{ depth }, [`--depth=${depth}`]]),
  fc.integer({ min: 1, max: 5 }).map((deepenBy): Fetch => [{ deepenBy }, [`--deepen=${deepenBy}`]]),
  fc.constant<Fetch>([{ unshallow: true }, ["--unshallow"]]),
  fc.constant<Fetch>([{}, []]),
);
type Fetch = readonly [DepthOptions, string[]];

for (const version of [0, 2] as const) {
  realTest(`random histories cut off and deepened at random end where git's do, by v${version}`, {
    needs: ["git"],
  }, async ({ dir }) => {
    let serial = 0;
    const steps = fc.array(fetches, { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(histories, fc.integer({ min: 1, max: 6 }), steps, async (commits, first, more) => {
        const base = `${dir}/${serial++}`;
        // What both have is what the server has at first; what is theirs comes to it before the last fetch.
        const early = commits.filter(({ side }) => side === "both");
        await importHistory(`${base}/theirs.git`, early, "theirs");
        await importHistory(`${base}/later.git`, commits, "theirs");
        await run("git", ["init", "-q", "--bare", `${base}/gits.git`]);
        const remote = gitRemote(`${base}/theirs.git`);
        await withRepository(`${base}/ours.git`, async (repository) => {
          const plan: Fetch[] = [[{ depth: first }, [`--depth=${first}`]], ...more];
          for (const [index, [options, args]] of plan.entries()) {
            if (index === plan.length - 1) await grow(`${base}/theirs.git`, `${base}/later.git`);
            const shallow = (await repository.shallow.list()).size > 0;
            const local = await repository.refs.list();
            await follow(repository, remote.open, version, {
              ...options,
              // As git has it: a depth is for the branches that moved, or else for all.
              want(refs) {
                const moved = [...refs].filter(([name, oid]) => local.get(name) !== oid);
                return (moved.length > 0 ? moved : [...refs]).map(([, oid]) => oid);
              },
            });
            // git will not deepen what is whole; ours fetches then as if it had not been asked to.
            const deepening = options.deepenBy !== undefined || options.unshallow === true;
            await gitFetch(
              `${base}/gits.git`,
              `${base}/theirs.git`,
              version,
              shallow || !deepening ? args : [],
            );
            await assertSameHistory(repository.path, `${base}/gits.git`);
          }
        });
        await remote.ended();
        await Deno.remove(base, { recursive: true });
      }),
      { numRuns: 5 },
    );
  });
}

async function grow(into: string, from: string): Promise<void> {
  await run("git", ["fetch", "-q", "--no-tags", from, "+refs/heads/*:refs/heads/*"], { cwd: into });
}

async function gitFetch(into: string, from: string, version: number, args: readonly string[]): Promise<void> {
  await run("git", [
    "-c",
    `protocol.version=${version}`,
    "fetch",
    "-q",
    "--no-tags",
    ...args,
    `file://${from}`,
    "+refs/heads/*:refs/heads/*",
  ], { cwd: into });
}
