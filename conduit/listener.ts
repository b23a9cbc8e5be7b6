import { FlowError, type PeerAddress, type Result } from "./flow.ts";
import { hostPort } from "./endpoint.ts";
import { ConnectError } from "./protocol.ts";

/** Something that listens. */
export interface Listener {
  /** The address really bound: with port 0, the port that was picked. */
  readonly address: PeerAddress;
  /** How many connections are open. */
  readonly connections: number;
  /**
   * Takes no more connections, lets those that are open finish for `graceMs` (default 0), then closes them.
   * Always returns within the grace and a little, whether or not their handlers have.
   */
  stop(options?: { readonly graceMs?: number | undefined }): Promise<void>;
}

export interface ListenLimits {
  /** Connections in all; more are closed at once. Default 512. */
  readonly maxConnections?: number | undefined;
  /** Connections from one IP address. Default: as many as in all. */
  readonly maxPerAddress?: number | undefined;
  /** How long a peer may keep a read or write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
}

export type ListenErrorCode =
  | "in-use"
  | "not-permitted"
  | "no-address"
  | "bad-host-key"
  | "bad-certificate"
  | "failed";

/** Why an address could not be listened on; the message names address and port. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  constructor(readonly code: ListenErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** What a listener tells besides handing on connections; each is worth a line in a log. */
export type ListenEvent =
  | { readonly kind: "refused"; readonly peer: PeerAddress; readonly reason: string }
  | { readonly kind: "handler-failed"; readonly peer: PeerAddress | undefined; readonly cause: unknown }
  | { readonly kind: "peer-failed"; readonly peer: PeerAddress | undefined; readonly reason: string }
  | { readonly kind: "accept-failed"; readonly cause: unknown };

/**
 * What a handler threw, as an event: a flow that broke is its peer's doing, anything else a fault of ours.
 */
export function handlerEvent(peer: PeerAddress | undefined, cause: unknown): ListenEvent {
  return cause instanceof FlowError || cause instanceof ConnectError
    ? { kind: "peer-failed", peer, reason: cause.message }
    : { kind: "handler-failed", peer, cause };
}

/** Binds a TCP address; what goes wrong is named in words an operator can act on. */
export function bind(host: string, port: number): Result<Deno.TcpListener, ListenError> {
  const where = hostPort(host, port);
  try {
    return { ok: true, value: Deno.listen({ hostname: host, port, transport: "tcp" }) };
  } catch (error) {
    return { ok: false, error: listenError(error, where) };
  }
}

function listenError(error: unknown, where: string): ListenError {
  if (error instanceof Deno.errors.AddrInUse) {
    return new ListenError("in-use", `cannot listen on ${where}: the port is in use`, { cause: error });
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new ListenError("no-address", `cannot listen on ${where}: this machine has no such address`, {
      cause: error,
    });
  }
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
    return new ListenError("not-permitted", `cannot listen on ${where}: permission denied`, { cause: error });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new ListenError("failed", `cannot listen on ${where}: ${message}`, { cause: error });
}
