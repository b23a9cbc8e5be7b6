/** Buffers of connections that hold half a message or an answer half sent: few at a time, used again and again, bounded. */

export interface BufferPool {
  /** At least `octets` long; `undefined` when all connections together hold too much. */
  take(octets: number): Uint8Array | undefined;
  give(buffer: Uint8Array): void;
}

export function createBufferPool(mostOctets: number): BufferPool {
  const free = new Map<number, Uint8Array[]>();
  let taken = 0;
  return {
    take(octets) {
      const size = Math.max(SMALLEST, 1 << 32 - Math.clz32(octets - 1));
      if (taken + size > mostOctets) return undefined;
      taken += size;
      return free.get(size)?.pop() ?? new Uint8Array(size);
    },
    give(buffer) {
      taken -= buffer.length;
      const same = free.get(buffer.length) ?? [];
      if (same.length * buffer.length < KEPT_OCTETS) same.push(buffer);
      free.set(buffer.length, same);
    },
  };
}

const SMALLEST = 256;
/** Of each size so much is kept for the next. */
const KEPT_OCTETS = 1 << 20;
