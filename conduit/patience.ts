/**
 * How long a peer may keep us waiting. The time runs only while something waits for the peer (a read without
 * bytes, a write without room), so work on our own side never counts against it.
 */
export interface Patience {
  /**
   * Waits for the peer. The outcome is that of `waiting`; `expired` is called if it takes longer than
   * allowed.
   */
  wait<T>(waiting: Promise<T>): Promise<T>;
  /** Stops the clock for good. */
  release(): void;
}

/** One timer for each flow, re-armed lazily, so a busy flow pays nothing for a limit it does not reach. */
export function createPatience(limitMs: number | undefined, expired: () => void): Patience {
  if (limitMs === undefined) return { wait: (waiting) => waiting, release: () => {} };
  const starts = new Map<number, number>();
  let next = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let released = false;

  const arm = (delay: number) => {
    timer = setTimeout(check, delay);
  };
  const check = () => {
    timer = undefined;
    const oldest = starts.values().next().value;
    if (oldest === undefined) return;
    const left = oldest + limitMs - performance.now();
    if (left > 0) arm(Math.ceil(left));
    else expired();
  };
  return {
    async wait(waiting) {
      const id = next++;
      starts.set(id, performance.now());
      if (timer === undefined && !released) arm(limitMs);
      try {
        return await waiting;
      } finally {
        starts.delete(id);
      }
    },
    release() {
      released = true;
      if (timer !== undefined) clearTimeout(timer);
      timer = undefined;
      starts.clear();
    },
  };
}
