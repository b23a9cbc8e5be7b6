/**
 * A flow: a duplex stream of bytes to one peer, whatever carries it (TCP, TLS, an SSH channel, memory).
 * Protocol machines of the other rooms are written against this interface alone.
 */
export interface Flow {
  /** What carries the flow and to whom, for errors and logs: `ssh git@127.0.0.1:2222`. */
  readonly description: string;
  /** The remote address where there is one. */
  readonly peer: PeerAddress | undefined;
  /** True when the peer was authenticated and the bytes are encrypted. */
  readonly secure: boolean;
  /**
   * The next bytes of the peer, in order; `undefined` once the peer has ended its side. One read at a time.
   * @throws {FlowError} when the flow broke, timed out or was closed on this side
   */
  read(): Promise<Uint8Array | undefined>;
  /**
   * Hands bytes on; resolves when there is room for more, so awaiting it is the back-pressure.
   * @throws {FlowError} as `read`
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends our side; the peer may still send. */
  end(): Promise<void>;
  /** Gives the flow up, both ways, at once. May be called again. */
  close(): void;
  /** What the peer wrote beside the stream (an SSH channel's standard error), bounded; empty where there is none. */
  diagnostics(): string;
}

/** An IP address in text and a port. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
}

export type FlowErrorCode = "reset" | "timeout" | "closed" | "refused" | "limit" | "protocol";

/** Why a flow ended other than by both sides' wish. */
export class FlowError extends Error {
  override readonly name = "FlowError";
  constructor(readonly code: FlowErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** The outcome of something that can fail for a reason the caller should handle. */
export type Result<T, E> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };
