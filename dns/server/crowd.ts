/**
 * How many TCP connections there are over all workers, in all and from one client, in memory that they share. Clients are
 * counted in two tables by two hashes, and the lesser number counts: no client has more connections than it may, and one is
 * wronged only when both its places are full of others, which nobody outside can arrange. IPv6 clients count by their /64.
 */

export interface CrowdLimits {
  readonly maxConnections: number;
  readonly maxPerAddress: number;
}

/** The shared memory. */
export function createCrowd(): Int32Array {
  const crowd = new Int32Array(new SharedArrayBuffer(4 * (CROWD.tables + 2 * PLACES)));
  crowd[CROWD.seed] = crypto.getRandomValues(new Int32Array(1))[0];
  return crowd;
}

export type Admission = "admitted" | "full" | "too-many-from-there";

/** Counts a connection if it may be. */
export function enterCrowd(
  crowd: Int32Array,
  limits: CrowdLimits,
  address: Uint8Array,
  octets: number,
): Admission {
  if (Atomics.add(crowd, CROWD.open, 1) >= limits.maxConnections) {
    Atomics.sub(crowd, CROWD.open, 1);
    return "full";
  }
  const [left, right] = placesOf(crowd, address, octets);
  const before = Math.min(Atomics.add(crowd, left, 1), Atomics.add(crowd, right, 1));
  if (before < limits.maxPerAddress) return "admitted";
  leaveCrowd(crowd, address, octets);
  return "too-many-from-there";
}

/** Takes back what `enterCrowd` counted. */
export function leaveCrowd(crowd: Int32Array, address: Uint8Array, octets: number): void {
  const [left, right] = placesOf(crowd, address, octets);
  Atomics.sub(crowd, left, 1);
  Atomics.sub(crowd, right, 1);
  Atomics.sub(crowd, CROWD.open, 1);
}

/** Indexes; behind them lie the two tables. */
const CROWD = { open: 0, seed: 1, tables: 2 } as const;
const PLACES = 1 << 14;

function placesOf(crowd: Int32Array, address: Uint8Array, octets: number): [number, number] {
  let hash = crowd[CROWD.seed];
  const counted = octets === 16 ? 8 : octets;
  for (let i = 0; i < counted; i++) {
    hash = Math.imul(hash ^ address[i], 0x0100_0193);
    hash ^= hash >>> 15;
  }
  const left = Math.imul(hash, 0x85eb_ca6b) >>> 18;
  const right = Math.imul(hash ^ hash >>> 13, 0xc2b2_ae35) >>> 18;
  return [CROWD.tables + left, CROWD.tables + PLACES + right];
}
