/**
 * The workers that serve on Linux, and their main thread: it binds for them, watches over them, replaces one that fails, and
 * answers what takes the full machinery.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Result } from "../../conduit/mod.ts";
import { type AnswerSettings, DEFAULT_SETTINGS } from "../answer/context.ts";
import type { RateLimit } from "../limit/limiter.ts";
import { createCounterRow, sumCounters } from "./counters.ts";
import { createCrowd } from "./crowd.ts";
import { type LibC, MESSAGE, MSG_DONTWAIT, pinned, putPointer, VECTOR } from "./libc.ts";
import type { Transport } from "./responder.ts";
import type { DnsServer, DnsServerOptions } from "./server.ts";
import { addressText, fromSockaddr, sockaddrOctets } from "./socket_address.ts";
import { bindSockets, type DnsListenError, type SocketPair } from "./sockets.ts";
import { TCP_DEFAULTS, type TcpLimits } from "./tcp_limits.ts";
import { CONTROL, type Mail, type WorkerOrder, type WorkerReport } from "./worker_protocol.ts";

export async function startCrew(
  libc: LibC,
  options: DnsServerOptions,
): Promise<Result<DnsServer, DnsListenError>> {
  const bound = bindSockets(libc, options.listen, Math.max(1, options.workers));
  if (!bound.ok) return bound;
  const sockets = bound.value;
  const common: Common = {
    libc,
    options,
    settings: options.settings ?? DEFAULT_SETTINGS,
    rateLimit: options.rateLimit,
    workers: sockets.workers.length,
    tcp: limitsFor(libc, options.tcp ?? {}),
    crowd: createCrowd(),
    send: createSender(libc),
  };
  const crew = sockets.workers.map((pairs) => hire(pairs, common));
  await Promise.all(crew.map((worker) => worker.ready));
  let stopped: Promise<void> | undefined;
  return {
    ok: true,
    value: {
      addresses: sockets.addresses,
      mode: "batched",
      stop() {
        stopped ??= Promise.all(crew.map((worker) => worker.stop())).then(() => sockets.close());
        return stopped;
      },
      counters: () => sumCounters(crew.map((worker) => worker.counters)),
      setSettings(settings, rateLimit) {
        common.settings = settings;
        common.rateLimit = rateLimit;
        for (const worker of crew) worker.post({ kind: "settings", settings, rateLimit });
      },
    },
  };
}

/** What all workers share. */
interface Common {
  readonly libc: LibC;
  readonly options: DnsServerOptions;
  settings: AnswerSettings;
  rateLimit: RateLimit | undefined;
  readonly workers: number;
  readonly tcp: TcpLimits;
  readonly crowd: Int32Array;
  readonly send: Sender;
}

