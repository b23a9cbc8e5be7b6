import type { Pause } from "../types.ts";

/** How long a loop may keep the thread, in milliseconds: DNS over TCP is answered by it too. */
const slice = 5;

/** A pause for one long loop: hands the thread on whenever the loop has had it for a slice. */
export function breather(): Pause {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < slice) return;
    await nextTurn();
    since = performance.now();
  };
}

/** After what waits already: at once where the runtime has that, else by a message to oneself, as timers wait longer. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
