/**
 * What rate limiting costs an answer that it lets pass, in nanoseconds, for one name, a thousand, and more than there are
 * buckets: `deno run tests/bench/limiter_bench.ts`.
 */
import { createAnswerContext } from "../../dns/answer/context.ts";
import {
  createLimiter,
  DEFAULT_RATE_LIMIT,
  judge,
  LIMITER_SEED_WORDS,
  VERDICT,
} from "../../dns/limit/limiter.ts";

const CALLS = 5_000_000;
const limiter = createLimiter(
  { ...DEFAULT_RATE_LIMIT, perSecond: 1_000_000 },
  1,
  crypto.getRandomValues(new Uint32Array(LIMITER_SEED_WORDS)),
);
const context = createAnswerContext("udp");
context.addressOctets = 4;
context.address.set([192, 0, 2, 1]);
let now = 0;

for (const names of [1, 1000, 100_000]) {
  for (let round = 1; round <= 3; round++) {
    const start = performance.now();
    let limited = 0;
    for (let i = 0; i < CALLS; i++) {
      if ((i & 63) === 0) now++;
      context.flood = Math.imul(i % names, 0x9e3779b9);
      if (judge(limiter, context, now) !== VERDICT.send) limited++;
    }
    const each = (performance.now() - start) * 1e6 / CALLS;
    console.log(`${names} names, round ${round}: ${each.toFixed(1)} ns a call, ${limited} limited`);
  }
}
