import { CliError } from "./errors.ts";

/** Where a server listens. Port 0 picks a free one. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `127.0.0.1:5300`, `[::1]:5300` or `localhost:5300`.
 * @throws {CliError} naming the flag or key, the text and the form that is wanted
 */
export function parseHostPort(text: string, what: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]/]+)):(\d{1,5})$/.exec(text);
  const port = match === null ? NaN : Number(match[3]);
  if (match === null || port > 65535) {
    throw new CliError(`${what}: "${text}" is not HOST:PORT (as 127.0.0.1:5300 or [::1]:5300)`);
  }
  return { host: match[1] ?? match[2], port };
}

/** The same, or `off`. */
export function parseHostPortOrOff(text: string, what: string): HostPort | "off" {
  return text === "off" ? "off" : parseHostPort(text, what);
}

/** `127.0.0.1:5300`, IPv6 in brackets. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
