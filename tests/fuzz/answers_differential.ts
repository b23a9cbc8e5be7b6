/**
 * Compares answers with BIND's, Knot's and NSD's until the time is over: each round has new zones, unsigned or signed, and
 * new questions. Prints each difference that no rule allows, with what makes it again, and ends with exit code 1 then.
 *
 *   deno run --no-prompt tests/fuzz/answers_differential.ts SECONDS [SEED]
 */
import type { ServerKind } from "../dns/answer_servers.ts";
import { compareRound } from "../dns/differential_run.ts";
import { SIGNERS, type Signing } from "../dns/differential_signing.ts";
import { findProgram } from "../tools/real.ts";

const seconds = Number(Deno.args[0] ?? NaN);
const firstSeed = Number(Deno.args[1] ?? 1 + Date.now() % 1_000_000);
if (!(seconds > 0) || !Number.isInteger(firstSeed) || firstSeed < 1) {
  console.error("usage: answers_differential.ts SECONDS [SEED]");
  Deno.exit(2);
}

const KINDS: readonly ServerKind[] = (["knotd", "nsd", "named"] as const).filter((kind) => findProgram(kind));
const canSign = SIGNERS.every((program) => findProgram(program));
const SIGNINGS: readonly (Signing | undefined)[] = canSign
  ? [undefined, "nsec", "nsec3", "opt-out"]
  : [undefined];
if (KINDS.length === 0) {
  console.error("none of knotd, nsd and named is installed");
  Deno.exit(2);
}

const end = performance.now() + seconds * 1000;
const rules = new Map<string, number>();
let compared = 0;
let differing = 0;
for (let seed = firstSeed; performance.now() < end; seed++) {
  for (const signing of SIGNINGS) {
    for (const kind of KINDS) {
      const dir = await Deno.makeTempDir({ prefix: "bailiwick-differential-" });
      try {
        const outcome = await compareRound(dir, { kind, seeds: [seed], questions: 5000, signing });
        compared += outcome.compared;
        differing += outcome.faults.length;
        for (const fault of outcome.faults) console.log(`${kind}, ${fault}`);
        for (const [name, count] of outcome.rules) {
          rules.set(`${kind}: ${name}`, (rules.get(`${kind}: ${name}`) ?? 0) + count);
        }
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    }
  }
}
console.log(`seeds from ${firstSeed}: ${compared} answers compared, ${differing} differ`);
for (const [name, count] of [...rules].sort()) console.log(`${String(count).padStart(8)}  ${name}`);
Deno.exit(differing > 0 ? 1 : 0);
