/**
 * Whether memory grows: our server is asked 50 million times, or as often as said; ends with the growth in MB between
 * the twentieth part, when all is compiled and warm, and the end. Existing and missing names in turn.
 *
 *   deno task soak:answers [QUERIES] [--root DIR] [--bare] [--config FILE] [--json]
 */
import { dnsperf } from "./dnsperf.ts";
import { benchOptions, count } from "./options.ts";
import { startOurs } from "./ours.ts";
import { memoryOf } from "./processes.ts";
import { chosen } from "./scenarios.ts";

const options = benchOptions("[QUERIES] [--root DIR] [--bare] [--config FILE] [--json]");
const queries = count(options.words[0], 50_000_000);
// dnsperf goes through whole files only.
const PARTS = Math.max(2, Math.min(20, Math.round(queries / 500_000)));

const [existing, missing] = [chosen("a")[0], chosen("c")[0]];
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  const files = await existing.files();
  const questions = [files.questions, (await missing.files()).questions];
  const server = await startOurs(dir, { origin: files.origin, file: files.zone, denial: undefined }, options);
  try {
    let asked = 0;
    let lost = 0;
    let warm: number | undefined;
    let now = (await memoryOf(server.pid)).resident;
    tell({ queries: asked, residentMb: now });
    for (let part = 1; part <= PARTS; part++) {
      const target = queries * part / PARTS;
      for (let i = 0; asked < target; i++) {
        const load = await dnsperf(server.port, questions[i % 2], existing.asking, { runs: 1 });
        if (load.completed === 0) throw new Error("the server answers nothing more");
        asked += load.completed;
        lost += load.lost;
      }
      now = (await memoryOf(server.pid)).resident;
      warm ??= now;
      tell({ queries: asked, lost, residentMb: now });
    }
    tell({ queries: asked, lost, residentMb: now, growthMb: now - (warm ?? now) });
  } finally {
    await server.stop();
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}
Deno.exit(0);

function tell(figures: Record<string, number>): void {
  const rounded = Object.fromEntries(
    Object.entries(figures).map(([key, value]) => [key, Number(value.toFixed(1))]),
  );
  if (options.json) console.log(JSON.stringify(rounded));
  else console.log(Object.entries(rounded).map(([key, value]) => `${key} ${value}`).join("  "));
}
