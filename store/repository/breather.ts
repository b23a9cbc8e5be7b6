import { setImmediate } from "node:timers";
import type { Pause } from "../types.ts";

/** How long a loop may keep the thread, in milliseconds: DNS over TCP is answered by it too. */
const slice = 5;

/** A pause for one long loop: hands the thread on whenever the loop has had it for a slice. */
export function breather(): Pause {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < slice) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    since = performance.now();
  };
}
