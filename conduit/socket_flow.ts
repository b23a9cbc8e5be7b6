import type { Flow, PeerAddress } from "./flow.ts";
import { FlowError } from "./flow.ts";
import { createPatience } from "./patience.ts";

const READ_BYTES = 64 * 1024;
/** Below this a copy of what arrived is cheaper than giving the whole read buffer away. */
const COPY_BELOW = 16 * 1024;

export interface SocketFlowOptions {
  readonly description: string;
  readonly secure: boolean;
  /** How long the peer may keep a read or write waiting before the flow breaks with `timeout`. */
  readonly idleMs?: number | undefined;
  readonly onClose?: (() => void) | undefined;
}

/** A flow over one of the runtime's connections, TCP or TLS. It owns the connection from here on. */
export function socketFlow(conn: Deno.Conn<Deno.NetAddr>, options: SocketFlowOptions): Flow {
  const peer: PeerAddress = { address: conn.remoteAddr.hostname, port: conn.remoteAddr.port };
  let ended = false;
  let finished = false;
  let broken: FlowError | undefined;
  let buffer = new Uint8Array(0);

  const close = (reason: FlowError) => {
    if (broken !== undefined) return;
    broken = reason;
    patience.release();
    conn.close();
    options.onClose?.();
  };
  const patience = createPatience(options.idleMs, () => {
    close(new FlowError("timeout", `${options.description}: the peer was silent for ${options.idleMs} ms`));
  });
  const fail = (error: unknown): FlowError => {
    close(socketError(error, options.description));
    return broken ?? socketError(error, options.description);
  };

  return {
    description: options.description,
    peer,
    secure: options.secure,

    async read() {
      if (broken !== undefined) throw broken;
      if (finished) return undefined;
      if (buffer.length === 0) buffer = new Uint8Array(READ_BYTES);
      let count: number | null;
      try {
        count = await patience.wait(conn.read(buffer));
      } catch (error) {
        throw fail(error);
      }
      if (count === null) {
        finished = true;
        return undefined;
      }
      if (count < COPY_BELOW) return buffer.slice(0, count);
      const bytes = buffer.subarray(0, count);
      buffer = new Uint8Array(0);
      return bytes;
    },

    async write(bytes) {
      if (broken !== undefined) throw broken;
      if (ended) throw new FlowError("closed", `${options.description}: written to after its end`);
      try {
        for (let rest = bytes; rest.length > 0;) {
          rest = rest.subarray(await patience.wait(conn.write(rest)));
        }
      } catch (error) {
        throw fail(error);
      }
    },

    async end() {
      if (ended || broken !== undefined) return;
      ended = true;
      try {
        await conn.closeWrite();
      } catch (error) {
        // A peer that is gone already needs no end of ours.
        if (!(error instanceof Deno.errors.NotConnected)) throw fail(error);
      }
    },

    close: () => close(new FlowError("closed", `${options.description}: closed on this side`)),
    diagnostics: () => "",
  };
}

function socketError(error: unknown, description: string): FlowError {
  const message = error instanceof Error ? error.message : String(error);
  const reset = error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionAborted || error instanceof Deno.errors.UnexpectedEof ||
    error instanceof Deno.errors.NotConnected;
  if (reset) return new FlowError("reset", `${description}: ${message}`, { cause: error });
  if (error instanceof Deno.errors.TimedOut) {
    return new FlowError("timeout", `${description}: ${message}`, { cause: error });
  }
  return new FlowError("protocol", `${description}: ${message}`, { cause: error });
}
