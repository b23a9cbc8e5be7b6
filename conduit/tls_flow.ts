/** TLS over any flow, by the runtime's own stack. */
import { isIP } from "node:net";
import { connect, type ConnectionOptions, TLSSocket, type TLSSocketOptions } from "node:tls";
import { ChunkReader, FlowDuplex, toFlowError, writeAll } from "./duplex.ts";
import { type Flow, FlowError } from "./flow.ts";
import { createPatience } from "./patience.ts";
import { ConnectError } from "./protocol.ts";

/** What a TLS connection is made with, whatever carries it. */
export interface TlsSettings {
  /** The name or IP address that the certificate must carry. A name is sent as SNI too (RFC 6066 §3). */
  readonly serverName: string;
  /** PEM certificates that alone are trusted; `undefined`: the runtime's own store (`DENO_TLS_CA_STORE`). */
  readonly roots?: readonly string[] | undefined;
  /** Application protocols to offer (RFC 7301); where any are, the server must choose one of them. */
  readonly alpn?: readonly string[] | undefined;
  readonly clientCertificate?: ClientCertificate | undefined;
  /** How long the peer may keep a read or write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
}

/** Who we are, for servers that ask. */
export interface ClientCertificate {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
}

/**
 * How long the stack may take to find the peer's close_notify in what came before the end of the connection.
 * Without one the end may be anybody's doing (RFC 8446 §6.1).
 */
const CLOSE_NOTIFY_MS = 250;

/**
 * Makes a flow secure. Owns the flow below from here on, also when it fails.
 * @throws {ConnectError} `tls` for a handshake or certificate that is no good
 */
export function secureFlow(
  below: Flow,
  settings: TlsSettings,
  description: string,
  signal: AbortSignal,
): Promise<Flow> {
  const { serverName, idleMs } = settings;
  return overTls(below, { description, idleMs, signal }, async (duplex, listen) => {
    const socket = connect(tlsOptions(duplex, settings));
    listen(socket);
    await handshake(socket, duplex, "secureConnect", `as ${serverName}`);
    // The runtime says so too; this is the line that everything rests on.
    if (!socket.authorized) throw handshakeError(socket.authorizationError, `as ${serverName}`);
    checkAlpn(socket, settings);
  });
}

/** What a TLS connection is taken with. */
export interface TlsServerSettings {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** PEM, not encrypted. */
  readonly key: string;
  /** Application protocols, best first (RFC 7301); where any are, a client that offers others only is refused. */
  readonly alpn?: readonly string[] | undefined;
  readonly idleMs?: number | undefined;
}

/** The same from the other side: takes a client's handshake. @throws as `secureFlow` */
export function acceptFlow(
  below: Flow,
  { certificate, key, alpn = [], idleMs }: TlsServerSettings,
  description: string,
  signal: AbortSignal,
): Promise<Flow> {
  return overTls(below, { description, idleMs, signal }, async (duplex, listen) => {
    const options: TLSSocketOptions & { allowHalfOpen: boolean } = {
      isServer: true,
      cert: certificate,
      key,
      minVersion: "TLSv1.2",
      allowHalfOpen: true,
      ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    };
    // Typed for sockets, documented for any duplex stream.
    const socket: TLSSocket = Reflect.construct(TLSSocket, [duplex, options]);
    listen(socket);
    await handshake(socket, duplex, "secure", `with ${description}`);
  });
}

interface OverTls {
  readonly description: string;
  readonly idleMs: number | undefined;
  readonly signal: AbortSignal;
}

async function overTls(
  below: Flow,
  { description, idleMs, signal }: OverTls,
  open: (duplex: FlowDuplex, listen: (socket: TLSSocket) => void) => Promise<void>,
): Promise<Flow> {
  let secured = false;
  let opened: { readonly socket: TLSSocket; readonly reader: ChunkReader } | undefined;
  let handshakeEnd: ReturnType<typeof setTimeout> | undefined;
  const duplex = new FlowDuplex(below, (ended) => {
    const truncated = new FlowError("reset", `${description}: the connection ended without TLS's own end`);
    opened?.reader.failWhenDry(truncated, CLOSE_NOTIFY_MS);
    if (!secured) handshakeEnd = setTimeout(() => secured || ended(), CLOSE_NOTIFY_MS);
  });
  const giveUp = () => duplex.destroy();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    signal.throwIfAborted();
    // Listens from the start, so that an error at any time has somebody to be told to.
    await open(duplex, (socket) => opened = { socket, reader: new ChunkReader(socket) });
    if (opened === undefined) throw new ConnectError("tls", `${description}: there is no TLS`);
    secured = true;
    return flowOf(opened.socket, opened.reader, below, description, idleMs);
  } catch (error) {
    opened?.socket.destroy();
    duplex.destroy();
    throw error;
  } finally {
    clearTimeout(handshakeEnd);
    signal.removeEventListener("abort", giveUp);
  }
}

