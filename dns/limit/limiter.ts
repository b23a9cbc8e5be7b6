/**
 * Response rate limiting: whoever lets a server flood somebody else by asking in his name gets few answers (Vixie and
 * Schryver, "DNS Response Rate Limiting", ISC-TN-2012-1). A token bucket stands for each network, kind of response and
 * name that such responses have in common. Pure: the clock, the seed and each response come from the caller.
 *
 * Hot path: one call for each UDP answer. The buckets lie in one typed array, four to a cache line; nothing is allocated.
 * `tests/bench/limiter_bench.ts` shows what a call costs.
 *
 * Each worker has buckets of its own, which hold its share of a rate: together they never give out more than the rate. The
 * system spreads clients over workers by address and port, so a resolver, which asks from ever new ports, gets all of it, and
 * a client with a single port its worker's share.
 *
 * What a network can be made to receive: `perSecond` answers of at most `udpPayload` octets for each kind and name, after
 * a first `burst`, and of the rest one in `slip`, cut to the query's own size (see `slipAnswer`). Without OPT an answer has
 * at most 512 octets.
 */
import { type AnswerContext, RESPONSE } from "../answer/context.ts";
import { type AddressRange, LOOPBACK } from "./range.ts";

/** Structured-cloneable: workers get it by message. */
export interface RateLimit {
  /** Answers a second to one network, of one kind and name; 1 to 1,000,000. */
  readonly perSecond: number;
  /** Other rates for kinds of responses; 0 does not limit them. */
  readonly kinds?: { readonly [kind in keyof typeof RESPONSE]?: number | undefined };
  /** Seconds whose answers may come at once; default 1. */
  readonly burstSeconds?: number;
  /** One in so many limited answers is sent truncated, so that a real client can come again by TCP; 0: none. At most 255. */
  readonly slip: number;
  /** Addresses that agree in so many bits are one network. IPv6: at most 64. */
  readonly ipv4Prefix: number;
  readonly ipv6Prefix: number;
  /** Who is never limited. */
  readonly exempt: readonly AddressRange[];
  /** Buckets of each worker, a power of 2 from 4 to 2^24; 16 octets each. */
  readonly buckets: number;
}

export const DEFAULT_RATE_LIMIT: RateLimit = {
  perSecond: 200,
  slip: 2,
  ipv4Prefix: 24,
  ipv6Prefix: 56,
  exempt: LOOPBACK,
  buckets: 65_536,
};

/** What is to be done with an answer. */
export const VERDICT = { send: 0, drop: 1, slip: 2 } as const;

/** Random words that `createLimiter` wants. */
export const LIMITER_SEED_WORDS = 16;

/** The state of one worker. Made and read by the functions of this file alone. */
export interface Limiter {
  readonly buckets: Int32Array;
  readonly slips: Uint8Array;
  /** By kind of response: units of tokens a millisecond, the most that a bucket holds, milliseconds until it is full. */
  readonly rates: Int32Array;
  readonly caps: Int32Array;
  readonly fullAfter: Int32Array;
  /** What an answer takes out of a bucket. */
  readonly cost: number;
  readonly slip: number;
  readonly mask4: number;
  readonly mask6: Int32Array;
  /** Pairs of network and mask; for IPv6 four words each. */
  readonly exempt4: Int32Array;
  readonly exempt6: Int32Array;
  readonly seed: Uint32Array;
  readonly shift: number;
  startedAt: number;
}

/**
 * @param workers among how many the answers are spread: each gives out its part
 * @param seed `LIMITER_SEED_WORDS` random words, so that nobody can know which addresses meet in a bucket
 * @throws {RangeError} for options out of the bounds above, which a configuration has to have checked
 */
