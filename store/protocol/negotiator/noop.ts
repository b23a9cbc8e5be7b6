/** Offers nothing (git: `negotiator/noop.c`). */
import type { Negotiator } from "./negotiator.ts";

export function noop(): Negotiator {
  return {
    knownCommon: () => Promise.resolve(),
    addTip: () => Promise.resolve(),
    next: () => Promise.resolve(undefined),
    acknowledge: () => Promise.resolve(false),
  };
}