/** Keeps one worker on its sockets, and another one should it fail. */
function hire(sockets: readonly SocketPair[], common: Common) {
  const { libc, options } = common;
  const counters = createCounterRow();
  const control = new Int32Array(new SharedArrayBuffer(4 * CONTROL.size));
  const wake = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  const under = new Set<Promise<void>>();
  const ready = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  let mailbox: MessagePort | undefined;
  let failures = 0;
  start();
  return {
    ready: ready.promise,
    counters,
    post,
    async stop() {
      Atomics.store(control, CONTROL.stop, 1);
      libc.eventfd_write(wake, 1n);
      await end.promise;
      await Promise.all(under);
      libc.close(wake);
    },
  };

  function post(mail: Mail): void {
    mailbox?.postMessage(mail);
    libc.eventfd_write(wake, 1n);
  }

  function start(): void {
    const { seat, leave } = options.board.seat();
    const { port1, port2 } = new MessageChannel();
    const born = performance.now();
    const worker = new Worker(options.workerModule ?? WORKER_MODULE, { type: "module" });
    mailbox = port1;
    worker.addEventListener("message", (event: MessageEvent<WorkerReport>) => {
      const report = event.data;
      switch (report.kind) {
        case "ready":
          return ready.resolve();
        case "fault":
          return options.log(`fault while answering a query: ${report.message}`);
        case "failed":
          return replace(report.message);
        case "stopped":
          dismiss();
          return end.resolve();
        case "slow-udp":
          return track(answerDatagram(report));
        case "slow-tcp":
          return track(answerConnection(report, port1));
      }
    });
    // A module that does not load.
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      replace(event.message);
    });
    const order: WorkerOrder = {
      sockets,
      seat,
      mail: port2,
      wake,
      settings: common.settings,
      rateLimit: common.rateLimit,
      workers: common.workers,
      tcp: common.tcp,
      counters,
      control,
      crowd: common.crowd,
    };
    // The ports are Transferables of the runtime, though their type says so of Node's only.
    const transfer = [seat.port, port2] as unknown as Transferable[];
    worker.postMessage(order, { transfer });

    function dismiss(): void {
      leave();
      port1.close();
      if (mailbox === port1) mailbox = undefined;
    }

    function replace(why: string): void {
      dismiss();
      if (Atomics.load(control, CONTROL.stop) !== 0) return end.resolve();
      // A delay that grows, so that a worker that cannot live does not take the machine with it; what comes in meanwhile
      // waits in its sockets, which stay open.
      if (performance.now() - born > LONG_LIFE_MS) failures = 0;
      const delay = Math.min(100 * 2 ** failures++, 30_000);
      options.log(`a DNS worker failed (${why}), replaced in ${delay} ms`);
      setTimeout(() => Atomics.load(control, CONTROL.stop) === 0 ? start() : end.resolve(), delay);
    }
  }

  function track(work: Promise<void>): void {
    const task = work.finally(() => {
      Atomics.sub(control, CONTROL.slowPending, 1);
      under.delete(task);
    });
    under.add(task);
  }

  async function answerDatagram(report: WorkerReport & { kind: "slow-udp" }): Promise<void> {
    const transport: Transport = { protocol: "udp", peer: fromSockaddr(report.peer) };
    const response = await respond(report.query, transport);
    if (response !== undefined) {
      common.send(sockets[report.socket].udp, response, report.peer, report.control);
    }
  }

  async function answerConnection(
    { query, slot, generation, address, port }: WorkerReport & { kind: "slow-tcp" },
    from: MessagePort,
  ): Promise<void> {
    const message = await respond(query, { protocol: "tcp", peer: { address: addressText(address), port } });
    // The connections of a worker that failed are gone with it.
    if (mailbox === from) post({ kind: "answer", slot, generation, message });
  }

  async function respond(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    try {
      return await options.respond(query, transport);
    } catch (error) {
      options.log(
        `fault while answering a message: ${error instanceof Error ? error.message : String(error)}`,
      );
      return undefined;
    }
  }
}

/** Connections need descriptors, of which the rest of the program wants some too. */
function limitsFor(libc: LibC, limits: TcpLimits): TcpLimits {
  const pair = new BigUint64Array(2);
  const wanted = limits.maxConnections ?? TCP_DEFAULTS.maxConnections;
  if (libc.getrlimit(RLIMIT_NOFILE, pair) !== 0) return { ...limits, maxConnections: wanted };
  return { ...limits, maxConnections: Math.max(1, Math.min(wanted, Math.floor(Number(pair[0]) * 0.75))) };
}

type Sender = (fd: number, response: Uint8Array, peer: Uint8Array, control: Uint8Array) => void;

/** Sends single datagrams. What the system refuses is lost, as datagrams may be. */
function createSender(libc: LibC): Sender {
  const name = new Uint8Array(sockaddrOctets(true));
  const body = new Uint8Array(0xffff);
  const control = new Uint8Array(64);
  const vector = new Uint32Array(VECTOR.size);
  const header = new Uint32Array(MESSAGE.size);
  pinned(libc, header);
  putPointer(header, MESSAGE.name, pinned(libc, name));
  putPointer(header, MESSAGE.vectors, pinned(libc, vector));
  header[MESSAGE.vectorCount] = 1;
  putPointer(header, MESSAGE.control, pinned(libc, control));
  putPointer(vector, VECTOR.base, pinned(libc, body));
  return (fd, response, peer, controlMessage) => {
    name.set(peer);
    body.set(response);
    control.set(controlMessage);
    header[MESSAGE.nameLength] = peer.length;
    header[MESSAGE.controlLength] = controlMessage.length;
    vector[VECTOR.length] = response.length;
    libc.sendmsg(fd, header, MSG_DONTWAIT);
  };
}

const WORKER_MODULE = new URL("./worker.ts", import.meta.url);
/** A worker that lived that long had no lasting fault. */
const LONG_LIFE_MS = 60_000;
const RLIMIT_NOFILE = 7;
const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;
