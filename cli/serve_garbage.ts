/** Gives back the memory of zones that were replaced, and what reading them took, while nothing else is to be done. */
import { createGarbage } from "../dns/mod.ts";

export interface GarbageCollection {
  /** Octets of shared memory that nothing served needs any more. */
  dropped(octets: number): void;
  stop(): void;
}

export function startGarbageCollection(): GarbageCollection {
  const garbage = createGarbage();
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    dropped(octets) {
      garbage.add(octets);
      // Who made the change still holds what was before it.
      timer ??= setTimeout(() => {
        timer = undefined;
        garbage.settle();
      }, LATER_MS);
      Deno.unrefTimer(timer);
    },
    stop: () => clearTimeout(timer),
  };
}

const LATER_MS = 500;
