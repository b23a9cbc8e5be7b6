/**
 * What collision detection costs: MB per second of CPU of the runtime's SHA-1, of the plain algorithm without detection, and of the
 * detecting one, in rounds by turns; then the same for many small objects.
 *
 *     deno run tests/bench/sha1_bench.ts [ROUNDS]
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { compress, expandBlock } from "../../store/sha1/compress.ts";
import { newDetectingSha1 } from "../../store/sha1/detecting_sha1.ts";

const rounds = Number(Deno.args[0] ?? 5);
const megabytes = 16;
const bytes = new Uint8Array(megabytes << 20);
for (let at = 0; at < bytes.length; at += 1 << 16) crypto.getRandomValues(bytes.subarray(at, at + (1 << 16)));

const contenders: Readonly<Record<string, (bytes: Uint8Array) => void>> = {
  "node:crypto": (bytes) => void createHash("sha1").update(bytes).digest(),
  "plain, without detection": (bytes) => {
    const chaining = new Int32Array(5);
    const words = new Int32Array(80);
    for (let at = 0; at + 64 <= bytes.length; at += 64) {
      expandBlock(bytes, at, words);
      compress(chaining, words);
    }
  },
  "detecting": (bytes) => {
    const sha1 = newDetectingSha1();
    sha1.update(bytes);
    sha1.digest();
  },
};

for (const size of [bytes.length, 400]) {
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, hash] of Object.entries(contenders)) {
      const start = cpuSeconds();
      for (let at = 0; at < bytes.length; at += size) hash(bytes.subarray(at, at + size));
      const rate = megabytes * 1.048576 / (cpuSeconds() - start);
      best.set(name, Math.max(best.get(name) ?? 0, rate));
    }
  }
  console.log(size === bytes.length ? "one content" : `contents of ${size} bytes`);
  for (const [name, rate] of best) console.log(`  ${name.padEnd(26)} ${rate.toFixed(0).padStart(6)} MB/s`);
}

/** Of this process: what else the machine does is no matter. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
