/**
 * Shared memory is nothing to the garbage collector: V8 counts it for none of the threads that hold it, so that a thread
 * without other garbage may keep a zone of 50 MB that nobody needs for as long as it lives. Who knows that much was let go
 * collects by itself, which takes some milliseconds. V8 gives that to a program that is started with `--expose-gc` (the
 * `serve` task is); elsewhere old zones stay until V8 collects for other reasons.
 */
export interface Garbage {
  /** Octets of shared memory were let go. */
  add(octets: number): void;
  /** Collects where so much was let go that it is worth it. To be called where nothing waits. */
  settle(): void;
}

export function createGarbage(collect: () => void = exposedCollector()): Garbage {
  let octets = 0;
  return {
    add(more) {
      octets += more;
    },
    settle() {
      if (octets < WORTH_IT) return;
      octets = 0;
      collect();
    },
  };
}

/** What collects in this thread; nothing does where V8 does not give it. */
function exposedCollector(): () => void {
  const { gc } = globalThis as { readonly gc?: () => void };
  return gc ?? (() => {});
}

const WORTH_IT = 32 * 1024 * 1024;
