/** What one TCP client may cost the others (RFC 7766 §6.2, RFC 9210 §4). */
export interface TcpLimits {
  /** Connections in all; default 10,000. When there are more, those that were idle for longest are closed. */
  readonly maxConnections?: number | undefined;
  /** Connections from one address, or one IPv6 /64; default 64. More are closed at once. */
  readonly maxPerAddress?: number | undefined;
  /**
   * Milliseconds that a client may be silent, or leave its answers unread; default 10,000 (RFC 7766 §6.2.3: a few seconds).
   * Where clients are told a keepalive timeout (RFC 7828), they may be silent that long instead.
   */
  readonly idleMs?: number | undefined;
  /** Milliseconds that a message may take to arrive once it has begun; default 5,000. */
  readonly messageMs?: number | undefined;
  /** Messages of one connection in the full machinery at the same time; default 32. More are not read until some are answered. */
  readonly maxPipelined?: number | undefined;
}

export const TCP_DEFAULTS: Readonly<Record<keyof TcpLimits, number>> = {
  maxConnections: 10_000,
  maxPerAddress: 64,
  idleMs: 10_000,
  messageMs: 5_000,
  maxPipelined: 32,
};
