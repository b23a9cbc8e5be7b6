import { FlowError, type Result } from "./flow.ts";
import { type AttemptOptions, ConnectError } from "./protocol.ts";

/**
 * Runs one attempt under its time limit and the caller's signal. The body gets one signal for both; what it
 * throws becomes a `ConnectError`, and a body that comes through too late has its value disposed of.
 */
export async function attempt<T>(
  options: AttemptOptions,
  body: (signal: AbortSignal) => Promise<T>,
  dispose: (late: T) => void,
): Promise<Result<T, ConnectError>> {
  const controller = new AbortController();
  let stopped: ConnectError | undefined;
  const stop = (error: ConnectError) => {
    stopped ??= error;
    controller.abort(stopped);
  };
  const giveUp = () => stop(new ConnectError("aborted", "given up", { cause: options.signal?.reason }));
  const milliseconds = Math.round(options.timeoutMs);
  const timer = setTimeout(
    () => stop(new ConnectError("timeout", `no answer within ${milliseconds} ms`)),
    milliseconds,
  );
  options.signal?.addEventListener("abort", giveUp, { once: true });
  if (options.signal?.aborted) giveUp();
  const running = body(controller.signal);
  try {
    const value = await Promise.race([running, rejectOnAbort(controller.signal)]);
    return { ok: true, value };
  } catch (error) {
    if (stopped !== undefined) running.then(dispose, () => {}); // its failure is told by `stopped`
    return { ok: false, error: stopped ?? toConnectError(error) };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/** What the runtime throws when it connects, as one of our codes. */
function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof FlowError) return new ConnectError("protocol", error.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof Deno.errors.ConnectionRefused) {
    return new ConnectError("refused", message, { cause: error });
  }
  if (error instanceof Deno.errors.TimedOut) return new ConnectError("timeout", message, { cause: error });
  if (
    error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.BrokenPipe || error instanceof Deno.errors.ConnectionAborted
  ) return new ConnectError("protocol", message, { cause: error });
  return new ConnectError("unreachable", message, { cause: error });
}
