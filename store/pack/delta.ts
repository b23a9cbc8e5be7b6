/**
 * Applying deltas (gitformat-pack, "Deltified representation"). Hot when a pack is indexed: the output is allocated
 * once, copies go by `copyWithin`-like block moves, short ones byte by byte. Benchmark: tests/bench/pack_bench.ts.
 */
import { StoreError } from "../error.ts";

/** The sizes a delta declares, and where its instructions start. @throws {StoreError} `malformed` */
export function deltaSizes(
  delta: Uint8Array,
): { readonly base: number; readonly result: number; readonly at: number } {
  const base = varint(delta, 0);
  const result = varint(delta, base.next);
  return { base: base.value, result: result.value, at: result.next };
}

/**
 * The object that `delta` makes out of `base`, in `room`, which has the size that the delta declares; without it the
 * caller has judged that size (see `deltaSizes`), since it is allocated.
 * @throws {StoreError} `malformed`
 */
export function applyDelta(base: Uint8Array, delta: Uint8Array, room?: Uint8Array): Uint8Array {
  const sizes = deltaSizes(delta);
  if (sizes.base !== base.length) {
    throw wrongBase(sizes.base, base.length);
  }
  const result = room ?? new Uint8Array(sizes.result);
  const end = delta.length;
  let at = sizes.at;
  let out = 0;
  while (at < end) {
    const op = delta[at++] as number;
    if (op & 0x80) {
      let offset = 0;
      let size = 0;
      // Bytes beyond the end read as undefined, which `|` takes for 0; the check of `at` below tells.
      if (op & 0x01) offset = delta[at++] as number;
      if (op & 0x02) offset |= (delta[at++] as number) << 8;
      if (op & 0x04) offset |= (delta[at++] as number) << 16;
      if (op & 0x08) offset = (offset | ((delta[at++] as number) << 24)) >>> 0;
      if (op & 0x10) size = delta[at++] as number;
      if (op & 0x20) size |= (delta[at++] as number) << 8;
      if (op & 0x40) size |= (delta[at++] as number) << 16;
      if (size === 0) size = 0x10000;
      if (at > end || offset + size > base.length || out + size > result.length) throw outOfRange();
      if (size < 48) { for (let i = 0; i < size; i++) result[out + i] = base[offset + i] as number; }
      else result.set(base.subarray(offset, offset + size), out);
      out += size;
    } else if (op !== 0) {
      if (at + op > end || out + op > result.length) throw outOfRange();
      if (op < 48) { for (let i = 0; i < op; i++) result[out + i] = delta[at + i] as number; }
      else result.set(delta.subarray(at, at + op), out);
      at += op;
      out += op;
    } else {
      throw reserved();
    }
  }
  if (out !== result.length) throw tooLittle();
  return result;
}

/** Applies a delta that comes in pieces, so that only its base and its result are held. */
export interface DeltaApplier {
  /** Takes whole instructions off the front of `piece`, and says how many bytes those were. @throws as `applyDelta` */
  push(piece: Uint8Array): number;
  /** The result, once the delta has ended. @throws as `applyDelta` */
  finish(): Uint8Array;
}

/** `room` judges the size that the delta declares and gives a buffer for the result, which has at least that many bytes. */
export function deltaApplier(base: Uint8Array, room: (size: number) => Uint8Array): DeltaApplier {
  let result: Uint8Array | undefined;
  let out = 0;
  /** Bytes of an insertion that are still to come. */
  let inserting = 0;

  function begin(piece: Uint8Array): number {
    if (piece.length < longestSizes && !endsSizes(piece)) return 0;
    const sizes = deltaSizes(piece);
    if (sizes.base !== base.length) throw wrongBase(sizes.base, base.length);
    result = room(sizes.result).subarray(0, sizes.result);
    return sizes.at;
  }

  return {
    push(piece) {
      let at = result === undefined ? begin(piece) : 0;
      if (result === undefined) return 0;
      const end = piece.length;
      while (at < end) {
        if (inserting > 0) {
          const size = Math.min(inserting, end - at);
          if (out + size > result.length) throw outOfRange();
          result.set(piece.subarray(at, at + size), out);
          at += size;
          out += size;
          inserting -= size;
          continue;
        }
        const op = piece[at] as number;
        if (op & 0x80) {
          const length = copyLengths[op & 0x7f] as number;
          if (at + length > end) break;
          let next = at + 1;
          let offset = 0;
          let size = 0;
          if (op & 0x01) offset = piece[next++] as number;
          if (op & 0x02) offset |= (piece[next++] as number) << 8;
          if (op & 0x04) offset |= (piece[next++] as number) << 16;
          if (op & 0x08) offset = (offset | ((piece[next++] as number) << 24)) >>> 0;
          if (op & 0x10) size = piece[next++] as number;
          if (op & 0x20) size |= (piece[next++] as number) << 8;
          if (op & 0x40) size |= (piece[next++] as number) << 16;
          if (size === 0) size = 0x10000;
          if (offset + size > base.length || out + size > result.length) throw outOfRange();
          result.set(base.subarray(offset, offset + size), out);
          out += size;
          at = next;
        } else if (op !== 0) {
          inserting = op;
          at++;
        } else {
          throw reserved();
        }
      }
      return at;
    },
    finish() {
      if (result === undefined) throw new StoreError("malformed", "a delta without readable sizes");
      if (inserting > 0) throw outOfRange();
      if (out !== result.length) throw tooLittle();
      return result;
    },
  };
}

/** How many bytes a copy takes, by the bits that say which of its arguments are there. */
const copyLengths = Uint8Array.from({ length: 128 }, (_, bits) => {
  let length = 1;
  for (let rest = bits; rest > 0; rest >>= 1) length += rest & 1;
  return length;
});

/** Two sizes of eight bytes at most. */
export const longestSizes = 20;

/** Whether both sizes have come to their end. */
export function endsSizes(bytes: Uint8Array): boolean {
  let ended = 0;
  for (let i = 0; i < bytes.length && i < longestSizes; i++) {
    if (!((bytes[i] as number) & 0x80) && ++ended === 2) return true;
  }
  return false;
}

function wrongBase(expected: number, actual: number): StoreError {
  return new StoreError("malformed", `a delta for a base of ${expected} bytes, applied to one of ${actual}`);
}

function reserved(): StoreError {
  return new StoreError("malformed", "a delta with a reserved instruction");
}

function tooLittle(): StoreError {
  return new StoreError("malformed", "a delta that makes less than it declares");
}

function outOfRange(): StoreError {
  return new StoreError("malformed", "a delta that reaches beyond its base, its result or itself");
}

function varint(bytes: Uint8Array, at: number): { value: number; next: number } {
  let value = 0;
  let factor = 1;
  for (let next = at; next < bytes.length; next++) {
    const byte = bytes[next] ?? 0;
    value += (byte & 0x7f) * factor;
    if (!(byte & 0x80)) return { value, next: next + 1 };
    factor *= 128;
    if (factor > 2 ** 49) break;
  }
  throw new StoreError("malformed", "a delta without readable sizes");
}
