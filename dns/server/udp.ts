/**
 * The UDP servers. On Linux with FFI: workers, each with its own socket on the same port, that answer from the board by
 * themselves; this thread binds, watches over them and answers what takes the full machinery. Elsewhere: one socket of
 * the runtime in this thread, with the same answers.
 */
import type { Result } from "../../conduit/mod.ts";
import type { ImageBoard } from "./board.ts";
import { createCounterRow, sumCounters, type UdpCounters } from "./udp_counters.ts";
import { startPortableUdp } from "./udp_portable.ts";
import {
  bindSocket,
  boundAddress,
  createBatch,
  ERRNO,
  fromSockaddr,
  isWildcard,
  type LibC,
  MSG_DONTWAIT,
  openLibC,
  toSockaddr,
  VECTOR_LENGTH,
  WORD,
} from "./udp_system.ts";
import { CONTROL, type WorkerOrder, type WorkerReport } from "./worker_protocol.ts";

export interface UdpOptions {
  /** Numeric addresses; port 0 takes a free one. */
  readonly listen: readonly { readonly host: string; readonly port: number }[];
  /** Threads for each address, at least 1. */
  readonly workers: number;
  readonly board: ImageBoard;
  /** Answers what `answerQuery` does not: UPDATE, NOTIFY, TSIG, transfers. `undefined`: no answer. */
  readonly slow: SlowPath;
  /** One line for an operator. */
  readonly log: (line: string) => void;
  /** `false` keeps to the portable server. Default: FFI where it is there and granted. */
  readonly ffi?: boolean;
  /** The module of the workers' threads; tests put a faulty one here. */
  readonly workerModule?: URL;
}

export type SlowPath = (
  query: Uint8Array,
  peer: { readonly address: string; readonly port: number },
) => Promise<Uint8Array | undefined>;

export interface UdpServer {
  /** As bound, in the order of `listen`. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** How the datagrams are moved: `batched` by system calls in workers, `portable` by the runtime. */
  readonly mode: "batched" | "portable";
  /** Resolves when all threads have ended and all sockets are closed. May be called again. */
  stop(): Promise<void>;
  counters(): UdpCounters;
}

export interface UdpError {
  readonly code: "port-in-use" | "not-permitted" | "bad-address" | "address-not-here" | "bind-failed";
  /** One sentence without a final dot that names address and port. */
  readonly message: string;
}

export async function startUdpServer(options: UdpOptions): Promise<Result<UdpServer, UdpError>> {
  const libc = options.ffi === false ? "switched off" : await openLibC();
  if (typeof libc === "string") {
    options.log(`UDP without batches (${libc})`);
    return startPortableUdp(options);
  }
  const bound = bindAll(libc, options);
  if (!bound.ok) return bound;
  return { ok: true, value: await startWorkers(libc, bound.value, options) };
}

interface BoundSocket {
  readonly fd: number;
  readonly ipv6: boolean;
  readonly wildcard: boolean;
  readonly host: string;
  readonly port: number;
}

/** For each address as many sockets as workers. */
function bindAll(libc: LibC, options: UdpOptions): Result<BoundSocket[], UdpError> {
  const sockets: BoundSocket[] = [];
  const failed = (error: UdpError): Result<never, UdpError> => {
    for (const { fd } of sockets) libc.close(fd);
    return { ok: false, error };
  };
  for (const { host, port } of options.listen) {
    let address = toSockaddr(host, port);
    if (address === undefined) {
      return failed({ code: "bad-address", message: `${host} is no numeric IP address to listen on` });
    }
    const ipv6 = host.includes(":");
    const wildcard = isWildcard(host);
    for (let worker = 0; worker < Math.max(1, options.workers); worker++) {
      const socket = bindSocket(libc, address, {
        wildcard,
        sharing: worker > 0 ? "further" : options.workers > 1 ? "first" : "none",
        receiveTimeoutMs: STOP_LATENCY_MS,
        receiveBuffer: RECEIVE_BUFFER,
      });
      if (!socket.ok) return failed(bindError(host, port, socket.errno));
      if (worker === 0) address = boundAddress(libc, socket.fd, ipv6);
      sockets.push({ fd: socket.fd, ipv6, wildcard, host, port: fromSockaddr(address).port });
    }
  }
  return { ok: true, value: sockets };
}

function bindError(host: string, port: number, errno: number): UdpError {
  const place = `UDP ${host.includes(":") ? `[${host}]` : host}:${port}`;
  switch (errno) {
    case ERRNO.EADDRINUSE:
      return { code: "port-in-use", message: `${place} is in use by another program` };
    case ERRNO.EACCES:
      return { code: "not-permitted", message: `${place} may not be bound by this user` };
    case ERRNO.EADDRNOTAVAIL:
      return { code: "address-not-here", message: `${place} is no address of this machine` };
    default:
      return { code: "bind-failed", message: `${place} cannot be bound (error ${errno})` };
  }
}

