/**
 * Deltas of the first pass, held up to a bound so that most are inflated only once: one after the other in one block,
 * since a buffer for each would cost several times what most of them hold.
 */
export interface HeldDeltas {
  offer(entry: number, delta: Uint8Array): void;
  /** `size` is the delta's. */
  get(entry: number, size: number): Uint8Array | undefined;
  release(): void;
}

export function heldDeltas(): HeldDeltas {
  let block = new Uint8Array(1 << 16);
  let used = 0;
  /** By entry: one more than where its delta starts, or 0. */
  let starts = new Uint32Array(256);

  return {
    offer(entry, delta) {
      if (delta.length > longest || used + delta.length > heldBytes) return;
      if (used + delta.length > block.length) {
        const larger = new Uint8Array(Math.min(heldBytes, block.length * 2 + delta.length));
        larger.set(block.subarray(0, used));
        block = larger;
      }
      if (entry >= starts.length) {
        const larger = new Uint32Array(entry * 2);
        larger.set(starts);
        starts = larger;
      }
      block.set(delta, used);
      starts[entry] = used + 1;
      used += delta.length;
    },
    get(entry, size) {
      const start = starts[entry] ?? 0;
      return start === 0 ? undefined : block.subarray(start - 1, start - 1 + size);
    },
    release() {
      block = new Uint8Array(0);
      starts = new Uint32Array(0);
      used = heldBytes;
    },
  };
}

const heldBytes = 8 * 1024 * 1024;
/** A longer one is cheap to inflate again, beside what is done with it. */
const longest = 1 << 16;
