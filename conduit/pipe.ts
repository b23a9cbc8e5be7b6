import { boundedText } from "./bounded_text.ts";
import { type Flow, FlowError } from "./flow.ts";
import { createPatience } from "./patience.ts";

export interface PipeFlowOptions {
  /** What the peer sends: `Deno.stdin.readable`, a child's `stdout`. */
  readonly readable: ReadableStream<Uint8Array>;
  /** What it gets: `Deno.stdout.writable`, a child's `stdin`. */
  readonly writable: WritableStream<Uint8Array>;
  readonly description: string;
  /** What it says beside the stream: a child's `stderr`. Read at once, its last 64 KiB kept. */
  readonly diagnostics?: ReadableStream<Uint8Array> | undefined;
  /** How long the peer may keep a read or write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
  /** Called once when this side closes the flow: the place to end a child. */
  readonly onClose?: (() => void) | undefined;
}

/** A write goes down in slices, so that what lies in between is bounded whatever the caller hands over. */
const SLICE_BYTES = 256 * 1024;

/** A flow over a pair of web streams. It owns them from here on. */
export function pipeFlow(options: PipeFlowOptions): Flow {
  const { description, idleMs } = options;
  const reader = options.readable.getReader();
  const writer = options.writable.getWriter();
  let ended = false;
  let broken: FlowError | undefined;

  const close = (reason: FlowError) => {
    if (broken !== undefined) return;
    broken = reason;
    patience.release();
    // Pipes that broke already have been told of by whoever met it.
    reader.cancel(reason).catch(() => {});
    if (!ended) writer.abort(reason).catch(() => {});
    stderr?.cancel();
    options.onClose?.();
  };
  const patience = createPatience(idleMs, () => {
    close(new FlowError("timeout", `${description}: the peer was silent for ${idleMs} ms`));
  });
  const fail = (error: unknown): FlowError => {
    close(pipeError(error, description));
    return broken ?? pipeError(error, description);
  };
  const stderr = options.diagnostics && collect(options.diagnostics);

  return {
    description,
    peer: undefined,
    secure: false,
    async read() {
      if (broken !== undefined) throw broken;
      try {
        for (;;) {
          const { value, done } = await patience.wait(reader.read());
          if (broken !== undefined) throw broken;
          if (done) return undefined;
          if (value.length > 0) return value;
        }
      } catch (error) {
        throw fail(error);
      }
    },
    async write(bytes) {
      if (broken !== undefined) throw broken;
      if (ended) throw new FlowError("closed", `${description}: written to after its end`);
      try {
        for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
          // The caller may use its buffer again: the promise is settled when the pipe has taken the bytes.
          await patience.wait(writer.write(bytes.subarray(at, at + SLICE_BYTES)));
        }
      } catch (error) {
        throw fail(error);
      }
    },
    async end() {
      if (ended || broken !== undefined) return;
      ended = true;
      try {
        await patience.wait(writer.close());
      } catch (error) {
        // A peer that is gone already needs no end of ours.
        if (!isGone(error)) throw fail(error);
      }
    },
    close: () => close(new FlowError("closed", `${description}: closed on this side`)),
    diagnostics: () => stderr?.text() ?? "",
  };
}

/** Reads a child's words as they come, or it would stand still once the pipe is full. */
function collect(readable: ReadableStream<Uint8Array>): { text(): string; cancel(): void } {
  const reader = readable.getReader();
  const kept = boundedText();
  const reading = (async () => {
    for (let read = await reader.read(); !read.done; read = await reader.read()) kept.add(read.value);
  })();
  reading.catch(() => {}); // words that cannot be read are words that were not said
  return {
    text: kept.text,
    cancel: () => void reader.cancel().catch(() => {}),
  };
}

function pipeError(error: unknown, description: string): FlowError {
  if (error instanceof FlowError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new FlowError(isGone(error) ? "reset" : "protocol", `${description}: ${message}`, { cause: error });
}

function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.BadResource || error instanceof Deno.errors.UnexpectedEof;
}
