/** HMAC for TSIG: the one place of this folder that reaches outside the language. */
import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { nameFrom } from "../name.ts";
import type { Name, TsigAlgorithm, TsigKey } from "../types.ts";

/** The algorithms of RFC 8945 §6 that are in use; MD5 is not, and is not offered. */
export const TSIG_ALGORITHMS: readonly TsigAlgorithm[] = [
  "hmac-sha1",
  "hmac-sha224",
  "hmac-sha256",
  "hmac-sha384",
  "hmac-sha512",
];

/** The MAC over `parts`, one after the other, in full length. */
export function macOf(key: TsigKey, parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac(ALGORITHMS[key.algorithm].hash, key.secret);
  for (const part of parts) hmac.update(part);
  return Uint8Array.from(hmac.digest());
}

/** Octets of a full MAC. */
export function macOctets(algorithm: TsigAlgorithm): number {
  return ALGORITHMS[algorithm].octets;
}

/** Compares in a time that does not depend on where they differ. */
export function macsEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

/** The name by which the algorithm goes in messages. */
export function algorithmName(algorithm: TsigAlgorithm): Name {
  return ALGORITHMS[algorithm].name;
}

const ALGORITHMS: Readonly<Record<TsigAlgorithm, { hash: string; octets: number; name: Name }>> = {
  "hmac-sha1": { hash: "sha1", octets: 20, name: nameFrom("hmac-sha1.") },
  "hmac-sha224": { hash: "sha224", octets: 28, name: nameFrom("hmac-sha224.") },
  "hmac-sha256": { hash: "sha256", octets: 32, name: nameFrom("hmac-sha256.") },
  "hmac-sha384": { hash: "sha384", octets: 48, name: nameFrom("hmac-sha384.") },
  "hmac-sha512": { hash: "sha512", octets: 64, name: nameFrom("hmac-sha512.") },
};
