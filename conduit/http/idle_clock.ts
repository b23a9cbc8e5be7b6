import type { Patience } from "../patience.ts";

/** Patience with a peer that moves: each byte that comes or goes starts its time anew. */
export interface IdleClock extends Patience {
  /** Something moved. */
  touch(): void;
}

/** One timer, re-armed lazily, so a busy connection pays nothing for a limit it does not reach. */
export function createIdleClock(limitMs: number | undefined, expired: () => void): IdleClock {
  if (limitMs === undefined) return { wait: (waiting) => waiting, touch: () => {}, release: () => {} };
  let waits = 0;
  let since = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let released = false;

  const check = () => {
    timer = undefined;
    if (waits === 0 || released) return;
    const left = since + limitMs - performance.now();
    if (left > 0) timer = setTimeout(check, Math.ceil(left));
    else expired();
  };
  return {
    async wait(waiting) {
      if (waits++ === 0) since = performance.now();
      if (timer === undefined && !released) timer = setTimeout(check, limitMs);
      try {
        return await waiting;
      } finally {
        waits--;
      }
    },
    touch() {
      since = performance.now();
    },
    release() {
      released = true;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
