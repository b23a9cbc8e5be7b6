/** A worker that answers as ours do, but throws at queries with ID 0xfa17 and dies of those with 0xdead. */
import { answerQuery } from "../../dns/answer/answer.ts";
import { type Answer, work } from "../../dns/server/worker_loop.ts";
import type { WorkerOrder } from "../../dns/server/worker_protocol.ts";

const answer: Answer = (images, query, length, out, limit) => {
  const id = query[0] << 8 | query[1];
  if (id === 0xfa17) throw new Error("a fault on purpose");
  // The full machinery is asked for, and asking for it is what kills.
  return id === 0xdead ? -1 : answerQuery(images, query, length, out, limit);
};

self.addEventListener("message", (event: MessageEvent<WorkerOrder>) => {
  work(event.data, (report) => {
    if (report.kind === "slow-udp") throw new Error("a death on purpose");
    self.postMessage(report);
  }, answer);
  self.close();
}, { once: true });
