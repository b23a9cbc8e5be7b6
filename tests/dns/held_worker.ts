/**
 * A worker that answers as ours do and can be stopped in its tracks: a message with ID 0x401d, whose header is followed by a
 * file's path, holds it for as long as that file exists. What is asked meanwhile waits in the sockets and is taken in full
 * batches.
 */
import { answerQuery } from "../../dns/answer/answer.ts";
import { type Answer, work } from "../../dns/server/worker_loop.ts";
import type { WorkerOrder } from "../../dns/server/worker_protocol.ts";

const answer: Answer = (images, query, length, out, context) => {
  if ((query[0] << 8 | query[1]) === 0x401d) {
    const gate = new TextDecoder().decode(query.subarray(12, length));
    Deno.writeFileSync(`${gate}.held`, new Uint8Array());
    const never = new Int32Array(new SharedArrayBuffer(4));
    while (exists(gate)) Atomics.wait(never, 0, 0, 1);
  }
  return answerQuery(images, query, length, out, context);
};

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

self.addEventListener("message", (event: MessageEvent<WorkerOrder>) => {
  work(event.data, (report) => self.postMessage(report), answer);
  self.close();
}, { once: true });
