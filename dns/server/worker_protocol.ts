/** What the main thread and a UDP worker say to each other. */
import type { BoardSeat } from "./board.ts";

export interface WorkerOrder {
  readonly fd: number;
  readonly ipv6: boolean;
  readonly wildcard: boolean;
  readonly seat: BoardSeat;
  readonly counters: Float64Array;
  /** `CONTROL` numbers. */
  readonly control: Int32Array;
}

/** Numbers in the memory that worker and main thread share. */
export const CONTROL = { stop: 0, slowPending: 1, size: 2 } as const;

export type WorkerReport =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  /** It has ended though nobody asked it to. */
  | { readonly kind: "failed"; readonly message: string }
  | {
    readonly kind: "slow";
    readonly query: Uint8Array;
    readonly peer: Uint8Array;
    readonly control: Uint8Array;
  }
  | { readonly kind: "fault"; readonly message: string };
