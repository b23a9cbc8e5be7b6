/**
 * A worker's life: one thread and one loop that waits for all its sockets at once. For each address it has a UDP socket
 * and a TCP listener of its own, which the system fills beside those of the other workers.
 */
import { type answerQuery, headerAnswer } from "../answer/answer.ts";
import { type AnswerContext, createAnswerContext, RESPONSE } from "../answer/context.ts";
import type { ImageSet } from "../image/set.ts";
import { receiveMessageOnPort } from "node:worker_threads";
import type { RateLimit } from "../limit/limiter.ts";
import { readBoard } from "./board.ts";
import { COUNT, countVersion } from "./counters.ts";
import { createEpoll, EPOLL, type Epoll } from "./epoll.ts";
import { ERRNO, errno, openLibCAgain } from "./libc.ts";
import { createTcpService } from "./tcp_service.ts";
import { BATCH } from "./udp_batch.ts";
import { createUdpService, limiterOf } from "./udp_service.ts";
import { CONTROL, type Mail, type WorkerOrder, type WorkerReport } from "./worker_protocol.ts";

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
  const { sockets, counters, control } = order;
  const libc = openLibCAgain();
  const board = readBoard(order.seat, (milliseconds) => countVersion(counters, milliseconds));
  const epoll = createEpoll(libc, EVENTS);
  const contexts = [createAnswerContext("udp", order.settings), createAnswerContext("tcp", order.settings)];
  const [udpContext, tcpContext] = contexts;
  let told = false;
  const answerSafely = (
    images: ImageSet,
    query: Uint8Array,
    length: number,
    out: Uint8Array,
    context: AnswerContext,
  ): number => {
    try {
      return answer(images, query, length, out, context);
    } catch (error) {
      counters[COUNT.faults]++;
      if (!told) report({ kind: "fault", message: describe(error) });
      told = true;
      context.kind = RESPONSE.error;
      context.flood = 0;
      context.cookieValid = false;
      return length < 12 ? 0 : headerAnswer(query, out, SERVFAIL);
    }
  };
  const handOver = (message: WorkerReport): boolean => {
    if (Atomics.load(control, CONTROL.slowPending) >= MAX_SLOW) return false;
    Atomics.add(control, CONTROL.slowPending, 1);
    report(message);
    return true;
  };
  const udp = createUdpService({
    libc,
    sockets,
    board,
    counters,
    context: udpContext,
    answer: answerSafely,
    handOver: (query, client) => handOver({ kind: "slow-udp", query, ...client }),
  });
  const tcp = createTcpService({
    libc,
    epoll,
    board,
    limits: order.tcp,
    counters,
    crowd: order.crowd,
    context: tcpContext,
    answer: answerSafely,
    handOver: (query, client) => handOver({ kind: "slow-tcp", query, ...client }),
  });

  const limit = (rateLimit: RateLimit | undefined) => udp.limit(limiterOf(rateLimit, order.workers));
  limit(order.rateLimit);

  const listen = (events: number) =>
    sockets.forEach((socket, index) => epoll.change(socket.tcp, events, LISTENER | index, OWN));
  epoll.add(order.wake, EPOLL.in, WAKE, OWN);
  sockets.forEach((socket, index) => {
    epoll.add(socket.udp, EPOLL.in, UDP | index, OWN);
    epoll.add(socket.tcp, EPOLL.in, LISTENER | index, OWN);
  });
  /** When listeners are looked at again that there was no room to accept from. */
  let listenAgain = Infinity;
  let end = Infinity;
  let failures = 0;
  /** The most datagrams that a socket had in the last turn. */
  let most = 0;

  const takeMail = (now: number): void => {
    libc.eventfd_read(order.wake, WOKEN);
    for (let post = receiveMessageOnPort(order.mail); post; post = receiveMessageOnPort(order.mail)) {
      const mail: Mail = post.message;
      if (mail.kind === "answer") {
        tcp.deliver(mail.slot, mail.generation, mail.message, now);
      } else {
        for (const context of contexts) context.settings = mail.settings;
        limit(mail.rateLimit);
      }
    }
    if (Atomics.load(control, CONTROL.stop) === 0 || end !== Infinity) return;
    end = now + GRACE_MS;
    for (const socket of sockets) epoll.change(socket.udp, 0, 0, OWN);
    listen(0);
    tcp.drain();
  };

  const own = (number: number, now: number): void => {
    const index = number & INDEX;
    if ((number & UDP) !== 0) {
      const datagrams = udp.serve(index);
      if (datagrams > most) most = datagrams;
      return;
    }
    if (number === WAKE) return takeMail(now);
    if (tcp.accept(sockets[index], now)) return;
    // No descriptor left, and nobody to take one from: what waits would wake us at once again.
    listen(0);
    listenAgain = now + 100;
  };

  try {
    report({ kind: "ready" });
    let now = performance.now();
    while (now < end && (end === Infinity || tcp.connections > 0)) {
      if (most >= COALESCE.from && most < BATCH) libc.usleep(COALESCE.microseconds);
      most = 0;
      const next = tcp.expire(now);
      const ready = epoll.wait(next < 0 ? TICK_MS : Math.min(TICK_MS, Math.ceil(next)));
      now = performance.now();
      if (ready < 0) {
        const code = errno(libc);
        if (code !== ERRNO.EINTR && ++failures > MAX_FAILURES) {
          throw new Error(`epoll_wait fails with error ${code} again and again`);
        }
        continue;
      }
      failures = 0;
      // Who has nothing to do keeps no old zones either.
      if (ready === 0) {
        board.begin();
        board.done();
      }
      if (now >= listenAgain && end === Infinity) {
        listenAgain = Infinity;
        listen(EPOLL.in);
      }
      tcpContext.now = Math.floor(Date.now() / 1000);
      serveReady(epoll, ready, (number) => own(number, now), (slot, generation, events) => {
        tcp.serve(slot, generation, events, now);
      });
    }
  } finally {
    tcp.close();
    epoll.close();
  }
}

