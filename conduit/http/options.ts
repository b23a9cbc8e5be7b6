import type { Lookup } from "../addresses.ts";
import type { ClientCertificateSource } from "../certificates.ts";
import type { HttpProxy } from "../proxy.ts";
import type { HttpCredentials } from "./credentials.ts";

export interface HttpClientOptions {
  /** PEM certificates that alone are trusted, in place of the runtime's own store. */
  readonly roots?: readonly string[] | undefined;
  /** Every request goes through it. `"environment"`: what `https_proxy` and its kin name; else they count for nothing. */
  readonly proxy?: HttpProxy | "environment" | undefined;
  /** Shown to this host alone. */
  readonly clientCertificate?: (ClientCertificateSource & { readonly host: string }) | undefined;
  /** Each is told to its origin alone, from the first request on; there is never a question for any. */
  readonly credentials?: readonly HttpCredentials[] | undefined;
  /** How long a server may keep us waiting for its next bytes or for room; default 60 s. */
  readonly idleMs?: number | undefined;
  /** For a connection, TLS and proxy included; default 30 s. */
  readonly connectMs?: number | undefined;
  /** How long a connection is kept that no request uses; default 15 s. */
  readonly keepAliveMs?: number | undefined;
  /** Connections to one host at a time; more requests wait. Default 8. */
  readonly maxConnections?: number | undefined;
  /** Default 5. */
  readonly maxRedirects?: number | undefined;
  /** Of the response's head in all; default 32 KiB. */
  readonly maxHeaderBytes?: number | undefined;
  readonly lookup?: Lookup | undefined;
  /** Where `"environment"` looks; default `Deno.env`. */
  readonly environment?: ((name: string) => string | undefined) | undefined;
}

export const DEFAULTS = {
  idleMs: 60_000,
  connectMs: 30_000,
  keepAliveMs: 15_000,
  maxConnections: 8,
  maxRedirects: 5,
  maxHeaderBytes: 32 * 1024,
} as const;
