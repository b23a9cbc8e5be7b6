/**
 * What a caller asks for, before anything decides how to get there. A scheme is also a promise about
 * security: nothing below what it says is ever tried in its place.
 */
export type Endpoint = TcpEndpoint | TlsEndpoint | SshEndpoint | MemoryEndpoint;

export interface TcpEndpoint {
  readonly scheme: "tcp";
  /** A host name or an IP address in text, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface TlsEndpoint {
  readonly scheme: "tls";
  readonly host: string;
  readonly port: number;
  /** The name that the certificate must carry and that is sent as SNI; `host` where it is not given. */
  readonly serverName?: string | undefined;
  /** Application protocols to offer (RFC 7301). */
  readonly alpn?: readonly string[] | undefined;
}

/** A command run on a host over SSH (RFC 4254 §6.5); the flow is the command's standard input and output. */
export interface SshEndpoint {
  readonly scheme: "ssh";
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly command: string;
  /** Environment requests (RFC 4254 §6.4), such as `GIT_PROTOCOL`. A server may ignore them. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Something that listens in this process, on a `MemoryNetwork`. */
export interface MemoryEndpoint {
  readonly scheme: "memory";
  readonly host: string;
}

/**
 * `plain`: anybody on the path reads and changes the bytes. `secure`: encrypted, and the peer authenticated.
 */
export type SecurityLevel = "plain" | "secure";

/** The least that this endpoint may be served with. */
export function requiredSecurity(endpoint: Endpoint): SecurityLevel {
  return endpoint.scheme === "tls" || endpoint.scheme === "ssh" ? "secure" : "plain";
}

export function satisfies(offered: SecurityLevel, required: SecurityLevel): boolean {
  return offered === "secure" || required === "plain";
}

/** An endpoint for messages and logs: `ssh git@host:22`, `tcp [::1]:53`. */
export function describeEndpoint(endpoint: Endpoint): string {
  switch (endpoint.scheme) {
    case "memory":
      return `memory ${endpoint.host}`;
    case "ssh":
      return `ssh ${endpoint.user}@${hostPort(endpoint.host, endpoint.port)}`;
    default:
      return `${endpoint.scheme} ${hostPort(endpoint.host, endpoint.port)}`;
  }
}

/** `127.0.0.1:53`, `[::1]:53`. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