function tlsOptions(duplex: FlowDuplex, settings: TlsSettings): ConnectionOptions {
  const { serverName, roots, alpn = [], clientCertificate } = settings;
  return {
    socket: duplex,
    // Once it is given, the runtime's own store counts no more.
    ...(roots === undefined ? {} : { ca: [...roots] }),
    // A certificate for an address is checked against the host; an address is no server name.
    ...(isIP(serverName) === 0 ? { host: serverName, servername: serverName } : { host: serverName }),
    ...(alpn.length === 0 ? {} : { ALPNProtocols: [...alpn] }),
    ...(clientCertificate === undefined
      ? {}
      : { cert: clientCertificate.certificate, key: clientCertificate.key }),
    minVersion: "TLSv1.2",
    rejectUnauthorized: true,
    ...{ allowHalfOpen: true },
  };
}

async function handshake(
  socket: TLSSocket,
  duplex: FlowDuplex,
  done: "secureConnect" | "secure",
  how: string,
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once(done, resolve);
    const failed = (error?: Error | null) => reject(handshakeError(duplex.errored ?? error, how));
    socket.once("error", failed);
    socket.once("close", () => failed());
    duplex.once("error", failed);
    duplex.once("close", () => failed());
  });
}

function handshakeError(error: unknown, how: string): ConnectError {
  if (error instanceof FlowError) return new ConnectError("protocol", error.message, { cause: error });
  const message = error instanceof Error ? error.message : String(error ?? "the connection ended");
  const code = error instanceof Error && "code" in error ? ` (${error.code})` : "";
  return new ConnectError("tls", `the TLS handshake ${how} failed: ${message}${code}`, {
    cause: error,
  });
}

/** RFC 7301 §3.2: a server that knows none of the protocols must refuse; one that ignores the question may not. */
function checkAlpn(socket: TLSSocket, { alpn = [], serverName }: TlsSettings): void {
  const chosen = socket.alpnProtocol;
  if (typeof chosen === "string" && !alpn.includes(chosen)) {
    throw new ConnectError("tls", `${serverName} chose the protocol ${chosen}, which was not offered`);
  }
}

function flowOf(
  socket: TLSSocket,
  reader: ChunkReader,
  below: Flow,
  description: string,
  idleMs: number | undefined,
): Flow {
  let broken: FlowError | undefined;
  let ended = false;
  const close = (reason: FlowError) => {
    if (broken !== undefined) return;
    broken = reason;
    reader.fail(reason);
    patience.release();
    socket.destroy();
    below.close();
  };
  const patience = createPatience(idleMs, () => {
    close(new FlowError("timeout", `${description}: the peer was silent for ${idleMs} ms`));
  });
  const fail = (error: unknown): FlowError => {
    close(tlsFlowError(error, description));
    return broken ?? tlsFlowError(error, description);
  };
  return {
    description,
    peer: below.peer,
    secure: true,
    async read() {
      if (broken !== undefined) throw broken;
      try {
        return await reader.next(patience);
      } catch (error) {
        throw fail(error);
      }
    },
    async write(bytes) {
      if (broken !== undefined) throw broken;
      if (ended) throw new FlowError("closed", `${description}: written to after its end`);
      try {
        await writeAll(socket, bytes, patience);
      } catch (error) {
        throw fail(error);
      }
    },
    async end() {
      if (ended || broken !== undefined) return;
      ended = true;
      const sent = new Promise<void>((resolve) => {
        socket.once("close", resolve);
        socket.end(resolve);
      });
      await patience.wait(sent);
    },
    close: () => close(new FlowError("closed", `${description}: closed on this side`)),
    diagnostics: () => "",
  };
}

function tlsFlowError(error: unknown, description: string): FlowError {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof FlowError) return error;
  // In TLS 1.3 a server judges the client's certificate after the client has finished its handshake.
  if (code.includes("_ALERT_")) {
    return new FlowError("refused", `${description}: the peer refused: ${message}`, { cause: error });
  }
  if (code === "ECONNRESET" || code === "EPIPE") {
    return new FlowError("reset", `${description}: ${message}`, { cause: error });
  }
  return toFlowError(error);
}
