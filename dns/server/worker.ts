/** The thread of a UDP worker: takes its one order and carries it out. */
import { answerQuery } from "../answer/answer.ts";
import { work } from "./worker_loop.ts";
import type { WorkerOrder } from "./worker_protocol.ts";

self.addEventListener("message", (event: MessageEvent<WorkerOrder>) => {
  work(event.data, (report) => self.postMessage(report), answerQuery);
  self.close();
}, { once: true });
