/** Between flows and Node's streams: what the runtime's TLS and HTTP are driven through. */
import { Buffer } from "node:buffer";
import { Duplex, type Readable, type Writable } from "node:stream";
import { type Flow, FlowError } from "./flow.ts";
import type { Patience } from "./patience.ts";

/** What may lie between a stream and the flow below it before writers wait. */
const PENDING_BYTES = 256 * 1024;
/** A write goes down in slices, so that what lies in between is bounded whatever the caller hands over. */
const SLICE_BYTES = 256 * 1024;

/** A flow in the shape of a Node stream. It owns the flow from here on. */
export class FlowDuplex extends Duplex {
  readonly #flow: Flow;
  readonly #onEnd: ((ended: () => void) => void) | undefined;

  /**
   * `onEnd` is told when the flow has ended, in place of the stream's reader, which is told once `ended` is
   * called.
   */
  constructor(flow: Flow, onEnd?: (ended: () => void) => void) {
    super({ readableHighWaterMark: 64 * 1024, writableHighWaterMark: PENDING_BYTES });
    this.#flow = flow;
    this.#onEnd = onEnd;
    // Whoever uses the stream is told by a listener of theirs; after their last use there is nobody to tell.
    this.on("error", () => {});
  }

  override _read(): void {
    this.#flow.read().then((bytes) => {
      if (bytes !== undefined) this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
      else if (this.#onEnd === undefined) this.push(null);
      else this.#onEnd(() => this.push(null));
    }, (error) => this.destroy(toFlowError(error)));
  }

  override _write(chunk: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#flow.write(chunk).then(() => callback(), (error) => callback(toFlowError(error)));
  }

  /** What gathered while a write was under way goes down as one. */
  override _writev(
    chunks: { readonly chunk: Uint8Array }[],
    callback: (error?: Error | null) => void,
  ): void {
    const joined = chunks.length === 1 ? chunks[0].chunk : Buffer.concat(chunks.map(({ chunk }) => chunk));
    this._write(joined, "buffer", callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#flow.end().then(() => callback(), (error) => callback(toFlowError(error)));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#flow.close();
    callback(error);
  }
}

/** Reads a stream chunk by chunk. What was received before a fault is read before the fault is told. */
export class ChunkReader {
  readonly #readable: Readable;
  #ended = false;
  #fault: unknown;
  #dry: { readonly fault: unknown; readonly graceMs: number } | undefined;
  #wake: (() => void) | undefined;

  constructor(readable: Readable) {
    this.#readable = readable;
    readable.on("readable", () => this.#notify());
    readable.on("end", () => {
      this.#ended = true;
      this.#notify();
    });
    readable.on("error", (error) => this.fail(error));
  }

  /** Makes reading end with this, once what was received is read. */
  fail(fault: unknown): void {
    this.#fault ??= fault;
    this.#notify();
  }

  /** Makes reading end with this where a reader has waited so long, and neither bytes nor an end came. */
  failWhenDry(fault: unknown, graceMs: number): void {
    this.#dry ??= { fault, graceMs };
    this.#notify();
  }

  /** The next bytes; `undefined` at the stream's end. @throws what the stream failed with */
  async next(patience: Patience): Promise<Uint8Array | undefined> {
    for (;;) {
      const chunk: unknown = this.#readable.read();
      if (chunk instanceof Uint8Array) return chunk;
      if (this.#ended) return undefined;
      if (this.#fault !== undefined) throw this.#fault;
      await this.#more(patience);
    }
  }

  async #more(patience: Patience): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => this.#wake = resolve);
    if (this.#dry !== undefined) {
      const { fault, graceMs } = this.#dry;
      timer = setTimeout(() => this.fail(fault), graceMs);
    }
    await patience.wait(woken);
    clearTimeout(timer);
  }

  #notify(): void {
    this.#wake?.();
    this.#wake = undefined;
  }
}

/** Writes to a stream and waits until it has room for more. @throws what the stream failed with */
export async function writeAll(stream: Writable, bytes: Uint8Array, patience: Patience): Promise<void> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    await patience.wait(writeSlice(stream, bytes.subarray(at, at + SLICE_BYTES)));
  }
}

function writeSlice(stream: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    // A stream that is destroyed forgets the callbacks of its writes.
    const gone = () => reject(stream.errored ?? new FlowError("closed", "closed while it was written to"));
    stream.once("close", gone);
    stream.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), (error) => {
      stream.off("close", gone);
      if (error) reject(error);
      else resolve();
    });
    if (stream.destroyed) gone();
  });
}

export function toFlowError(error: unknown): FlowError {
  if (error instanceof FlowError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new FlowError("protocol", message, { cause: error });
}
