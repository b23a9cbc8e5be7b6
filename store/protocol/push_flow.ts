import type { Flow } from "../../conduit/mod.ts";

/**
 * A flow whose peer is listened to while we write. A server may talk (progress, an early refusal) while it is sent a pack;
 * if nobody read, both sides would end up waiting for room. What it says is kept up to a bound, and read in its time.
 */
export function listeningFlow(flow: Flow, keep = KEPT): Flow {
  const heard: Uint8Array[] = [];
  let bytes = 0;
  let closed = false;
  let end: { readonly error?: unknown } | undefined;
  let wakeReader: (() => void) | undefined;
  let wakePump: (() => void) | undefined;

  const pump = async () => {
    try {
      for (;;) {
        // Once closed, the next read says so.
        while (bytes >= keep && !closed) await new Promise<void>((resolve) => wakePump = resolve);
        const chunk = await flow.read();
        if (chunk === undefined) {
          end = {};
          break;
        }
        heard.push(chunk);
        bytes += chunk.length;
        wakeReader?.();
      }
    } catch (error) {
      end = { error };
    }
    wakeReader?.();
  };
  void pump();

  return {
    description: flow.description,
    peer: flow.peer,
    secure: flow.secure,
    async read() {
      for (;;) {
        const chunk = heard.shift();
        if (chunk !== undefined) {
          bytes -= chunk.length;
          wakePump?.();
          return chunk;
        }
        if (end !== undefined) {
          if ("error" in end) throw end.error;
          return undefined;
        }
        await new Promise<void>((resolve) => wakeReader = resolve);
      }
    },
    write: (chunk) => flow.write(chunk),
    end: () => flow.end(),
    close() {
      closed = true;
      flow.close();
      wakePump?.();
    },
    diagnostics: () => flow.diagnostics(),
  };
}

/** Bytes of a server's words that are kept while it is sent a pack. */
const KEPT = 1 << 20;
