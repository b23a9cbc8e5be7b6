/** When a thread collects what it let go. */
import { equal } from "node:assert/strict";
import { createGarbage } from "../../dns/server/garbage.ts";

const MB = 1024 * 1024;

Deno.test("garbage is collected once so much was let go that it is worth a pause, and then anew", () => {
  let collected = 0;
  const garbage = createGarbage(() => collected++);
  garbage.add(20 * MB);
  garbage.settle();
  equal(collected, 0);
  garbage.add(20 * MB);
  equal(collected, 0, "only where nothing waits");
  garbage.settle();
  equal(collected, 1);
  garbage.settle();
  equal(collected, 1);
});

Deno.test("where V8 gives no collector, letting go is all that happens", () => {
  const garbage = createGarbage();
  garbage.add(64 * MB);
  garbage.settle();
});
