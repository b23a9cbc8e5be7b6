import { createServer } from "node:http";
import type { Flow, PeerAddress, Result } from "./flow.ts";
import { HttpConnection } from "./http/server_connection.ts";
import type { HttpHandler } from "./http/server_exchange.ts";
import { listenTcp, type ListenTcpOptions, logEvent } from "./listen_tcp.ts";
import type { Listener, ListenError } from "./listener.ts";

/** `idleMs` counts only while the client is waited for: for a request, for more of its body, for room to answer. */
export interface ListenHttpOptions extends ListenTcpOptions {
  /**
   * How long a request's header may take: a connection's first from the connection on, others from their first
   * byte. Default 20 s.
   */
  readonly headersMs?: number | undefined;
  /** Bytes of a request's first line and header fields; more are answered 431. Default 16 KiB. */
  readonly maxHeaderBytes?: number | undefined;
}

const DEFAULTS = { headersMs: 20_000, maxHeaderBytes: 16 << 10 } as const;
const UNKNOWN_PEER: PeerAddress = { address: "unknown", port: 0 };

/**
 * Listens on TCP for HTTP/1.1 (RFC 9112) and answers with the web platform's `Request` and `Response`. Both bodies
 * stream with back-pressure; the request's `signal` aborts when the client leaves before it has its answer. The
 * requests of one connection are served one after the other. A handler that fails is answered 500 and reported.
 */
export function listenHttp(options: ListenHttpOptions, handler: HttpHandler): Result<Listener, ListenError> {
  const { headersMs = DEFAULTS.headersMs, maxHeaderBytes = DEFAULTS.maxHeaderBytes, idleMs } = options;
  const report = options.report ?? logEvent;
  const connections = new Map<unknown, HttpConnection>();
  let stopping = false;

  // It only speaks HTTP: connections come from the listener below, and every clock is the connection's.
  const server = createServer({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: 0,
    requestTimeout: 0,
    keepAliveTimeout: 0,
  }, (message, response) => connections.get(message.socket)?.take(message, response));
  server.on("clientError", (error, socket) => connections.get(socket)?.refuse(error));
  server.on("connect", (_message, socket) => socket.destroy());
  // The runtime ends connections after one response where it takes the server for one that has stopped.
  Object.defineProperty(server, "listening", { get: () => !stopping });

  const tcp = listenTcp({ ...options, idleMs: undefined, report }, async (flow: Flow) => {
    const peer = flow.peer ?? UNKNOWN_PEER;
    const connection = new HttpConnection(flow, { peer, handler, report, idleMs, headersMs });
    connections.set(connection.socket, connection);
    server.emit("connection", connection.socket);
    if (stopping) connection.stop();
    try {
      await connection.settled();
    } finally {
      connections.delete(connection.socket);
    }
  });
  if (!tcp.ok) return tcp;
  return {
    ok: true,
    value: {
      address: tcp.value.address,
      get connections() {
        return tcp.value.connections;
      },
      async stop(stopOptions) {
        stopping = true;
        const stopped = tcp.value.stop(stopOptions);
        for (const connection of connections.values()) connection.stop();
        await stopped;
      },
    },
  };
}