export function createLimiter(options: RateLimit, workers: number, seed: Uint32Array): Limiter {
  const { perSecond, slip, buckets, exempt } = options;
  const bits = 31 - Math.clz32(buckets);
  if (buckets !== 1 << bits || bits < 2 || bits > 24) throw new RangeError(`${buckets} buckets`);
  if (slip > 255 || options.ipv4Prefix > 32 || options.ipv6Prefix > 64) throw new RangeError("rate limit");
  const kinds = Object.keys(RESPONSE).length;
  const rates = new Int32Array(kinds);
  const caps = new Int32Array(kinds);
  const fullAfter = new Int32Array(kinds);
  const cost = UNITS * workers;
  for (const [kind, index] of Object.entries(RESPONSE)) {
    const rate = options.kinds?.[kind as keyof typeof RESPONSE] ?? perSecond;
    const cap = Math.round(rate * (options.burstSeconds ?? 1) * UNITS);
    if (rate < 0 || rate > 1_000_000 || cap > 2_000_000_000) throw new RangeError(`rate ${rate}`);
    rates[index] = rate;
    // A bucket that holds less than one answer would never give one.
    caps[index] = Math.max(cap, cost);
    fullAfter[index] = rate === 0 ? 0 : Math.ceil(caps[index] / rate);
  }
  return {
    buckets: new Int32Array(buckets * BUCKET.size),
    slips: new Uint8Array(buckets),
    rates,
    caps,
    fullAfter,
    cost,
    slip,
    mask4: prefixMask(options.ipv4Prefix),
    mask6: Int32Array.of(prefixMask(options.ipv6Prefix), prefixMask(options.ipv6Prefix - 32)),
    exempt4: exemptWords(exempt, 4),
    exempt6: exemptWords(exempt, 16),
    // Odd, as multiply-shift hashing wants its multipliers.
    seed: Uint32Array.from({ length: LIMITER_SEED_WORDS }, (_, i) => i < 14 ? seed[i] | 1 : seed[i]),
    shift: 32 - (bits - 2),
    startedAt: NaN,
  };
}

/**
 * Judges the answer that `context` tells of, one of `VERDICT`. TCP proves an address, and so does a cookie. `nowMs`: of a
 * clock that goes forward, at any start.
 */
export function judge(limiter: Limiter, context: AnswerContext, nowMs: number): number {
  const { kind, address, addressOctets } = context;
  const rate = limiter.rates[kind];
  if (context.transport !== "udp" || context.cookieValid || addressOctets === 0 || rate === 0) {
    return VERDICT.send;
  }
  if (isExempt(limiter, address, addressOctets)) return VERDICT.send;
  if (limiter.startedAt !== limiter.startedAt) limiter.startedAt = nowMs;
  const now = nowMs - limiter.startedAt | 0;

  const at = bucketOf(limiter, context, now);
  const { buckets } = limiter;
  let elapsed = now - buckets[at + BUCKET.time] | 0;
  let time = now;
  if (elapsed < 0) {
    // By a little: a clock that was set back, and no reason for new tokens. By much: the difference turned over.
    const setBack = elapsed > -60_000;
    elapsed = setBack ? 0 : limiter.fullAfter[kind];
    if (setBack) time = buckets[at + BUCKET.time];
  }
  const tokens = elapsed >= limiter.fullAfter[kind]
    ? limiter.caps[kind]
    : Math.min(limiter.caps[kind], buckets[at + BUCKET.tokens] + elapsed * rate);
  buckets[at + BUCKET.time] = time;
  if (tokens >= limiter.cost) {
    buckets[at + BUCKET.tokens] = tokens - limiter.cost;
    return VERDICT.send;
  }
  buckets[at + BUCKET.tokens] = tokens;
  if (limiter.slip === 0) return VERDICT.drop;
  const bucket = at / BUCKET.size;
  const turn = limiter.slips[bucket] + 1;
  limiter.slips[bucket] = turn >= limiter.slip ? 0 : turn;
  return turn >= limiter.slip ? VERDICT.slip : VERDICT.drop;
}

