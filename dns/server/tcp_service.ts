/**
 * DNS over TCP in a worker (RFC 7766): many connections, no thread and no promise each. Whatever a client sent together is
 * answered together, in one call to receive it and one to send; what takes the main thread is answered when that is ready,
 * out of order. A client costs memory only while half a message has come or half an answer has gone.
 *
 * Hot path: two system calls for each connection that has something (`tests/bench/answers`).
 */
import { headerAnswer, SLOW_PATH } from "../answer/answer.ts";
import type { AnswerContext } from "../answer/context.ts";
import { createBufferPool } from "./buffer_pool.ts";
import type { BoardReader } from "./board.ts";
import { createConnectionTable, QUEUE } from "./connection_table.ts";
import {
  CLOSING_REASONS,
  type ClosingReason,
  COUNT,
  countAnswer,
  countLatency,
  countQuery,
} from "./counters.ts";
import { type CrowdLimits, enterCrowd, leaveCrowd } from "./crowd.ts";
import { EPOLL, type Epoll } from "./epoll.ts";
import {
  ERRNO,
  errno,
  type LibC,
  MESSAGE,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  pinned,
  putPointer,
  VECTOR,
} from "./libc.ts";
import type { SocketPair } from "./sockets.ts";
import { TCP_DEFAULTS, type TcpLimits } from "./tcp_limits.ts";
import type { ImageSet } from "../image/set.ts";

export interface TcpServiceOptions {
  readonly libc: LibC;
  readonly epoll: Epoll;
  readonly board: BoardReader;
  readonly limits: TcpLimits;
  readonly counters: Float64Array;
  readonly crowd: Int32Array;
  readonly context: AnswerContext;
  /** `answerQuery`, never throwing. */
  readonly answer: (
    images: ImageSet,
    query: Uint8Array,
    length: number,
    out: Uint8Array,
    context: AnswerContext,
  ) => number;
  /** Takes a message to the main thread; false when that has too much to do. */
  readonly handOver: (query: Uint8Array, from: TcpClient) => boolean;
}

/** A connection and whose it is. */
export interface TcpClient {
  readonly slot: number;
  readonly generation: number;
  readonly address: Uint8Array;
  readonly port: number;
}

export interface TcpService {
  /** Takes connections that wait at a listener; false when the process has no room for more, and it is no use to go on. */
  accept(listener: SocketPair, now: number): boolean;
  /** Does what can be done for a connection that has events. */
  serve(slot: number, generation: number, events: number, now: number): void;
  /** An answer of the main thread, `undefined` for none. */
  deliver(slot: number, generation: number, message: Uint8Array | undefined, now: number): void;
  /** Closes what has waited for too long, and gives the milliseconds until it has to be called again; -1 for never. */
  expire(now: number): number;
  /** Lets go of connections as soon as they are owed nothing. */
  drain(): void;
  /** Closes all that are left. */
  close(): void;
  readonly connections: number;
}

