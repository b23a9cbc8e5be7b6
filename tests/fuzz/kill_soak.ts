/**
 * `kill_soak.ts SECONDS [SEED]`: a real server under load, killed at random moments, held against what it had
 * acknowledged. Prints the seed first, so that a run that finds something can be made again.
 */
import { soak } from "./soak.ts";

const seconds = Number(Deno.args[0] ?? 60);
const seed = Number(Deno.args[1] ?? crypto.getRandomValues(new Uint32Array(1))[0]);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error("usage: kill_soak.ts SECONDS [SEED]");
  Deno.exit(2);
}
console.log(`seed ${seed}`);
const dir = await Deno.makeTempDir({ prefix: "bailiwick-soak-" });
const summary = await soak({ dir, seed, seconds, say: (line) => console.log(line) }).catch((error) => {
  console.error(error instanceof Error ? error.message : error);
  console.error(`what it left is in ${dir}`);
  Deno.exit(1);
});
await Deno.remove(dir, { recursive: true });
console.log(JSON.stringify(summary));
