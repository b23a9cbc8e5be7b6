/**
 * A worker that answers as ours do, but says which one it is to a message with ID 0x1d1d (eight octets of its own behind the
 * header) and dies of one with ID 0xdead.
 */
import { answerQuery } from "../../dns/answer/answer.ts";
import { type Answer, work } from "../../dns/server/worker_loop.ts";
import type { WorkerOrder } from "../../dns/server/worker_protocol.ts";

const mark = crypto.getRandomValues(new Uint8Array(8));

const answer: Answer = (images, query, length, out, context) => {
  const id = query[0] << 8 | query[1];
  // The full machinery is asked for, and asking for it is what kills.
  if (id === 0xdead) return -1;
  if (id !== 0x1d1d) return answerQuery(images, query, length, out, context);
  out.fill(0, 0, 12);
  out.set([0x1d, 0x1d, 0x80]);
  out.set(mark, 12);
  return 20;
};

self.addEventListener("message", (event: MessageEvent<WorkerOrder>) => {
  work(event.data, (report) => {
    if (report.kind === "slow-udp") throw new Error("a death on purpose");
    self.postMessage(report);
  }, answer);
  self.close();
}, { once: true });
