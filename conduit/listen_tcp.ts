import { getLogger } from "@logtape/logtape";
import type { Flow, PeerAddress, Result } from "./flow.ts";
import { hostPort } from "./endpoint.ts";
import {
  bind,
  handlerEvent,
  type Listener,
  type ListenError,
  type ListenEvent,
  type ListenLimits,
} from "./listener.ts";
import { socketFlow } from "./socket_flow.ts";

export interface ListenTcpOptions extends ListenLimits {
  /** An IP address in text, or a name of this machine. */
  readonly host: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** Told what happens besides; by default the log `bailiwick.conduit` gets it. */
  readonly report?: ((event: ListenEvent) => void) | undefined;
}

/**
 * Listens on TCP and hands every connection on. A flow is closed when the promise of its handler settles; a
 * handler that fails costs its own connection and nothing else.
 */
export function listenTcp(
  options: ListenTcpOptions,
  onFlow: (flow: Flow) => Promise<void> | void,
): Result<Listener, ListenError> {
  const bound = bind(options.host, options.port);
  if (!bound.ok) return bound;
  return { ok: true, value: serve(bound.value, options, onFlow) };
}

function serve(
  socket: Deno.TcpListener,
  options: ListenTcpOptions,
  onFlow: (flow: Flow) => Promise<void> | void,
): Listener {
  const report = options.report ?? logEvent;
  const open = new Map<Flow, Promise<void>>();
  const admission = createAdmission(options);
  let stopping = false;

  const take = (conn: Deno.TcpConn) => {
    const peer: PeerAddress = { address: conn.remoteAddr.hostname, port: conn.remoteAddr.port };
    try {
      conn.setNoDelay(true);
    } catch (cause) {
      conn.close(); // the peer is gone already
      report({ kind: "accept-failed", cause });
      return;
    }
    const refusal = admission.enter(peer.address);
    if (refusal !== undefined) {
      conn.close();
      report({ kind: "refused", peer, reason: refusal });
      return;
    }
    const flow = socketFlow(conn, {
      description: `tcp from ${hostPort(peer.address, peer.port)}`,
      secure: false,
      idleMs: options.idleMs,
      onClose: () => admission.leave(peer.address),
    });
    const handled = Promise.resolve().then(() => onFlow(flow)).catch((cause) => {
      report(handlerEvent(peer, cause));
    }).finally(() => {
      flow.close();
      open.delete(flow);
    });
    open.set(flow, handled);
  };

  const accepting = (async () => {
    while (!stopping) {
      try {
        take(await socket.accept());
      } catch (cause) {
        if (stopping) return;
        // A peer that was gone before it was accepted, or no file descriptor left: wait a moment rather than
        // spin.
        report({ kind: "accept-failed", cause });
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  })();

  return {
    address: { address: socket.addr.hostname, port: socket.addr.port },
    get connections() {
      return open.size;
    },
    async stop(stopOptions = {}) {
      if (!stopping) {
        stopping = true;
        socket.close();
      }
      await accepting;
      await withinMs(Promise.all(open.values()), stopOptions.graceMs ?? 0);
      const handlers = [...open.values()];
      for (const flow of open.keys()) flow.close();
      await withinMs(Promise.all(handlers), HANDLER_MS);
    },
  };
}

/** How long handlers may take to notice that their flow was closed. */
const HANDLER_MS = 1000;

/** Counts connections, in all and by address. */
function createAdmission(
  limits: ListenLimits,
): { enter(address: string): string | undefined; leave(address: string): void } {
  const most = limits.maxConnections ?? 512;
  const mostEach = limits.maxPerAddress ?? most;
  const each = new Map<string, number>();
  let all = 0;
  return {
    enter(address) {
      const count = each.get(address) ?? 0;
      if (all >= most) return `${most} connections are open already`;
      if (count >= mostEach) return `${mostEach} connections from ${address} are open already`;
      all++;
      each.set(address, count + 1);
      return undefined;
    },
    leave(address) {
      all--;
      const count = (each.get(address) ?? 1) - 1;
      if (count === 0) each.delete(address);
      else each.set(address, count);
    },
  };
}

/** Waits for something, but no longer than this. */
async function withinMs(waiting: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const limit = new Promise<void>((resolve) => timer = setTimeout(resolve, milliseconds));
  await Promise.race([waiting, limit]);
  clearTimeout(timer);
}

/** Where events go that nobody asked for. */
export function logEvent(event: ListenEvent): void {
  const logger = getLogger(["bailiwick", "conduit"]);
  if (event.kind === "refused" || event.kind === "peer-failed") logger.info("listener: {*}", { ...event });
  else logger.error("listener: {*}", { ...event });
}
