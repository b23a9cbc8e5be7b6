/**
 * A worker's life: one thread, one socket, one blocking loop. It takes as many datagrams as are there, answers them from the
 * board's newest images, and sends the answers in one call.
 *
 * Hot path: two system calls a batch and no allocation (`tests/bench/answers_bench.ts`).
 */
import { type answerQuery, headerAnswer, SLOW_PATH, UDP_PAYLOAD } from "../answer/answer.ts";
import { createAnswerContext } from "../answer/context.ts";
import { readBoard } from "./board.ts";
import { COUNT, countAnswer } from "./udp_counters.ts";
import {
  CONTROL_OCTETS,
  createBatch,
  ERRNO,
  errno,
  MSG_TRUNC,
  MSG_WAITFORONE,
  openLibCAgain,
  turnControl,
  VECTOR_LENGTH,
  WORD,
} from "./udp_system.ts";
import { CONTROL, type WorkerOrder, type WorkerReport } from "./worker_protocol.ts";

/** Datagrams a system call. */
const BATCH = 64;
/** The longest query that is read; a longer one gets FORMERR. */
const QUERY_OCTETS = 4096;
/** Messages a worker may have under way in the main thread. */
const MAX_SLOW = 256;

/** What answers a query: `answerQuery`. */
export type Answer = typeof answerQuery;

export type Report = (report: WorkerReport) => void;

/** Serves until the order's stop flag is set, and says how it ended: `stopped` or `failed`. Never throws. */
export function work(order: WorkerOrder, report: Report, answer: Answer): void {
  try {
    serve(order, report, answer);
  } catch (error) {
    return report({ kind: "failed", message: describe(error) });
  }
  report({ kind: "stopped" });
}

/** A fault of `answer` costs one SERVFAIL; one of the system is thrown. */
function serve(order: WorkerOrder, report: Report, answer: Answer): void {
  const { fd, ipv6, wildcard, counters, control } = order;
  const libc = openLibCAgain();
  const board = readBoard(order.seat);
  const batch = createBatch(libc, BATCH, { query: QUERY_OCTETS, response: UDP_PAYLOAD }, ipv6);
  const { queries, responses, addresses, addressOctets, controls } = batch;
  const { receiveHeaders, sendHeaders, sendVectors, sendPointers } = batch;
  const controlOctets = wildcard ? CONTROL_OCTETS : 0;
  const context = createAnswerContext("udp");
  let failures = 0;
  let told = false;
  for (let i = 0; i < BATCH; i++) receiveHeaders[i * WORD.size + WORD.controlLength] = controlOctets;
  report({ kind: "ready" });
  while (Atomics.load(control, CONTROL.stop) === 0) {
    const received = libc.recvmmsg(fd, receiveHeaders, BATCH, MSG_WAITFORONE, null);
    if (received < 0) {
      const code = errno(libc);
      if (code === ERRNO.EAGAIN || code === ERRNO.EINTR) continue;
      if (++failures > MAX_FAILURES) throw new Error(`recvmmsg fails with error ${code} again and again`);
      continue;
    }
    failures = 0;
    const images = board.begin();
    let sending = 0;
    for (let i = 0; i < received; i++) {
      const header = i * WORD.size;
      const query = queries[i];
      const length = receiveHeaders[header + WORD.length];
      const cut = (receiveHeaders[header + WORD.flags] & MSG_TRUNC) !== 0;
      const response = responses[sending];
      counters[COUNT.queries]++;
      let answered: number;
      try {
        if (cut) answered = (query[2] & 0x80) === 0 ? headerAnswer(query, response, FORMERR) : 0;
        else answered = answer(images, query, length, response, context);
      } catch (error) {
        counters[COUNT.faults]++;
        if (!told) report({ kind: "fault", message: describe(error) });
        told = true;
        answered = headerAnswer(query, response, SERVFAIL);
      }
      if (answered === SLOW_PATH) {
        handOver(i, length, receiveHeaders[header + WORD.controlLength]);
      } else if (answered === 0) {
        counters[COUNT.drops]++;
      } else {
        countAnswer(counters, response);
        if (sending !== i) {
          addresses.copyWithin(sending * addressOctets, i * addressOctets, (i + 1) * addressOctets);
        }
        if (wildcard) {
          if (sending !== i) {
            controls.copyWithin(sending * CONTROL_OCTETS, i * CONTROL_OCTETS, (i + 1) * CONTROL_OCTETS);
          }
          turnControl(controls, sending * CONTROL_OCTETS, ipv6);
          sendHeaders[sending * WORD.size + WORD.controlLength] = receiveHeaders[header + WORD.controlLength];
        }
        sendVectors[sending * 4 + VECTOR_LENGTH] = answered;
        sending++;
      }
      if (wildcard) receiveHeaders[header + WORD.controlLength] = controlOctets;
    }
    for (let sent = 0; sent < sending;) {
      const count = libc.sendmmsg(fd, sendPointers[sent], sending - sent, 0);
      if (count > 0) {
        sent += count;
      } else if (errno(libc) !== ERRNO.EINTR) {
        // The one at the front cannot be sent (no route, a firewall); the others may.
        counters[COUNT.sendErrors]++;
        sent++;
      }
    }
    board.done();
  }

  function handOver(index: number, length: number, octets: number): void {
    counters[COUNT.slow]++;
    if (Atomics.load(control, CONTROL.slowPending) >= MAX_SLOW) {
      counters[COUNT.slowDrops]++;
      return;
    }
    Atomics.add(control, CONTROL.slowPending, 1);
    const from = index * CONTROL_OCTETS;
    if (wildcard) turnControl(controls, from, ipv6);
    report({
      kind: "slow",
      query: queries[index].slice(0, length),
      peer: addresses.slice(index * addressOctets, (index + 1) * addressOctets),
      control: controls.slice(from, from + (wildcard ? octets : 0)),
    });
  }
}

/** Failed calls in a row after which the worker gives up and is replaced. */
const MAX_FAILURES = 1000;
const FORMERR = 1;
const SERVFAIL = 2;

/** The error and where it arose, in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error.stack ?? error.message).split("\n", 2).map((line) => line.trim()).join(" ");
}
