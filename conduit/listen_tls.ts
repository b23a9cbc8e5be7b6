import { readCertificate } from "./certificates.ts";
import { hostPort } from "./endpoint.ts";
import { type Flow, FlowError, type Result } from "./flow.ts";
import { listenTcp, type ListenTcpOptions } from "./listen_tcp.ts";
import { type Listener, ListenError } from "./listener.ts";
import { acceptFlow } from "./tls_flow.ts";

export interface ServerCertificate {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
}

export interface ListenTlsOptions extends ListenTcpOptions {
  /** Asked for at each connection, so that one that was renewed is shown from the next on. */
  readonly certificate: () => ServerCertificate;
  /** Application protocols, best first; where any are, a client that offers others only is refused. */
  readonly alpn?: readonly string[] | undefined;
  /** From the connection to the end of the handshake; default 10 s. */
  readonly handshakeMs?: number | undefined;
}

/**
 * Listens on TCP for TLS (1.2 or later) and hands every connection on whose handshake is good; all else is as with
 * `listenTcp`. A connection counts towards the limits from its first byte.
 */
export function listenTls(
  options: ListenTlsOptions,
  onFlow: (flow: Flow) => Promise<void> | void,
): Result<Listener, ListenError> {
  const usable = readCertificate(options.certificate());
  if (!usable.ok) {
    const where = hostPort(options.host, options.port);
    const message = `cannot listen on ${where}: ${usable.error}`;
    return { ok: false, error: new ListenError("bad-certificate", message) };
  }
  // TLS reads ahead of its reader, so the clock for idle peers runs above it.
  return listenTcp({ ...options, idleMs: undefined }, async (below) => {
    const flow = await handshake(below, options);
    try {
      await onFlow(flow);
    } finally {
      flow.close();
    }
  });
}

async function handshake(below: Flow, options: ListenTlsOptions): Promise<Flow> {
  const { alpn, idleMs, handshakeMs = 10_000 } = options;
  const description = below.description.replace(/^tcp/, "tls");
  const controller = new AbortController();
  const late = new FlowError("timeout", `${description}: no handshake within ${handshakeMs} ms`);
  const timer = setTimeout(() => controller.abort(late), handshakeMs);
  try {
    const settings = { ...options.certificate(), alpn, idleMs };
    return await acceptFlow(below, settings, description, controller.signal);
  } catch (error) {
    throw controller.signal.aborted ? late : error;
  } finally {
    clearTimeout(timer);
  }
}
