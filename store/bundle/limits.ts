import type { PackLimits } from "../pack/types.ts";

/** A bundle is the operator's own file: the bounds keep a damaged one from taking the machine with it. */
export const BUNDLE_LIMITS: PackLimits = {
  packBytes: 2 ** 40,
  objectBytes: 2 ** 30,
  objects: 2 ** 32 - 1,
  deltaDepth: 4096,
  deltaWork: 2 ** 42,
};
