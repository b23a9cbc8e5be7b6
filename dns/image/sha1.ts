/**
 * The hash of NSEC3 (RFC 5155 §5): SHA-1 (FIPS 180-4 §6.1), iterated.
 *
 * Hot path: a negative answer of a zone with NSEC3 is mostly this. Everything is 32-bit integers in scratch memory, no
 * object is made, and there is no call into another language, which would cost more than the hash of one short block
 * does. `tests/bench/answers` shows it.
 */
import type { Nsec3Chain } from "./denial.ts";

const block = new Uint8Array(64);
const schedule = new Int32Array(80);
const state = new Int32Array(5);
/** A name and a salt are at most 255 octets each. */
const message = new Uint8Array(512);

/** The hash of the name, in lower-case wire form at `from` of `wire`; 20 octets, written to the start of `out`. */
export function nsec3Hash(
  out: Uint8Array,
  chain: Pick<Nsec3Chain, "iterations" | "salt">,
  wire: Uint8Array,
  from: number,
  length: number,
): void {
  const { salt, iterations } = chain;
  const salted = salt.length;
  for (let i = 0; i < length; i++) message[i] = wire[from + i];
  for (let i = 0; i < salted; i++) message[length + i] = salt[i];
  digest(length + salted);
  if (iterations > 0) {
    for (let i = 0; i < salted; i++) message[20 + i] = salt[i];
    for (let round = 0; round < iterations; round++) {
      writeState(message);
      digest(20 + salted);
    }
  }
  writeState(out);
}

function writeState(out: Uint8Array): void {
  for (let i = 0, at = 0; i < 5; i++, at += 4) {
    const word = state[i];
    out[at] = word >>> 24;
    out[at + 1] = word >>> 16;
    out[at + 2] = word >>> 8;
    out[at + 3] = word;
  }
}

/** Leaves the digest of the first octets of `message` in `state`. */
function digest(length: number): void {
  state[0] = 0x67452301;
  state[1] = 0xefcdab89;
  state[2] = 0x98badcfe;
  state[3] = 0x10325476;
  state[4] = 0xc3d2e1f0;
  let at = 0;
  for (; at + 64 <= length; at += 64) compress(message, at);
  const rest = length - at;
  for (let i = 0; i < rest; i++) block[i] = message[at + i];
  block[rest] = 0x80;
  for (let i = rest + 1; i < 64; i++) block[i] = 0;
  if (rest > 55) {
    compress(block, 0);
    for (let i = 0; i < 64; i++) block[i] = 0;
  }
  block[62] = length >>> 5;
  block[63] = length << 3;
  compress(block, 0);
}

function compress(bytes: Uint8Array, at: number): void {
  const w = schedule;
  for (let i = 0, from = at; i < 16; i++, from += 4) {
    w[i] = bytes[from] << 24 | bytes[from + 1] << 16 | bytes[from + 2] << 8 | bytes[from + 3];
  }
  for (let i = 16; i < 80; i++) {
    const word = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
    w[i] = word << 1 | word >>> 31;
  }
  let a = state[0];
  let b = state[1];
  let c = state[2];
  let d = state[3];
  let e = state[4];
  let i = 0;
  for (; i < 20; i++) {
    const next = (a << 5 | a >>> 27) + (d ^ b & (c ^ d)) + e + 0x5a827999 + w[i] | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 40; i++) {
    const next = (a << 5 | a >>> 27) + (b ^ c ^ d) + e + 0x6ed9eba1 + w[i] | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 60; i++) {
    const next = (a << 5 | a >>> 27) + (b & c | d & (b | c)) + e - 0x70e44324 + w[i] | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  for (; i < 80; i++) {
    const next = (a << 5 | a >>> 27) + (b ^ c ^ d) + e - 0x359d3e2a + w[i] | 0;
    e = d;
    d = c;
    c = b << 30 | b >>> 2;
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}
