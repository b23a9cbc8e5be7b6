/**
 * SipHash-2-4 (Aumasson, Bernstein) for server cookies (RFC 9018 §4.4), on 32-bit halves and without allocating: the
 * query path hashes for each query with a cookie, and BigInt would make garbage of every step.
 */

/**
 * The first `length` octets of `data` under the 16 octets of `key`; the 8 octets of the hash go to `out` from `at` on.
 * At most 255 octets.
 */
export function sipHash24(
  key: Uint8Array,
  data: Uint8Array,
  length: number,
  out: Uint8Array,
  at: number,
): void {
  const k0l = word(key, 0), k0h = word(key, 4), k1l = word(key, 8), k1h = word(key, 12);
  let v0l = k0l ^ 0x70736575, v0h = k0h ^ 0x736f6d65;
  let v1l = k1l ^ 0x6e646f6d, v1h = k1h ^ 0x646f7261;
  let v2l = k0l ^ 0x6e657261, v2h = k0h ^ 0x6c796765;
  let v3l = k1l ^ 0x79746573, v3h = k1h ^ 0x74656462;

  const whole = length >>> 3;
  // The last turn is the finalization.
  for (let block = 0; block <= whole + 1; block++) {
    let ml = 0, mh = 0, rounds = 2;
    if (block < whole) {
      ml = word(data, block * 8);
      mh = word(data, block * 8 + 4);
    } else if (block === whole) {
      for (let i = whole * 8, shift = 0; i < length; i++, shift += 8) {
        if (shift < 32) ml |= data[i] << shift;
        else mh |= data[i] << shift - 32;
      }
      mh |= length << 24;
    } else {
      v2l ^= 0xff;
      rounds = 4;
    }
    v3l ^= ml;
    v3h ^= mh;
    for (let i = 0; i < rounds; i++) {
      // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
      let sum = v0l + v1l | 0;
      v0h = v0h + v1h + carry(sum, v0l) | 0;
      v0l = sum;
      let high = v1h;
      v1h = (high << 13 | v1l >>> 19) ^ v0h;
      v1l = (v1l << 13 | high >>> 19) ^ v0l;
      high = v0h;
      v0h = v0l;
      v0l = high;
      // v2 += v3; v3 = rotl(v3, 16) ^ v2
      sum = v2l + v3l | 0;
      v2h = v2h + v3h + carry(sum, v2l) | 0;
      v2l = sum;
      high = v3h;
      v3h = (high << 16 | v3l >>> 16) ^ v2h;
      v3l = (v3l << 16 | high >>> 16) ^ v2l;
      // v0 += v3; v3 = rotl(v3, 21) ^ v0
      sum = v0l + v3l | 0;
      v0h = v0h + v3h + carry(sum, v0l) | 0;
      v0l = sum;
      high = v3h;
      v3h = (high << 21 | v3l >>> 11) ^ v0h;
      v3l = (v3l << 21 | high >>> 11) ^ v0l;
      // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
      sum = v2l + v1l | 0;
      v2h = v2h + v1h + carry(sum, v2l) | 0;
      v2l = sum;
      high = v1h;
      v1h = (high << 17 | v1l >>> 15) ^ v2h;
      v1l = (v1l << 17 | high >>> 15) ^ v2l;
      high = v2h;
      v2h = v2l;
      v2l = high;
    }
    v0l ^= ml;
    v0h ^= mh;
  }
  putWord(out, at, v0l ^ v1l ^ v2l ^ v3l);
  putWord(out, at + 4, v0h ^ v1h ^ v2h ^ v3h);
}

/** 1 when the low halves ran over: then their sum is less than either. */
function carry(sum: number, summand: number): number {
  return (sum >>> 0) < (summand >>> 0) ? 1 : 0;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}
