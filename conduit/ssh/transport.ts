import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import { toFlowError } from "../duplex.ts";
import { type Flow, FlowError } from "../flow.ts";

/** What may lie in memory between ssh2 and the flow below before channels have to wait. */
const PENDING_BYTES = 512 * 1024;
/**
 * What may lie unread in all channels of a connection. Honest peers stay within their windows (2 MiB a
 * channel); ssh2 does not check that data fits its window, so this does.
 */
const UNREAD_BYTES = 32 * 1024 * 1024;

/**
 * What may wait to be sent before the peer is cut off: it asks for replies and reads none. Channels keep far
 * below.
 */
const UNSENT_BYTES = 16 * 1024 * 1024;

/**
 * A flow in the shape that ssh2 wants its socket in. So SSH runs over any flow, and the limits and clocks of
 * the flow below hold for SSH too.
 */
export class Transport extends Duplex {
  /** Why the connection is gone, once it is. */
  lost: FlowError | undefined;
  /** Read by the bound on unread data. */
  readonly channels = new Set<{ readonly readableLength: number }>();
  readonly #flow: Flow;
  readonly #lostListeners = new Set<(error: FlowError) => void>();
  readonly #drainWaiters = new Set<() => void>();

  constructor(flow: Flow) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: PENDING_BYTES });
    this.#flow = flow;
    this.on("drain", () => this.#wake());
  }

  /**
   * Calls back when the connection is gone, before its channels are told. The returned function takes it
   * back.
   */
  onLost(listener: (error: FlowError) => void): () => void {
    this.#lostListeners.add(listener);
    return () => this.#lostListeners.delete(listener);
  }

  /**
   * Resolves when what was written has been taken by the flow below, up to a bounded rest, or the connection
   * is gone.
   */
  async drained(): Promise<void> {
    // A peer may grant a window of 4 GiB and read nothing: windows alone bound nothing.
    while (this.writableLength > PENDING_BYTES && this.lost === undefined) {
      await new Promise<void>((resolve) => this.#drainWaiters.add(resolve));
    }
  }

  override _read(): void {
    this.#flow.read().then((bytes) => {
      if (bytes === undefined) {
        this.#setLost(new FlowError("reset", `${this.#flow.description}: the peer ended the connection`));
        this.push(null);
        return;
      }
      let unread = 0;
      for (const channel of this.channels) unread += channel.readableLength;
      if (unread > UNREAD_BYTES) {
        this.destroy(
          new FlowError("limit", `${this.#flow.description}: the peer sends more than its windows allow`),
        );
        return;
      }
      if (this.writableLength > UNSENT_BYTES) {
        this.destroy(
          new FlowError("limit", `${this.#flow.description}: the peer asks for replies and reads none`),
        );
        return;
      }
      this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    }).catch((error) => this.destroy(toFlowError(error)));
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#flow.write(chunk).then(() => this.#written(callback), (error) => callback(toFlowError(error)));
  }

  /** Packets that gathered while a write was under way go down as one. */
  override _writev(
    chunks: { readonly chunk: Uint8Array }[],
    callback: (error?: Error | null) => void,
  ): void {
    this._write(
      chunks.length === 1 ? chunks[0].chunk : Buffer.concat(chunks.map(({ chunk }) => chunk)),
      "buffer",
      callback,
    );
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#flow.end().then(() => callback(), (error) => callback(toFlowError(error)));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#setLost(
      error === null
        ? new FlowError("closed", `${this.#flow.description}: the connection was closed`)
        : toFlowError(error),
    );
    this.#flow.close();
    callback(error);
  }

  #written(callback: () => void): void {
    callback();
    this.#wake();
  }

  #setLost(error: FlowError): void {
    if (this.lost !== undefined) return;
    this.lost = error;
    for (const listener of [...this.#lostListeners]) listener(error);
    this.#lostListeners.clear();
    this.#wake();
  }

  #wake(): void {
    const waiters = [...this.#drainWaiters];
    this.#drainWaiters.clear();
    for (const wake of waiters) wake();
  }
}
