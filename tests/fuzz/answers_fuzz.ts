/**
 * Throws packets at `answerQuery`, `parseMessage` and the responder until the time is over or one of them breaks a promise
 * (`answers_promises.ts`). Half of the packets grow out of kept ones and queries for names of the zones: one that is treated
 * in a way not seen before is kept and changed further. The other half is arbitrary with the structure of a message. Ends
 * with exit code 1, the promise and the packet in hexadecimal. The same seed gives the same packets.
 *
 *   deno run --no-prompt --allow-read tests/fuzz/answers_fuzz.ts SECONDS [SEED]
 */
import { throwPackets } from "./answers_throw.ts";

const seconds = Number(Deno.args[0] ?? NaN);
const seed = Number(Deno.args[1] ?? 1 + Date.now() % 0x7fff_fffe);
if (!(seconds > 0) || !Number.isInteger(seed)) {
  console.error("usage: answers_fuzz.ts SECONDS [SEED]");
  Deno.exit(2);
}
const end = performance.now() + seconds * 1000;
console.log(`seed ${seed}`);
const outcome = await throwPackets(seed, () => performance.now() < end);
if (!outcome.ok) {
  console.error(`seed ${seed}: ${outcome.error.message}`);
  console.error(outcome.error.cause);
  Deno.exit(1);
}
console.log(`${outcome.value.packets} packets, ${outcome.value.ways.size} ways to treat them, none wrong`);
