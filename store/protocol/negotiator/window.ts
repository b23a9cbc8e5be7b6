/** How many haves go out before an answer is awaited (git: `next_flush` in `fetch-pack.c`). Pure. */

/** The first window of haves. */
export const FIRST_WINDOW = 16;
/** After so many haves without one that the other side has, and at least one that it has, git stops offering. */
export const MAX_IN_VAIN = 256;

/**
 * How many haves (in all for a standing conversation and for stateless v0; in the next request for v2) after `count`.
 * Stateless requests repeat themselves, so windows grow by doubling; a standing conversation must not fill the
 * pipe in both directions at once, so there they soon grow by a fixed step.
 */
export function nextWindow(count: number, stateless: boolean): number {
  if (stateless) return count < 16384 ? count * 2 : Math.floor((count * 11) / 10);
  return count < 32 ? count * 2 : count + 32;
}
