import { Buffer } from "node:buffer";
// @ts-types="@types/ssh2"
import type { Channel } from "ssh2";
import { type Flow, FlowError, type PeerAddress } from "../flow.ts";
import { createPatience } from "../patience.ts";
import type { Transport } from "./transport.ts";

export interface ChannelFlowOptions {
  readonly description: string;
  readonly peer: PeerAddress | undefined;
  readonly transport: Transport;
  readonly idleMs?: number | undefined;
  readonly diagnostics?: (() => string) | undefined;
  /** Called once when this side closes the flow. */
  readonly onClose?: (() => void) | undefined;
}

/** A channel as a flow, with what its owner needs besides. */
export interface ChannelFlow {
  readonly flow: Flow;
  /** Writes beside the flow (standard error, server side), in order with the flow's own writes. */
  writeStderr(bytes: Uint8Array): Promise<void>;
  /** To be called when the peer closed the channel: what it sent is still read, nothing more is written. */
  peerClosed(): void;
  /** When every write has been made or has failed; a failed one was told to whoever made it. */
  flushed(): Promise<void>;
  /** Sends the exit status and closes the channel in good order (RFC 4254 §6.10, §5.3). */
  exit(code: number): void;
}

/**
 * ssh2 tells nobody when it forgets the callback of a write to a channel that has closed; leaves a chunk that
 * waited for the window in `_chunk` and sends it again when standard error waits next; and keeps its state in
 * `incoming` and `outgoing`. So writes are made one at a time, raced against the close, and followed by a
 * clean-up.
 */
interface ChannelState {
  readonly incoming: { readonly state: string };
  readonly outgoing: { state: string };
  _chunk?: unknown;
  _chunkcb?: unknown;
  _chunkErr?: unknown;
  _chunkcbErr?: unknown;
}

/**
 * A write goes down in slices, so that what lies between here and the socket is bounded whatever window the
 * peer grants.
 */
const SLICE_BYTES = 256 * 1024;

export function channelFlow(channel: Channel, options: ChannelFlowOptions): ChannelFlow {
  const { description, transport } = options;
  const state = channel as Channel & ChannelState;
  /** Why reading ends other than by the peer's wish; told after what was received has been read. */
  let readError: FlowError | undefined;
  let writeError: FlowError | undefined;
  /** Set when this side gave the flow up: nothing more is read or written. */
  let closed: FlowError | undefined;
  let received = false;
  let ended = false;
  let wakeReader: (() => void) | undefined;
  let failWriter: ((error: FlowError) => void) | undefined;
  let lastWrite: Promise<void> = Promise.resolve();

  const wake = () => {
    wakeReader?.();
    wakeReader = undefined;
    if (writeError !== undefined) failWriter?.(writeError);
  };
  const lose = (error: FlowError) => {
    // A peer that had ended its side said all it had to say.
    if (state.incoming.state === "open") readError ??= error;
    writeError ??= error;
    wake();
  };
  const close = (error: FlowError) => {
    if (closed !== undefined) return;
    closed = error;
    readError = error;
    writeError = error;
    patience.release();
    forgetLost();
    if (transport.lost === undefined) channel.close();
    channel.removeAllListeners("readable");
    channel.resume(); // what still comes is dropped
    wake();
    options.onClose?.();
  };
  const patience = createPatience(options.idleMs, () => {
    close(new FlowError("timeout", `${description}: the peer was silent for ${options.idleMs} ms`));
  });
  const forgetLost = transport.onLost(lose);
  transport.channels.add(channel);

  channel.on("readable", wake);
  channel.on("end", () => {
    received = true;
    transport.channels.delete(channel);
    wake();
  });
  channel.on(
    "error",
    (error: Error) => lose(new FlowError("protocol", `${description}: ${error.message}`, { cause: error })),
  );

  const put = async (stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> => {
    for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
      if (writeError !== undefined) throw writeError;
      await patience.wait(putSlice(stream, bytes.subarray(at, at + SLICE_BYTES)));
    }
    if (writeError !== undefined) throw writeError;
  };
  const putSlice = async (stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> => {
    await new Promise<void>((resolve, reject) => {
      failWriter = reject;
      stream.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), (error) => {
        if (error) reject(new FlowError("reset", `${description}: ${error.message}`, { cause: error }));
        else transport.drained().then(resolve, reject);
      });
    }).finally(() => failWriter = undefined);
    state._chunk =
      state._chunkcb =
      state._chunkErr =
      state._chunkcbErr =
        undefined;
  };
  const inTurn = (stream: NodeJS.WritableStream, bytes: Uint8Array): Promise<void> => {
    const mine = lastWrite.then(() => put(stream, bytes));
    lastWrite = mine.catch(() => {}); // told to whoever made that write
    return mine;
  };

  return {
    flow: {
      description,
      peer: options.peer,
      secure: true,
      async read() {
        for (;;) {
          if (closed !== undefined) throw closed;
          const chunk: Buffer | null = channel.read();
          if (chunk !== null) return chunk;
          if (readError !== undefined) throw readError;
          if (received) return undefined;
          await patience.wait(new Promise<void>((resolve) => wakeReader = resolve));
        }
      },
      write(bytes) {
        if (ended && closed === undefined) {
          return Promise.reject(new FlowError("closed", `${description}: written to after its end`));
        }
        return inTurn(channel, bytes);
      },
      async end() {
        if (ended || writeError !== undefined) return;
        ended = true;
        await lastWrite;
        channel.eof();
      },
      close: () => close(new FlowError("closed", `${description}: closed on this side`)),
      diagnostics: () => options.diagnostics?.() ?? "",
    },
    writeStderr: (bytes) => "write" in channel.stderr ? inTurn(channel.stderr, bytes) : Promise.resolve(),
    peerClosed() {
      writeError ??= new FlowError("reset", `${description}: the peer closed the channel`);
      transport.channels.delete(channel);
      wake();
    },
    flushed: () => lastWrite,
    exit(code) {
      if (closed !== undefined || transport.lost !== undefined) return;
      // ssh2 sends no status after the end of our stream, which git's sequence asks for; the protocol allows
      // it.
      if (state.outgoing.state === "eof") {
        state.outgoing.state = "open";
        channel.exit(code);
        state.outgoing.state = "eof";
      } else {
        channel.exit(code);
        channel.eof();
      }
      close(new FlowError("closed", `${description}: its command has exited`));
    },
  };
}
