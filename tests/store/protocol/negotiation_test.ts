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

interface RandomCommit {
  readonly side: "both" | "ours" | "theirs";
  readonly parents: readonly number[];
  readonly file: number;
  /** Seconds that the commit's clock is off. */
  readonly skew: number;
}

const commit = (side: fc.Arbitrary<RandomCommit["side"]>) =>
  fc.record({
    side,
    parents: fc.oneof(
      { weight: 8, arbitrary: fc.tuple(fc.constant(0)) },
      { weight: 3, arbitrary: fc.array(fc.nat(6), { maxLength: 3 }) },
    ),
    file: fc.nat(4),
    skew: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, {
      weight: 1,
      arbitrary: fc.integer({ min: -30, max: 30 }),
    }),
  });

const histories = fc.tuple(
  fc.array(commit(fc.constant("both")), { minLength: 1, maxLength: 60 }),
  fc.array(commit(fc.constantFrom("ours", "theirs")), { minLength: 1, maxLength: 90 }),
).map(([shared, own]) => [...shared, ...own]);

/** How many objects more than git may come: a commit, its tree and its file. */
const MORE = 3;

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
          ok(ours <= gits + MORE, `${ours} objects came where git fetches ${gits}`);
          await Deno.remove(base, { recursive: true });
        }),
        { numRuns: 6 },
      );
    });
  }
}

/** The repository of one side: what both have, and its own. A branch for every commit that has no child there. */
async function importHistory(
  path: string,
  commits: readonly RandomCommit[],
  side: "ours" | "theirs",
): Promise<void> {
  await run("git", ["init", "-q", "--bare", path]);
  const here: number[] = [];
  const heads = new Set<number>();
  let stream = "";
  for (const [index, { side: of, parents, file, skew }] of commits.entries()) {
    if (of !== "both" && of !== side) continue;
    const chosen = new Set<number>();
    // Counted back from the newest of this side, so most commits follow on the last.
    for (const back of parents) if (back < here.length) chosen.add(here[here.length - 1 - back]);
    const text = `file ${index} of ${of}\n`;
    const time = 1_700_000_000 + 10 * index + skew;
    stream += "reset refs/heads/x\n";
    stream += `commit refs/heads/x\nmark :${index + 1}\ncommitter T <t@example.test> ${time} +0000\n`;
    stream += `data ${text.length}\n${text}`;
    for (const [place, parent] of [...chosen].entries()) {
      stream += `${place === 0 ? "from" : "merge"} :${parent + 1}\n`;
      heads.delete(parent);
    }
    stream += `M 644 inline dir${file % 2}/f${file}\ndata ${text.length}\n${text}\n`;
    here.push(index);
    heads.add(index);
  }
  stream += "reset refs/heads/x\n\n";
  for (const head of heads) stream += `reset refs/heads/h${head}\nfrom :${head + 1}\n\n`;
  await run("git", ["-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet", "--force"], {
    cwd: path,
    stdin: stream,
  });
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
