/** Zones and questions out of a generator, for BIND, Knot, NSD and us: one answer, but for the rules' exceptions. */
import { equal } from "node:assert/strict";
import { realTest } from "../tools/real.ts";
import { compareRound, compareZones } from "./differential_run.ts";
import { SIGNERS } from "./differential_signing.ts";
import { signedTree } from "./validation_tree.ts";

const SEEDS = [1, 2, 3];

for (const kind of ["knotd", "nsd", "named"] as const) {
  realTest(`generated questions get the answers of ${kind}`, { needs: [kind] }, async ({ dir }) => {
    const { compared, faults } = await compareRound(dir, {
      kind,
      seeds: SEEDS,
      questions: 4000,
      signing: undefined,
    });
    equal(faults.length, 0, faults.slice(0, 10).join("\n"));
    equal(compared, 4000);
  });

  for (const [index, signing] of (["nsec", "nsec3", "opt-out"] as const).entries()) {
    realTest(
      `zones signed with ${signing} get the answers of ${kind}`,
      { needs: [kind, ...SIGNERS] },
      async ({ dir }) => {
        const seeds = [10 + index];
        const { compared, faults } = await compareRound(dir, { kind, seeds, questions: 1500, signing });
        equal(faults.length, 0, faults.slice(0, 10).join("\n"));
        equal(compared, 1500);
      },
    );
  }

  realTest(
    `a signed tree from the root down gets the answers of ${kind}`,
    { needs: [kind, ...SIGNERS] },
    async ({ dir }) => {
      const { texts } = await signedTree(dir);
      const round = { kind, seeds: [20], questions: 1500, signing: "nsec" } as const;
      const { compared, faults } = await compareZones(dir, texts, round, "signed tree");
      equal(faults.length, 0, faults.slice(0, 10).join("\n"));
      equal(compared, 1500);
    },
  );
}
