/** One connection to a server: requests go out as they come, answers are matched by ID (RFC 7766 §6.2.1). */
import type { Flow } from "../../conduit/mod.ts";
import { isResponse, messageId } from "../message/header.ts";
import { createFrameReader, frame } from "../server/tcp_frames.ts";

export interface Connection {
  /** False once it broke or was ended by the server; then it takes no more requests. */
  readonly usable: boolean;
  /** True when a request with this ID waits for its answer. */
  has(id: number): boolean;
  /** Sends a request whose ID is not in use and waits for the answer with it. */
  ask(request: Uint8Array, timeoutMs: number): Promise<Outcome>;
  close(): void;
}

export type Outcome =
  | { readonly kind: "answered"; readonly bytes: Uint8Array }
  | { readonly kind: "timeout" }
  | { readonly kind: "lost"; readonly cause: unknown };

/** Takes a flow over; it is read at all times, so that a connection ended by the server is known before it is used. */
export function createConnection(flow: Flow): Connection {
  const waiting = new Map<number, (outcome: Outcome) => void>();
  let usable = true;

  const abandon = (cause: unknown) => {
    usable = false;
    flow.close();
    for (const settle of [...waiting.values()]) settle({ kind: "lost", cause });
  };
  const receive = async () => {
    const frames = createFrameReader();
    for (;;) {
      const bytes = await flow.read();
      if (bytes === undefined) return abandon(new Error("the server ended the connection"));
      frames.push(bytes);
      for (let message = frames.next(); message !== undefined; message = frames.next()) {
        const id = messageId(message);
        // What answers nothing (a late answer, a request of the server's) is passed over.
        if (id !== undefined && isResponse(message)) waiting.get(id)?.({ kind: "answered", bytes: message });
      }
    }
  };
  receive().catch(abandon);

  return {
    get usable() {
      return usable;
    },
    has: (id) => waiting.has(id),
    ask: (request, timeoutMs) =>
      new Promise((resolve) => {
        const id = messageId(request) ?? 0;
        const timer = setTimeout(() => {
          // A silent connection may be dead for good; the next request gets a new one.
          usable = false;
          settle({ kind: "timeout" });
          if (waiting.size === 0) flow.close();
        }, timeoutMs);
        const settle = (outcome: Outcome) => {
          clearTimeout(timer);
          waiting.delete(id);
          resolve(outcome);
          if (!usable && waiting.size === 0) flow.close();
        };
        waiting.set(id, settle);
        flow.write(frame(request)).catch(abandon);
      }),
    close: () => abandon(new Error("the client was closed")),
  };
}
