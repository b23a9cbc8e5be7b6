/** A short run of tests/fuzz/store_fuzz.ts, always the same. */
import { seeded } from "../fuzz/seeded.ts";
import { storeCases } from "../fuzz/store_cases.ts";

const trials: Readonly<Record<string, number>> = { packs: 1500, services: 600, signatures: 400 };

for (const [name, trial] of Object.entries(await storeCases())) {
  Deno.test(`mutated ${name} break no promise`, async () => {
    for (let seed = 1; seed <= (trials[name] ?? 5000); seed++) {
      try {
        await trial(seeded(seed * 2_654_435));
      } catch (error) {
        throw new Error(`${name} with seed ${seed * 2_654_435}`, { cause: error });
      }
    }
  });
}
