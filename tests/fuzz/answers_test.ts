/** A short run of the fuzzer that `deno task fuzz` lets run for as long as one likes. */
import { ok } from "node:assert/strict";
import { throwPackets } from "./answers_throw.ts";

Deno.test("kept, changed and arbitrary packets break no promise", async () => {
  const outcome = await throwPackets(1, (packets) => packets < 20_000);
  ok(outcome.ok, outcome.ok ? "" : `${outcome.error.message}\n${String(outcome.error.cause)}`);
  ok(outcome.value.ways.size > 300, `only ${outcome.value.ways.size} ways`);
});
