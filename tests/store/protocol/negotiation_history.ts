/** Random histories of two repositories that share their beginnings, as fast-check makes and shrinks them. */
import fc from "fast-check";
import { run } from "../../tools/real.ts";

export interface RandomCommit {
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

export const histories = fc.tuple(
  fc.array(commit(fc.constant("both")), { minLength: 1, maxLength: 60 }),
  fc.array(commit(fc.constantFrom("ours", "theirs")), { minLength: 1, maxLength: 90 }),
).map(([shared, own]) => [...shared, ...own]);

/** The repository of one side: what both have, and its own. A branch for every commit that has no child there. */
export async function importHistory(
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
