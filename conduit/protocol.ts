import type { Endpoint, SecurityLevel } from "./endpoint.ts";
import type { Flow, Result } from "./flow.ts";

/**
 * One way to reach a peer, given a configuration of its own: an address for TCP, an address and roots for
 * TLS.
 */
export interface Protocol<Config> {
  readonly name: string;
  /** What its flows give. A protocol is never used for an endpoint that asks for more. */
  readonly security: SecurityLevel;
  connect(config: Config, options: AttemptOptions): Promise<Result<Flow, ConnectError>>;
}

export interface AttemptOptions {
  /** Gives the attempt up; whatever it opened is closed. */
  readonly signal?: AbortSignal | undefined;
  /** The time for the whole attempt: connection, handshakes and authentication. */
  readonly timeoutMs: number;
}

/** Maps what was asked for to configurations of one protocol, in the order they should be tried. */
export interface Resolver<Config> {
  readonly name: string;
  /** Higher is tried first; equals in the order they were registered. */
  readonly priority: number;
  readonly protocol: Protocol<Config>;
  resolve(endpoint: Endpoint, options: AttemptOptions): Promise<Resolution<Config>>;
}

export type Resolution<Config> =
  | { readonly applies: true; readonly candidates: readonly Candidate<Config>[] }
  | { readonly applies: false; readonly error: ConnectError };

export interface Candidate<Config> {
  /** What is tried, for messages: `tcp 192.0.2.1:53`. */
  readonly target: string;
  readonly config: Config;
  /** What else people should know of it when they ask for the plan: names, roots, identities. No secrets. */
  readonly notes?: readonly string[] | undefined;
}

export type ConnectErrorCode =
  /** The resolver is for something else. */
  | "not-applicable"
  /** The protocol gives less security than the endpoint asks for. */
  | "insecure"
  /** Something that must be configured is not: no host key pinned, no identity. */
  | "unconfigured"
  /** The host name has no address. */
  | "name"
  /** Nobody listens there. */
  | "refused"
  /** No route, or the network said no. */
  | "unreachable"
  | "timeout"
  | "aborted"
  /** The certificate or the TLS handshake was no good. */
  | "tls"
  /** The SSH server showed another host key than the pinned. */
  | "host-key"
  /** The proxy did not open a way to the peer. */
  | "proxy"
  /** The peer, or the proxy before it, did not accept our identity. */
  | "auth"
  /** The peer broke off or spoke something else. */
  | "protocol";

/** Why one attempt failed. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  constructor(readonly code: ConnectErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}
