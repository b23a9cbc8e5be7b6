/** What the main thread and a worker say to each other. */
import type { MessagePort } from "node:worker_threads";
import type { AnswerSettings } from "../answer/context.ts";
import type { RateLimit } from "../limit/limiter.ts";
import type { BoardSeat } from "./board.ts";
import type { SocketPair } from "./sockets.ts";
import type { TcpLimits } from "./tcp_limits.ts";

export interface WorkerOrder {
  readonly sockets: readonly SocketPair[];
  readonly seat: BoardSeat;
  /** Where `Mail` comes in; the worker looks when `wake` was written to. */
  readonly mail: MessagePort;
  /** An eventfd. */
  readonly wake: number;
  readonly settings: AnswerSettings;
  readonly rateLimit: RateLimit | undefined;
  /** How many workers there are. */
  readonly workers: number;
  readonly tcp: TcpLimits;
  readonly counters: Float64Array;
  /** `CONTROL` numbers. */
  readonly control: Int32Array;
  /** Connections of all workers (`crowd.ts`). */
  readonly crowd: Int32Array;
}

/** Numbers in the memory that worker and main thread share. */
export const CONTROL = { stop: 0, slowPending: 1, size: 2 } as const;

/** From the main thread to a worker. */
export type Mail =
  | {
    readonly kind: "settings";
    readonly settings: AnswerSettings;
    readonly rateLimit: RateLimit | undefined;
  }
  /** What became of a message that came over TCP; without an answer nothing is sent. */
  | {
    readonly kind: "answer";
    readonly slot: number;
    readonly generation: number;
    readonly message: Uint8Array | undefined;
  };

/** From a worker to the main thread. */
export type WorkerReport =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  /** It has ended though nobody asked it to. */
  | { readonly kind: "failed"; readonly message: string }
  | {
    readonly kind: "slow-udp";
    readonly query: Uint8Array;
    /** Which of the worker's sockets. */
    readonly socket: number;
    readonly peer: Uint8Array;
    readonly control: Uint8Array;
  }
  | {
    readonly kind: "slow-tcp";
    readonly query: Uint8Array;
    readonly slot: number;
    readonly generation: number;
    /** 4 or 16 octets. */
    readonly address: Uint8Array;
    readonly port: number;
  }
  | { readonly kind: "fault"; readonly message: string };