/** Our own descriptors first: datagrams do not wait for what comes over TCP. */
function serveReady(
  epoll: Epoll,
  ready: number,
  own: (number: number) => void,
  connection: (slot: number, generation: number, events: number) => void,
): void {
  for (let i = 0; i < ready; i++) if (epoll.generation(i) === OWN) own(epoll.number(i));
  for (let i = 0; i < ready; i++) {
    const generation = epoll.generation(i);
    if (generation !== OWN) connection(epoll.number(i), generation, epoll.events(i));
  }
}

/** Descriptors that have events, taken together; so many connections at most are served until datagrams have their turn. */
const EVENTS = 32;
/**
 * As network cards coalesce their interrupts: while a socket brings so many datagrams a turn, but no full batch, the worker
 * waits a little until there are more. They cost much less together, and it adds a tenth of a millisecond to answers when
 * some 50,000 a second are asked of a worker, nothing when fewer are, and nothing when it has no time to wait.
 */
const COALESCE = { from: 8, microseconds: 100 } as const;
/** The generation of descriptors that are no connections, and what their numbers say. */
const OWN = 0;
const WAKE = 0;
const UDP = 1 << 16;
const LISTENER = 1 << 17;
const INDEX = 0xffff;
/** How often a worker without work looks around. */
const TICK_MS = 1000;
/** How long connections may take, when the server stops, until they have what they are owed. */
const GRACE_MS = 1000;
/** Messages a worker may have under way in the main thread. */
const MAX_SLOW = 256;
/** Failed calls in a row after which the worker gives up and is replaced. */
const MAX_FAILURES = 1000;
const SERVFAIL = 2;
const WOKEN = new BigUint64Array(1);

/** The error and where it arose, in one line. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error.stack ?? error.message).split("\n", 2).map((line) => line.trim()).join(" ");
}