async function startWorkers(libc: LibC, sockets: BoundSocket[], options: UdpOptions): Promise<UdpServer> {
  const crew = sockets.map((socket) => hire(libc, socket, options));
  await Promise.all(crew.map((worker) => worker.ready));
  let stopped: Promise<void> | undefined;
  return {
    addresses: options.listen.map(({ host }, index) => ({
      host,
      port: sockets[index * Math.max(1, options.workers)].port,
    })),
    mode: "batched",
    stop() {
      stopped ??= Promise.all(crew.map((worker) => worker.stop())).then(() => {
        for (const { fd } of sockets) libc.close(fd);
      });
      return stopped;
    },
    counters: () => sumCounters(crew.map((worker) => worker.counters)),
  };
}

/** Keeps one worker on a socket, and another one should it fail. */
function hire(libc: LibC, socket: BoundSocket, options: UdpOptions) {
  const counters = createCounterRow();
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.size));
  const replies = createReplies(libc, socket);
  const under = new Set<Promise<void>>();
  let started = () => {};
  let ended = () => {};
  const ready = new Promise<void>((resolve) => started = resolve);
  const end = new Promise<void>((resolve) => ended = resolve);
  let failures = 0;
  start();
  return {
    ready,
    counters,
    async stop() {
      Atomics.store(control, CONTROL.stop, 1);
      await end;
      await Promise.all(under);
    },
  };

  function start(): void {
    const { seat, leave } = options.board.seat();
    const born = performance.now();
    const worker = new Worker(options.workerModule ?? WORKER_MODULE, { type: "module" });
    worker.addEventListener("message", (event: MessageEvent<WorkerReport>) => {
      const report = event.data;
      if (report.kind === "ready") started();
      if (report.kind === "fault") options.log(`fault while answering a UDP query: ${report.message}`);
      if (report.kind === "failed") replace(report.message);
      if (report.kind === "stopped") {
        leave();
        ended();
      }
      if (report.kind === "slow") {
        const task = answerSlowly(report).finally(() => {
          Atomics.sub(control, CONTROL.slowPending, 1);
          under.delete(task);
        });
        under.add(task);
      }
    });
    // A module that does not load.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      replace(event.message);
    });
    worker.postMessage(
      {
        fd: socket.fd,
        ipv6: socket.ipv6,
        wildcard: socket.wildcard,
        seat,
        counters,
        control,
      } satisfies WorkerOrder,
      // The port is a Transferable of the runtime, though its type says so of Node's only.
      { transfer: [seat.port as unknown as Transferable] },
    );

    function replace(why: string): void {
      leave();
      if (Atomics.load(control, CONTROL.stop) !== 0) return ended();
      // A delay that grows, so that a worker that cannot live does not take the machine with it; what comes in meanwhile
      // waits in the socket, which stays open.
      if (performance.now() - born > LONG_LIFE_MS) failures = 0;
      const delay = Math.min(100 * 2 ** failures++, 30_000);
      options.log(`a UDP worker on ${socket.host}:${socket.port} failed (${why}), replaced in ${delay} ms`);
      setTimeout(() => Atomics.load(control, CONTROL.stop) === 0 ? start() : ended(), delay);
    }
  }

  async function answerSlowly(report: WorkerReport & { kind: "slow" }): Promise<void> {
    try {
      const response = await options.slow(report.query, fromSockaddr(report.peer));
      if (response !== undefined) replies.send(response, report.peer, report.control);
    } catch (error) {
      options.log(
        `fault while answering a UDP message: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
}

/** Sends single datagrams on a worker's socket. */
function createReplies(libc: LibC, socket: BoundSocket) {
  const batch = createBatch(libc, 1, { query: 0, response: 0xffff }, socket.ipv6);
  return {
    /** What the system refuses is lost, as datagrams may be. */
    send(response: Uint8Array, peer: Uint8Array, control: Uint8Array): void {
      batch.responses[0].set(response);
      batch.addresses.set(peer);
      batch.controls.set(control);
      batch.sendHeaders[WORD.controlLength] = control.length;
      batch.sendVectors[VECTOR_LENGTH] = response.length;
      libc.sendmmsg(socket.fd, batch.sendPointers[0], 1, MSG_DONTWAIT);
    },
  };
}

const WORKER_MODULE = new URL("./worker.ts", import.meta.url);
/** A worker that lived that long had no lasting fault. */
const LONG_LIFE_MS = 60_000;
/** How long a worker may take to notice that it should stop. */
const STOP_LATENCY_MS = 100;
/** Octets the system should queue for a socket; it grants what its own limit allows. */
const RECEIVE_BUFFER = 4 << 20;
