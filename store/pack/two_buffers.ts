/**
 * Room for what is large: two buffers in turn, the base in one and what is made of it in the other. So the memory that
 * resolving takes is bounded by the two largest objects, however soon the collector comes round. Room for what is small
 * is made anew each time.
 */
export interface TwoBuffers {
  /** Room for `size` bytes and one more, elsewhere than `base` lies. What lay there before is lost; see `hold`. */
  room(size: number, base: Uint8Array | undefined): Uint8Array<ArrayBuffer>;
  /** Notes who is to be told when `content` is overwritten. Of no effect for what is small. */
  hold(content: Uint8Array, lost: () => void): void;
  release(): void;
}

/** `most` bytes at the most in each. `first` is a buffer that is there already and no longer used. */
export function twoBuffers(most: number, first: Uint8Array<ArrayBuffer> = new Uint8Array(0)): TwoBuffers {
  const buffers = [first, new Uint8Array(0)];
  const losers: ((() => void) | undefined)[] = [undefined, undefined];
  return {
    room(size, base) {
      if (size <= smallBytes) return new Uint8Array(size + 1);
      const which = base?.buffer === buffers[0]?.buffer ? 1 : 0;
      losers[which]?.();
      losers[which] = undefined;
      if ((buffers[which]?.length ?? 0) < size + 1) {
        // Let go of before there is a larger one.
        buffers[which] = nothing;
        buffers[which] = new Uint8Array(roomSize(size, most));
      }
      return buffers[which] ?? nothing;
    },
    hold(content, lost) {
      const which = buffers.findIndex((buffer) => buffer.buffer === content.buffer);
      if (which >= 0) losers[which] = lost;
    },
    release() {
      buffers[0] = buffers[1] = nothing;
      losers[0] = losers[1] = undefined;
    },
  };
}

/**
 * How large a buffer to make for `size` bytes and one more: at once as large as nearly all will ever need, since a buffer
 * left behind for a larger one stays until the collector comes round, and pages that are not written to take no memory.
 */
export function roomSize(size: number, most: number): number {
  let length = size < 1 << 18 ? 1 << 18 : 1 << 26;
  while (length <= size) length *= 4;
  return Math.max(size, Math.min(length, most)) + 1;
}

const nothing = new Uint8Array(0);

/** Up to here contents have buffers of their own. */
export const smallBytes = 1 << 20;
