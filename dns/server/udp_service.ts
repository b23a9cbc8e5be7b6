/**
 * DNS over UDP in a worker: takes as many datagrams of a socket as are there, answers them from the board's newest images,
 * and sends the answers in one call.
 *
 * Hot path: few system calls a batch and no allocation (`tests/bench/answers`).
 */
import { headerAnswer, SLOW_PATH, UDP_PAYLOAD } from "../answer/answer.ts";
import { type AnswerContext, RESPONSE } from "../answer/context.ts";
import type { ImageSet } from "../image/set.ts";
import {
  createLimiter,
  judge,
  type Limiter,
  LIMITER_SEED_WORDS,
  type RateLimit,
  VERDICT,
} from "../limit/limiter.ts";
import { slipAnswer } from "../limit/slip.ts";
import type { BoardReader } from "./board.ts";
import { COUNT, countAnswer, countLatency, countQuery } from "./counters.ts";
import { ERRNO, errno, type LibC, MESSAGE, MSG_TRUNC } from "./libc.ts";
import type { SocketPair } from "./sockets.ts";
import { BATCH, createUdpBatch, type UdpBatch } from "./udp_batch.ts";

export interface UdpServiceOptions {
  readonly libc: LibC;
  readonly sockets: readonly SocketPair[];
  readonly board: BoardReader;
  readonly counters: Float64Array;
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
  readonly handOver: (query: Uint8Array, from: UdpClient) => boolean;
}

/** Where a message came from and what its answer needs. */
export interface UdpClient {
  readonly socket: number;
  /** A socket address. */
  readonly peer: Uint8Array;
  readonly control: Uint8Array;
}

export interface UdpService {
  /**
   * Answers what waits in a socket, up to a bound that leaves the others their turn. Gives how many datagrams that were,
   * `BATCH` for that many or more.
   */
  serve(socket: number): number;
  /** From now on; `undefined` for no limit. */
  limit(limiter: Limiter | undefined): void;
}

export function createUdpService(options: UdpServiceOptions): UdpService {
  const { libc, sockets, board, counters, context, answer, handOver } = options;
  const ways = sockets.map(({ segments }) => ({ segments, rest: 0 }));
  const batches = batchesOf(libc, sockets);
  let failures = 0;
  let limiter: Limiter | undefined;

  /** One batch; gives how many datagrams it had. */
  const serveBatch = (index: number): number => {
    const { udp: fd } = sockets[index];
    const batch = batches[index];
    const way = ways[index];
    const received = batch.receive(fd);
    if (received < 0) {
      const code = errno(libc);
      if (code !== ERRNO.EAGAIN && code !== ERRNO.EINTR && ++failures > MAX_FAILURES) {
        throw new Error(`recvmmsg fails with error ${code} again and again`);
      }
      return 0;
    }
    failures = 0;
    const arrival = performance.now();
    context.now = Math.floor(Date.now() / 1000);
    context.addressOctets = sockets[index].ipv6 ? 16 : 4;
    batch.begin(way);
    const sending = answerAll(index, board.begin(), received, arrival);
    if (sending > 0) {
      counters[COUNT.sendErrors] += batch.send(fd, way);
      countLatency(counters, sending, performance.now() - arrival);
    }
    board.done();
    return received;
  };

  /** Answers the queries of a batch, and gives how many answers are to be sent. */
  const answerAll = (index: number, images: ImageSet, received: number, arrival: number): number => {
    const { ipv6 } = sockets[index];
    const batch = batches[index];
    const { queries, responses, headers, addresses, addressOctets } = batch;
    const transport = ipv6 ? 1 : 0;
    const octets = ipv6 ? 16 : 4;
    const skipped = ipv6 ? 8 : 4;
    let sending = 0;
    for (let i = 0; i < received; i++) {
      const header = i * MESSAGE.size;
      const query = queries[i];
      const response = responses[i];
      const length = headers[header + MESSAGE.received];
      countQuery(counters, query, length, transport);
      for (let octet = 0, place = i * addressOctets + skipped; octet < octets; octet++) {
        context.address[octet] = addresses[place + octet];
      }
      let answered: number;
      if ((headers[header + MESSAGE.flags] & MSG_TRUNC) === 0) {
        answered = answer(images, query, length, response, context);
      } else {
        // Longer than any query: it is cut off. Answering responses would let two servers talk for ever.
        answered = (query[2] & 0x80) === 0 ? headerAnswer(query, response, FORMERR) : 0;
        context.kind = RESPONSE.error;
        context.flood = 0;
        context.cookieValid = false;
      }
      if (answered > 0) {
        const verdict = limiter === undefined ? VERDICT.send : judge(limiter, context, arrival);
        if (verdict === VERDICT.drop) {
          counters[COUNT.limited]++;
          continue;
        }
        if (verdict === VERDICT.slip) {
          counters[COUNT.slipped]++;
          answered = slipAnswer(response, answered);
        }
        countAnswer(counters, response, answered);
        batch.add(i, answered);
        sending++;
      } else if (answered === SLOW_PATH) {
        counters[COUNT.slow]++;
        const peer = addresses.slice(i * addressOctets, (i + 1) * addressOctets);
        const client = { socket: index, peer, control: batch.controlOf(i) };
        if (!handOver(query.slice(0, length), client)) counters[COUNT.slowDrops]++;
      } else {
        counters[COUNT.drops]++;
      }
    }
    return sending;
  };

  return {
    limit(next) {
      limiter = next;
    },
    serve(socket) {
      for (let round = 1; round <= ROUNDS; round++) {
        const received = serveBatch(socket);
        if (received < BATCH) return round > 1 ? BATCH : received;
      }
      return BATCH;
    },
  };
}

/** One worker's part of a limit. */
export function limiterOf(rateLimit: RateLimit | undefined, workers: number): Limiter | undefined {
  if (rateLimit === undefined) return undefined;
  return createLimiter(rateLimit, workers, crypto.getRandomValues(new Uint32Array(LIMITER_SEED_WORDS)));
}

/** One batch for all sockets that are alike. */
function batchesOf(libc: LibC, sockets: readonly SocketPair[]): UdpBatch[] {
  const batches = new Map<string, UdpBatch>();
  return sockets.map((socket) => {
    const kind = `${socket.ipv6} ${socket.wildcard}`;
    const batch = batches.get(kind) ??
      createUdpBatch(libc, { query: QUERY_OCTETS, response: UDP_PAYLOAD }, socket);
    batches.set(kind, batch);
    return batch;
  });
}

/** The longest query that is read; a longer one gets FORMERR. */
const QUERY_OCTETS = 4096;
/** Batches of one socket until the others get their turn. */
const ROUNDS = 8;
/** Failed calls in a row after which the worker gives up and is replaced. */
const MAX_FAILURES = 1000;
const FORMERR = 1;