export function createTcpService(options: TcpServiceOptions): TcpService {
  const { libc, epoll, board, counters, crowd, context, answer } = options;
  const limits = { ...TCP_DEFAULTS, ...definedOf(options.limits) };
  const crowdLimits: CrowdLimits = limits;
  const table = createConnectionTable(limits.maxConnections);
  const { fds, generations, queues, slow, ended, interests, kept, keptOctets } = table;
  const { unsent, unsentFrom, unsentTo } = table;
  const pool = createBufferPool(HELD_OCTETS);

  // In: what a connection sent, one after the other for all. The query that is being answered lies in `query`.
  const input = new Uint8Array(INPUT_OCTETS);
  const inputPlace = pinned(libc, input);
  const inputVector = new Uint32Array(VECTOR.size);
  const inputHeader = messageHeader(libc, inputVector, 1);
  const query = new Uint8Array(0xffff);
  // Out: short answers side by side, each with its length before it, and one of any length.
  const outputs = new Uint8Array(OUTPUTS * OUTPUT_STRIDE);
  const outputPlace = pinned(libc, outputs);
  const responses = Array.from(
    { length: OUTPUTS },
    (_, i) => outputs.subarray(i * OUTPUT_STRIDE + 2, i * OUTPUT_STRIDE + 2 + SHORT_OCTETS),
  );
  const long = new Uint8Array(2 + 0xffff);
  const longPlace = pinned(libc, long);
  const longResponse = long.subarray(2);
  const vectors = new Uint32Array(OUTPUTS * VECTOR.size);
  const outputHeader = messageHeader(libc, vectors, 0);
  for (let i = 0; i < OUTPUTS; i++) putPointer(vectors, i * VECTOR.size, outputPlace + i * OUTPUT_STRIDE);
  const sockaddr = new Uint8Array(28);
  const sockaddrLength = new Int32Array(1);

  /** Answers that lie ready, and their octets. */
  let filled = 0;
  let total = 0;
  let longAt = -1;
  let draining = false;

  const close = (slot: number, reason: ClosingReason): void => {
    const fd = fds[slot];
    // Who does not read its answers shall not make the system keep them.
    if (reason === "unread" || reason === "memory") libc.setsockopt(fd, SOL_SOCKET, SO_LINGER, NO_LINGER, 8);
    give(kept[slot]);
    give(unsent[slot]);
    kept[slot] = unsent[slot] = undefined;
    leaveCrowd(crowd, table.addresses.subarray(slot * 16, slot * 16 + 16), table.addressOctets[slot]);
    counters[COUNT.open]--;
    counters[COUNT.closed + CLOSING_REASONS.indexOf(reason)]++;
    table.release(slot);
    // At last, so that who sees the end finds it counted.
    libc.close(fd);
  };

  const give = (buffer: Uint8Array | undefined): void => {
    if (buffer !== undefined) pool.give(buffer);
  };

  /** Closes the connection that can be done without best. */
  const makeRoom = (): boolean => {
    for (const queue of [QUEUE.idle, QUEUE.reading, QUEUE.writing]) {
      const slot = table.oldest(queue);
      if (slot < 0) continue;
      close(slot, "crowded");
      return true;
    }
    return false;
  };

  const admit = (fd: number, ipv6: boolean, now: number): void => {
    const octets = ipv6 ? 16 : 4;
    const address = sockaddr.subarray(ipv6 ? 8 : 4, ipv6 ? 24 : 8);
    let admission = enterCrowd(crowd, crowdLimits, address, octets);
    if (admission === "full" && makeRoom()) admission = enterCrowd(crowd, crowdLimits, address, octets);
    const slot = admission === "admitted" ? table.open(fd, now) : -1;
    if (slot < 0) {
      if (admission === "admitted") leaveCrowd(crowd, address, octets);
      counters[COUNT.refused]++;
      libc.close(fd);
      return;
    }
    table.addresses.set(address, slot * 16);
    table.addressOctets[slot] = octets;
    table.ports[slot] = sockaddr[2] << 8 | sockaddr[3];
    counters[COUNT.accepted]++;
    counters[COUNT.open]++;
    interests[slot] = EPOLL.in;
    if (!epoll.add(fd, EPOLL.in, slot, generations[slot])) close(slot, "error");
  };

  const receive = (slot: number, now: number): void => {
    const had = restore(slot);
    putPointer(inputVector, 0, inputPlace + had);
    inputVector[VECTOR.length] = SHARE_OCTETS;
    const count = libc.recvmsg(fds[slot], inputHeader, MSG_DONTWAIT);
    if (count < 0) {
      const code = errno(libc);
      if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR) return close(slot, "client");
    }
    // Half a message at the end of all is worth nothing.
    if (count === 0) ended[slot] = 1;
    consume(slot, count === 0 ? 0 : had + Math.max(0, count), now);
  };

  /** Answers what lies in `input`, and keeps what cannot be answered yet. */
  const consume = (slot: number, end: number, now: number): void => {
    const generation = generations[slot];
    const octets = table.addressOctets[slot];
    const transport = octets === 4 ? 2 : 3;
    for (let i = 0, from = slot * 16; i < octets; i++) context.address[i] = table.addresses[from + i];
    context.addressOctets = octets;
    let at = 0;
    let answers = 0;
    let open = true;
    const images = board.begin();
    while (end - at >= 2) {
      const length = input[at] << 8 | input[at + 1];
      const behind = at + 2 + length;
      if (behind > end || slow[slot] >= limits.maxPipelined) break;
      if (length <= 256) { for (let i = 0, from = at + 2; i < length; i++) query[i] = input[from + i]; }
      else query.set(input.subarray(at + 2, behind));
      at = behind;
      countQuery(counters, query, length, transport);
      let response = responses[filled];
      let answered = answer(images, query, length, response, context);
      if (answered === SLOW_PATH) {
        counters[COUNT.slow]++;
        const message = query.slice(0, length);
        const address = context.address.slice(0, octets);
        if (options.handOver(message, { slot, generation, address, port: table.ports[slot] })) {
          slow[slot]++;
          continue;
        }
        counters[COUNT.slowDrops]++;
        answered = headerAnswer(query, response, SERVFAIL);
      }
      if (answered === 0) {
        counters[COUNT.drops]++;
        continue;
      }
      if ((response[2] & TC) !== 0) {
        response = longResponse;
        answered = answer(images, query, length, response, context);
      }
      countAnswer(counters, response, answered);
      answers++;
      put(response, answered);
      if ((filled === OUTPUTS || longAt >= 0) && !(open = flush(slot))) break;
    }
    if (filled > 0) open = flush(slot);
    board.done();
    if (answers > 0) countLatency(counters, answers, performance.now() - now);
    if (generations[slot] !== generation || fds[slot] < 0) return;
    if (at < end && !keep(slot, at, end)) return close(slot, "memory");
    settle(slot, now, at > 0 && open);
  };

  /** Octets kept of a connection, back at the start of `input`. */
  const restore = (slot: number): number => {
    const buffer = kept[slot];
    if (buffer === undefined) return 0;
    const octets = keptOctets[slot];
    input.set(buffer.subarray(0, octets));
    pool.give(buffer);
    kept[slot] = undefined;
    keptOctets[slot] = 0;
    return octets;
  };

  const keep = (slot: number, from: number, end: number): boolean => {
    const buffer = pool.take(end - from);
    if (buffer === undefined) return false;
    buffer.set(input.subarray(from, end));
    kept[slot] = buffer;
    keptOctets[slot] = end - from;
    return true;
  };

  /** Puts an answer behind those that lie ready: one of `responses`, in its turn, or the long one. */
  const put = (response: Uint8Array, length: number): void => {
    const vector = filled * VECTOR.size;
    if (response === longResponse) {
      longAt = filled;
      long[0] = length >>> 8;
      long[1] = length;
      putPointer(vectors, vector, longPlace);
    } else {
      const from = filled * OUTPUT_STRIDE;
      outputs[from] = length >>> 8;
      outputs[from + 1] = length;
    }
    vectors[vector + VECTOR.length] = length + 2;
    total += length + 2;
    filled++;
  };

  /** Sends what lies ready; false when the client does not take it all now, or is gone. */
  const flush = (slot: number): boolean => {
    outputHeader[MESSAGE.vectorCount] = filled;
    let sent = libc.sendmsg(fds[slot], outputHeader, MSG_DONTWAIT | MSG_NOSIGNAL);
    let reason: ClosingReason | undefined;
    if (sent < 0) {
      const code = errno(libc);
      if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR) reason = "client";
      sent = 0;
    }
    const complete = sent === total;
    if (!complete && reason === undefined && !defer(slot, sent)) reason = "memory";
    if (longAt >= 0) putPointer(vectors, longAt * VECTOR.size, outputPlace + longAt * OUTPUT_STRIDE);
    longAt = -1;
    filled = total = 0;
    if (reason !== undefined) close(slot, reason);
    return complete && reason === undefined;
  };

  /** Keeps what lies ready from octet `sent` on until the client takes it. */
  const defer = (slot: number, sent: number): boolean => {
    const buffer = pool.take(total - sent);
    if (buffer === undefined) return false;
    let to = 0;
    let skip = sent;
    for (let i = 0; i < filled; i++) {
      const octets = vectors[i * VECTOR.size + VECTOR.length];
      const from = Math.min(skip, octets);
      skip -= from;
      const source = i === longAt
        ? long.subarray(from, octets)
        : outputs.subarray(i * OUTPUT_STRIDE + from, i * OUTPUT_STRIDE + octets);
      buffer.set(source, to);
      to += source.length;
    }
    unsent[slot] = buffer;
    unsentFrom[slot] = 0;
    unsentTo[slot] = to;
    return true;
  };

  /** Sends of what was deferred what the client takes; true when nothing is left. */
  const sendDeferred = (slot: number): boolean => {
    for (let buffer = unsent[slot]; buffer !== undefined; buffer = unsent[slot]) {
      const from = unsentFrom[slot];
      const part = buffer.subarray(from, Math.min(unsentTo[slot], from + long.length));
      long.set(part);
      putPointer(vectors, 0, longPlace);
      vectors[VECTOR.length] = part.length;
      outputHeader[MESSAGE.vectorCount] = 1;
      const sent = libc.sendmsg(fds[slot], outputHeader, MSG_DONTWAIT | MSG_NOSIGNAL);
      putPointer(vectors, 0, outputPlace);
      if (sent < 0) {
        const code = errno(libc);
        if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR) close(slot, "client");
        return false;
      }
      unsentFrom[slot] = from + sent;
      if (unsentFrom[slot] < unsentTo[slot]) continue;
      pool.give(buffer);
      unsent[slot] = undefined;
    }
    return true;
  };

  /** Puts one more answer behind what is deferred. */
  const deferMore = (slot: number, earlier: Uint8Array, message: Uint8Array): boolean => {
    const waiting = earlier.subarray(unsentFrom[slot], unsentTo[slot]);
    const buffer = pool.take(waiting.length + 2 + message.length);
    if (buffer === undefined) return false;
    buffer.set(waiting);
    buffer[waiting.length] = message.length >>> 8;
    buffer[waiting.length + 1] = message.length;
    buffer.set(message, waiting.length + 2);
    unsentFrom[slot] = 0;
    unsentTo[slot] = waiting.length + 2 + message.length;
    unsent[slot] = buffer;
    pool.give(earlier);
    return true;
  };

  /** Sees to it that a connection waits for the right thing. */
  const settle = (slot: number, now: number, progress: boolean): void => {
    let queue: number;
    let interest: number = EPOLL.in;
    if (unsent[slot] !== undefined) {
      queue = QUEUE.writing;
      interest = EPOLL.out;
    } else if (slow[slot] >= limits.maxPipelined) {
      queue = QUEUE.working;
      interest = 0;
    } else if (keptOctets[slot] > 0) {
      queue = QUEUE.reading;
    } else if (slow[slot] > 0) {
      queue = QUEUE.working;
      if (ended[slot] !== 0) interest = 0;
    } else if (ended[slot] !== 0 || draining) {
      return close(slot, ended[slot] !== 0 ? "client" : "stopped");
    } else {
      queue = QUEUE.idle;
    }
    if (interests[slot] !== interest) {
      interests[slot] = interest;
      epoll.change(fds[slot], interest, slot, generations[slot]);
    }
    // Who drips a message, or takes its answers drop by drop, does not buy more time with each drop.
    const drips = queue === QUEUE.writing || queue === QUEUE.reading && !progress;
    if (!drips || queue !== queues[slot]) table.enqueue(slot, queue, now);
  };

  const isConnection = (slot: number, generation: number): boolean =>
    fds[slot] >= 0 && generations[slot] === generation;

  return {
    get connections() {
      return table.count;
    },
    accept(listener, now) {
      for (let i = 0; i < ACCEPTED_TOGETHER; i++) {
        sockaddrLength[0] = sockaddr.length;
        const fd = libc.accept4(listener.tcp, sockaddr, sockaddrLength, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
          admit(fd, listener.ipv6, now);
          continue;
        }
        const code = errno(libc);
        if (code === ERRNO.EAGAIN) return true;
        if (code === ERRNO.EMFILE || code === ERRNO.ENFILE) return makeRoom();
        // Anything else is the misfortune of one connection (accept(2)).
      }
      return true;
    },
    serve(slot, generation, events, now) {
      if (!isConnection(slot, generation)) return;
      if ((events & (EPOLL.error | EPOLL.hangup)) !== 0 && (interests[slot] & EPOLL.in) === 0) {
        return close(slot, "client");
      }
      if ((interests[slot] & EPOLL.in) !== 0) return receive(slot, now);
      if ((interests[slot] & EPOLL.out) !== 0 && sendDeferred(slot)) return consume(slot, restore(slot), now);
    },
    deliver(slot, generation, message, now) {
      if (!isConnection(slot, generation)) return;
      slow[slot]--;
      if (message !== undefined) {
        const earlier = unsent[slot];
        if (earlier !== undefined) {
          if (!deferMore(slot, earlier, message)) return close(slot, "memory");
        } else {
          longResponse.set(message);
          put(longResponse, message.length);
          flush(slot);
          if (!isConnection(slot, generation)) return;
        }
      }
      if (unsent[slot] === undefined && keptOctets[slot] > 0) consume(slot, restore(slot), now);
      else settle(slot, now, false);
    },
    expire(now) {
      const keepalive = context.settings.keepalive * 100;
      let next = -1;
      for (const [queue, reason] of TIMED) {
        const patience = reason === "message"
          ? limits.messageMs
          : reason === "idle" && keepalive > 0
          ? keepalive
          : limits.idleMs;
        for (let slot = table.oldest(queue); slot >= 0; slot = table.oldest(queue)) {
          const left = table.since[slot] + patience - now;
          if (left > 0) {
            next = next < 0 ? left : Math.min(next, left);
            break;
          }
          close(slot, reason);
        }
      }
      return next;
    },
    drain() {
      draining = true;
      for (const slot of table.slots()) if (queues[slot] === QUEUE.idle) close(slot, "stopped");
    },
    close() {
      for (const slot of table.slots()) close(slot, "stopped");
    },
  };
}

