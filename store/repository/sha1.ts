import { createHash } from "node:crypto";
import type { Sha1 } from "../object/hash.ts";

/** The runtime's SHA-1. */
export function newSha1(): Sha1 {
  const hash = createHash("sha1");
  return {
    update(bytes) {
      hash.update(bytes);
    },
    digest: () => hash.digest(),
  };
}
