/**
 * Throws mutated packs, packets, objects, deltas, indexes and signatures at the store until the time is over or one of
 * them breaks a promise. Ends with exit code 1 and what makes it happen again. The same seed gives the same trials.
 *
 *   deno run --no-prompt tests/fuzz/store_fuzz.ts SECONDS [SEED]
 */
import { seeded } from "./seeded.ts";
import { storeCases } from "./store_cases.ts";

const seconds = Number(Deno.args[0] ?? NaN);
const seed = Number(Deno.args[1] ?? Date.now() % 0x7fff_ffff);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error("usage: store_fuzz.ts SECONDS [SEED]");
  Deno.exit(2);
}

const cases = await storeCases();
const tried = new Map(Object.keys(cases).map((name) => [name, 0]));
const end = performance.now() + seconds * 1000;
console.log(`seed ${seed}`);
for (let round = 0; performance.now() < end; round++) {
  for (const [name, trial] of Object.entries(cases)) {
    try {
      // Each trial has a seed of its own, so that one alone can be had again.
      await trial(seeded(seed + round));
    } catch (error) {
      console.error(`${name} with seed ${seed + round}:`, error);
      Deno.exit(1);
    }
    tried.set(name, (tried.get(name) ?? 0) + 1);
  }
}
console.log([...tried].map(([name, count]) => `${name} ${count}`).join(", "));
