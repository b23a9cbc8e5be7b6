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
 * The object that `delta` makes out of `base`. The caller has judged the declared result size (see `deltaSizes`), since
 * this allocates it.
 * @throws {StoreError} `malformed`
 */
export function applyDelta(base: Uint8Array, delta: Uint8Array): Uint8Array {
  const sizes = deltaSizes(delta);
  if (sizes.base !== base.length) {
    throw new StoreError(
      "malformed",
      `a delta for a base of ${sizes.base} bytes, applied to one of ${base.length}`,
    );
  }
  const result = new Uint8Array(sizes.result);
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
      throw new StoreError("malformed", "a delta with a reserved instruction");
    }
  }
  if (out !== result.length) throw new StoreError("malformed", "a delta that makes less than it declares");
  return result;
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
