/**
 * The DNS server: UDP and TCP on the same addresses, plain queries from the published images, the rest through `respond`. On
 * Linux with FFI by workers, threads with sockets of their own; elsewhere by the runtime's sockets in this thread, with the
 * same answers.
 */
import type { Result } from "../../conduit/mod.ts";
import type { AnswerSettings } from "../answer/context.ts";
import type { RateLimit } from "../limit/limiter.ts";
import type { ImageBoard } from "./board.ts";
import type { DnsCounters } from "./counters.ts";
import { startCrew } from "./crew.ts";
import { openLibC } from "./libc.ts";
import type { Respond } from "./responder.ts";
import type { DnsListenError, Place } from "./sockets.ts";
import type { TcpLimits } from "./tcp_limits.ts";

export interface DnsServerOptions {
  /** Numeric addresses; port 0 takes one that is free for UDP and TCP. */
  readonly listen: readonly Place[];
  /** Threads in all, at least 1; each serves all addresses. */
  readonly workers: number;
  readonly board: ImageBoard;
  /** Answers what `answerQuery` does not: UPDATE, NOTIFY, TSIG, transfers. */
  readonly respond: Respond;
  readonly settings?: AnswerSettings | undefined;
  /** Of UDP answers, over all workers; default: none. */
  readonly rateLimit?: RateLimit | undefined;
  readonly tcp?: TcpLimits | undefined;
  /** One line for an operator. */
  readonly log: (line: string) => void;
  /** `false` keeps to the portable server. Default: FFI where it is there and granted. */
  readonly ffi?: boolean | undefined;
  /** The module of the workers' threads; tests put a faulty one here. */
  readonly workerModule?: URL | undefined;
}

export interface DnsServer {
  /** As bound, in the order of `listen`. */
  readonly addresses: readonly Place[];
  /** How queries are moved: `batched` by system calls in workers, `portable` by the runtime. */
  readonly mode: "batched" | "portable";
  /** What was counted since the start, at any time, without stopping anyone. */
  counters(): DnsCounters;
  /** Every worker answers by the new settings within milliseconds; the limit's accounts start anew. */
  setSettings(settings: AnswerSettings, rateLimit?: RateLimit): void;
  /**
   * Takes nothing new, gives connections a second to get what they are owed, and resolves when all threads have ended and
   * all sockets are closed. May be called again.
   */
  stop(): Promise<void>;
}

/** All addresses or none. */
export async function startDnsServer(options: DnsServerOptions): Promise<Result<DnsServer, DnsListenError>> {
  const libc = options.ffi === false ? "switched off" : await openLibC();
  if (typeof libc !== "string") return await startCrew(libc, options);
  options.log(`DNS without batches (${libc})`);
  // Loaded where it is needed alone: it brings all of conduit.
  const { startPortable } = await import("./portable.ts");
  return startPortable(options);
}
