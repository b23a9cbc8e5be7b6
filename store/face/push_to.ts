import { breather } from "../repository/breather.ts";
import { newSha1 } from "../repository/sha1.ts";
import { nodeZlib } from "../zlib/node.ts";
import { publish, type PublishOptions, type PushOutcome } from "./publish.ts";

/**
 * Pushes a commit to a branch of a remote and says what came of it; see `PushOutcome`.
 * @throws {StoreError} where our own store cannot give what is to be pushed
 */
export function pushTo(options: PublishOptions): Promise<PushOutcome> {
  return publish(options, { zlib: nodeZlib, newSha1, newPause: breather });
}
