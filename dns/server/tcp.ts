/**
 * DNS over TCP (RFC 7766) on the runtime's sockets, and over any other flow: framing, pipelining, and limits that keep one
 * client from costing the others.
 */
import {
  type Flow,
  FlowError,
  type Listener,
  type ListenError,
  type ListenEvent,
  listenTcp,
  type Result,
} from "../../conduit/mod.ts";
import { MAX_MESSAGE_OCTETS } from "../message/header.ts";
import type { Respond, Transport } from "./responder.ts";
import { createFrameReader, frame } from "./tcp_frames.ts";
import { TCP_DEFAULTS, type TcpLimits } from "./tcp_limits.ts";

export interface TcpServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /**
   * Answers at once what it can: the octets written into `out`, 0 to send nothing, -1 for what `respond` has to answer.
   */
  readonly answer: (query: Uint8Array, out: Uint8Array, transport: Transport) => number;
  readonly respond: Respond;
  readonly limits?: TcpLimits | undefined;
  readonly report?: ((event: ListenEvent) => void) | undefined;
  /** Told of each connection that is served. */
  readonly onConnection?: (() => void) | undefined;
}

/** Listens and answers. A port in use and the like is the error; clients' faults end their own connections and nothing else. */
export function startTcpServer(options: TcpServerOptions): Result<Listener, ListenError> {
  const limits = options.limits ?? {};
  return listenTcp({
    host: options.listen.host,
    port: options.listen.port,
    maxConnections: limits.maxConnections ?? TCP_DEFAULTS.maxConnections,
    maxPerAddress: limits.maxPerAddress ?? TCP_DEFAULTS.maxPerAddress,
    idleMs: limits.idleMs ?? TCP_DEFAULTS.idleMs,
    report: options.report,
  }, (flow) => {
    options.onConnection?.();
    return serveFlow(flow, options);
  });
}

/** Answers the queries of one connection until its client ends it, breaks it, or costs too much. */
export async function serveFlow(
  flow: Flow,
  options: Pick<TcpServerOptions, "answer" | "respond" | "limits">,
): Promise<void> {
  const messageMs = options.limits?.messageMs ?? TCP_DEFAULTS.messageMs;
  const maxPipelined = options.limits?.maxPipelined ?? TCP_DEFAULTS.maxPipelined;
  const transport: Transport = { protocol: "tcp", peer: flow.peer };
  const frames = createFrameReader();
  const slow = new Set<Promise<void>>();
  let arrival: ReturnType<typeof setTimeout> | undefined;
  // Answers leave whole, one after the other, in whatever order they are ready (RFC 7766 §6.2.1.1).
  let writing: Promise<void> = Promise.resolve();
  const send = (message: Uint8Array) => {
    // Copied now: what is handed in may be the buffer that all connections share.
    const framed = frame(message);
    writing = writing.then(() => flow.write(framed));
    return writing;
  };

  const answerAtOnce = (query: Uint8Array): number => {
    try {
      return options.answer(query, ANSWER, transport);
    } catch {
      // `respond` meets the same fault, says so in its log and answers SERVFAIL; the connection goes on.
      return LEFT_TO_RESPOND;
    }
  };
  const take = async (query: Uint8Array) => {
    const length = answerAtOnce(query);
    if (length > 0) return await send(ANSWER.subarray(0, length));
    if (length === 0) return;
    const task = options.respond(query, transport)
      .then((response) => response === undefined ? undefined : send(response))
      // The reader meets the broken flow too, and ends.
      .catch(ignoreFlowError)
      .finally(() => slow.delete(task));
    slow.add(task);
    if (slow.size >= maxPipelined) await Promise.race(slow);
  };

  try {
    for (;;) {
      const bytes = await flow.read();
      if (bytes === undefined) break;
      frames.push(bytes);
      for (let query = frames.next(); query !== undefined; query = frames.next()) {
        clearTimeout(arrival);
        arrival = undefined;
        await take(query);
      }
      // A message that drips in holds a place that others want; more drops do not buy it more time.
      if (frames.pending > 0) arrival ??= setTimeout(() => flow.close(), messageMs);
    }
    await Promise.all(slow);
    await writing;
    await flow.end();
  } catch (error) {
    ignoreFlowError(error);
  } finally {
    clearTimeout(arrival);
    flow.close();
  }
}

const LEFT_TO_RESPOND = -1;

/** One for all connections: an answer is written into it and copied out by `send` without a wait in between. */
const ANSWER = new Uint8Array(MAX_MESSAGE_OCTETS);

/** A client that goes away is no event; anything else is a fault of ours and goes to the listener's report. */
function ignoreFlowError(error: unknown): void {
  if (!(error instanceof FlowError)) throw error;
}
