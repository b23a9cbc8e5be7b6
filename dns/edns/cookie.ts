/**
 * Server cookies that every server with the same secret makes and accepts (RFC 7873, RFC 9018): version 1, a time, and
 * a hash over the client's cookie and address. Nothing is kept of a client. Hot path: no allocation; what is taken apart
 * and hashed stands in buffers of this module.
 */
import { sipHash24 } from "./siphash.ts";

export const CLIENT_COOKIE_OCTETS = 8;
export const SERVER_COOKIE_OCTETS = 16;
export const COOKIE_SECRET_OCTETS = 16;

/** What a server cookie is worth. */
export const COOKIE = {
  /** Not ours, for another address, too old, or from the future. */
  invalid: 0,
  valid: 1,
  /** Valid, and the client should have a new one: it is half an hour old, or another secret makes cookies now. */
  renew: 2,
} as const;

/**
 * Judges the server cookie of `octets` octets that follows the client's cookie at `at` of `bytes`. `address`: the client's,
 * 4 or 16 octets. `now`: seconds since 1970. The first secret makes cookies, all are accepted (RFC 9018 §5).
 */
export function judgeCookie(
  bytes: Uint8Array,
  at: number,
  octets: number,
  address: Uint8Array,
  addressOctets: number,
  secrets: readonly Uint8Array[],
  now: number,
): number {
  const server = at + CLIENT_COOKIE_OCTETS;
  if (octets !== SERVER_COOKIE_OCTETS || bytes[server] !== VERSION) return COOKIE.invalid;
  const time = bytes[server + 4] << 24 | bytes[server + 5] << 16 | bytes[server + 6] << 8 | bytes[server + 7];
  // Serial number arithmetic, as the time wraps in 2106 (RFC 9018 §4.3).
  const age = (now | 0) - time | 0;
  if (age > MAX_AGE || age < -MAX_AHEAD) return COOKIE.invalid;
  // The reserved octets are hashed as they came (RFC 9018 §4.2).
  for (let i = 0; i < 16; i++) hashed[i] = bytes[at + i];
  for (let i = 0; i < addressOctets; i++) hashed[16 + i] = address[i];
  for (let secret = 0; secret < secrets.length; secret++) {
    sipHash24(secrets[secret], hashed, 16 + addressOctets, digest, 0);
    // All octets are compared, so that the time tells nothing of where they differ.
    let difference = 0;
    for (let i = 0; i < 8; i++) difference |= digest[i] ^ bytes[server + 8 + i];
    if (difference === 0) return age > RENEW_AGE || secret > 0 ? COOKIE.renew : COOKIE.valid;
  }
  return COOKIE.invalid;
}

/** Puts the server cookie for the client's cookie at `client` of `bytes` into `out` from `at` on: 16 octets. */
export function makeCookie(
  bytes: Uint8Array,
  client: number,
  address: Uint8Array,
  addressOctets: number,
  secret: Uint8Array,
  now: number,
  out: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < CLIENT_COOKIE_OCTETS; i++) hashed[i] = bytes[client + i];
  hashed[8] = VERSION;
  hashed[9] = hashed[10] = hashed[11] = 0;
  hashed[12] = now >>> 24;
  hashed[13] = now >>> 16;
  hashed[14] = now >>> 8;
  hashed[15] = now;
  for (let i = 0; i < addressOctets; i++) hashed[16 + i] = address[i];
  for (let i = 0; i < 8; i++) out[at + i] = hashed[8 + i];
  sipHash24(secret, hashed, 16 + addressOctets, out, at + 8);
}

const VERSION = 1;
/** RFC 9018 §4.3: an hour old at most, five minutes in the future at most, renewed after half an hour. */
const MAX_AGE = 3600;
const MAX_AHEAD = 300;
const RENEW_AGE = 1800;

/** Client cookie, version, reserved, time, address (RFC 9018 §4.4). */
const hashed = new Uint8Array(32);
const digest = new Uint8Array(8);