/** Queues that a connection must leave in time. */
const TIMED = [[QUEUE.idle, "idle"], [QUEUE.reading, "message"], [QUEUE.writing, "unread"]] as const;

/** The most that a connection may send in its turn. */
const SHARE_OCTETS = 16_384;
/** What may be kept of a message that is not complete, and one share. */
const INPUT_OCTETS = 2 + 0xffff + SHARE_OCTETS;
/** Answers sent together, and how long they may be; a longer one is written once more, with all the room that TCP has. */
const OUTPUTS = 64;
const SHORT_OCTETS = 2046;
/** No power of two, so that the answers keep out of each other's cache lines. */
const OUTPUT_STRIDE = 2 + SHORT_OCTETS + 64;
/** What all connections of a worker may hold together, of half messages and half answers. */
const HELD_OCTETS = 32 << 20;
const ACCEPTED_TOGETHER = 32;
const TC = 0x02;
const SERVFAIL = 2;

const SOL_SOCKET = 1;
const SO_LINGER = 13;
const NO_LINGER = Int32Array.of(1, 0);
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;

/** A `struct msghdr` without an address, over these vectors. */
function messageHeader(
  libc: LibC,
  vectors: Uint32Array<ArrayBuffer>,
  count: number,
): Uint32Array<ArrayBuffer> {
  const header = new Uint32Array(MESSAGE.size);
  pinned(libc, header);
  putPointer(header, MESSAGE.vectors, pinned(libc, vectors));
  header[MESSAGE.vectorCount] = count;
  return header;
}

function definedOf(limits: TcpLimits): Partial<Record<keyof TcpLimits, number>> {
  return Object.fromEntries(Object.entries(limits).filter(([, value]) => value !== undefined));
}
