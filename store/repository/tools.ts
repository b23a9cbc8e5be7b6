import type { NewSha1 } from "../object/hash.ts";
import type { ObjectKind, Oid, Pause } from "../types.ts";
import type { Zlib } from "../zlib/zlib.ts";

/** What a repository is made with. Handed in, so that one in memory runs where there is neither Deno nor Node. */
export interface StoreTools {
  readonly zlib: Zlib;
  /** For what is ours. */
  readonly newSha1: NewSha1;
  /** The id of an object by it, where the runtime has a shorter way. */
  readonly oidOf?: (kind: ObjectKind, content: Uint8Array) => Oid;
  /** For the ids of what others sent; throws where the content is made to collide. */
  readonly newReceivedSha1: NewSha1;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** A pause for one long loop. */
  readonly breather: () => Pause;
}