/** The bucket of this network, kind and name; one that was not used for the longest time gives way to a new one. */
function bucketOf(limiter: Limiter, context: AnswerContext, now: number): number {
  const { seed, buckets } = limiter;
  const { address, kind, flood } = context;
  const ipv4 = context.addressOctets === 4;
  const high = wordAt(address, 0) & (ipv4 ? limiter.mask4 : limiter.mask6[0]);
  const low = ipv4 ? 0 : wordAt(address, 4) & limiter.mask6[1];
  const form = kind | (ipv4 ? 0 : 0x100);
  // Two lanes of multiply-shift over 16-bit words (Dietzfelbinger): what collides depends on the seed alone.
  let a = Math.imul(seed[0], high >>> 16) + Math.imul(seed[1], high & 0xffff) | 0;
  a = a + Math.imul(seed[2], low >>> 16) + Math.imul(seed[3], low & 0xffff) | 0;
  a = a + Math.imul(seed[4], flood >>> 16) + Math.imul(seed[5], flood & 0xffff) | 0;
  a = a + Math.imul(seed[6], form) + seed[14] | 0;
  let b = Math.imul(seed[7], high >>> 16) + Math.imul(seed[8], high & 0xffff) | 0;
  b = b + Math.imul(seed[9], low >>> 16) + Math.imul(seed[10], low & 0xffff) | 0;
  b = b + Math.imul(seed[11], flood >>> 16) + Math.imul(seed[12], flood & 0xffff) | 0;
  b = b + Math.imul(seed[13], form) + seed[15] | 0;

  const first = (limiter.shift === 32 ? 0 : a >>> limiter.shift) * SET_SIZE;
  const end = first + SET_SIZE;
  let oldest = first;
  let age = -1;
  for (let at = first; at < end; at += BUCKET.size) {
    if (buckets[at] === a && buckets[at + 1] === b) return at;
    // Unsigned: what lies in the future because the difference turned over is the oldest of all.
    const idle = now - buckets[at + BUCKET.time] >>> 0;
    if (idle > age) {
      age = idle;
      oldest = at;
    }
  }
  buckets[oldest] = a;
  buckets[oldest + 1] = b;
  buckets[oldest + BUCKET.tokens] = limiter.caps[kind];
  buckets[oldest + BUCKET.time] = now;
  limiter.slips[oldest / BUCKET.size] = 0;
  return oldest;
}

function isExempt(limiter: Limiter, address: Uint8Array, octets: number): boolean {
  if (octets === 4) {
    const { exempt4 } = limiter;
    const word = wordAt(address, 0);
    for (let i = 0; i < exempt4.length; i += 2) if ((word & exempt4[i + 1]) === exempt4[i]) return true;
    return false;
  }
  const { exempt6 } = limiter;
  for (let i = 0; i < exempt6.length; i += 8) {
    if (
      (wordAt(address, 0) & exempt6[i + 4]) === exempt6[i] &&
      (wordAt(address, 4) & exempt6[i + 5]) === exempt6[i + 1] &&
      (wordAt(address, 8) & exempt6[i + 6]) === exempt6[i + 2] &&
      (wordAt(address, 12) & exempt6[i + 7]) === exempt6[i + 3]
    ) return true;
  }
  return false;
}

/** Network words, then mask words, of all ranges of a family. */
function exemptWords(ranges: readonly AddressRange[], octets: 4 | 16): Int32Array {
  const words: number[] = [];
  for (const { address, bits } of ranges.filter((range) => range.address.length === octets)) {
    const masks = Array.from({ length: octets / 4 }, (_, i) => prefixMask(bits - 32 * i));
    words.push(...masks.map((mask, i) => wordAt(address, i * 4) & mask), ...masks);
  }
  return Int32Array.from(words);
}

/** The 32-bit word whose first `bits` bits are set. */
function prefixMask(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << 32 - bits;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}

/** A bucket: two words that its key hashes to, tokens, and the millisecond for which they are right. */
const BUCKET = { size: 4, tokens: 2, time: 3 } as const;
const SET_SIZE = 4 * BUCKET.size;
/** Units of a token: a rate a second is a number of units a millisecond. */
const UNITS = 1000;
