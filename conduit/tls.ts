import { addressesOf, type Lookup, systemLookup } from "./addresses.ts";
import { attempt } from "./deadline.ts";
import { hostPort } from "./endpoint.ts";
import type { Flow } from "./flow.ts";
import { ConnectError, type Protocol, type Resolver } from "./protocol.ts";
import { socketFlow } from "./socket_flow.ts";
import { openTcp } from "./tcp.ts";

export interface TlsConfig {
  readonly address: string;
  readonly port: number;
  readonly serverName: string;
  /** PEM certificates that are trusted besides the runtime's own store (`DENO_TLS_CA_STORE`). */
  readonly roots: readonly string[];
  readonly alpn: readonly string[];
}

export interface TlsResolverOptions {
  readonly roots?: readonly string[] | undefined;
  readonly priority?: number | undefined;
  readonly lookup?: Lookup | undefined;
}

/**
 * TLS to every address of the host; the certificate must be for the endpoint's server name, whatever the
 * address.
 */
export function tlsResolver(options: TlsResolverOptions = {}): Resolver<TlsConfig> {
  return {
    name: "tls",
    priority: options.priority ?? 0,
    protocol: tlsProtocol,
    async resolve(endpoint, limits) {
      if (endpoint.scheme !== "tls") {
        return {
          applies: false,
          error: new ConnectError("not-applicable", `not for ${endpoint.scheme} endpoints`),
        };
      }
      const addresses = await addressesOf(endpoint.host, options.lookup ?? systemLookup, limits);
      if (!addresses.ok) return { applies: false, error: addresses.error };
      const candidates = addresses.value.map((address) => ({
        target: `tls ${hostPort(address, endpoint.port)}`,
        config: {
          address,
          port: endpoint.port,
          serverName: endpoint.serverName ?? endpoint.host,
          roots: options.roots ?? [],
          alpn: endpoint.alpn ?? [],
        },
      }));
      return { applies: true, candidates };
    },
  };
}

export const tlsProtocol: Protocol<TlsConfig> = {
  name: "tls",
  security: "secure",
  connect: (config, options) =>
    attempt<Flow>(options, (signal) => openTls(config, signal), (late) => late.close()),
};

async function openTls(config: TlsConfig, signal: AbortSignal): Promise<Flow> {
  const tcp = await openTcp(config, signal);
  const conn = await Deno.startTls(tcp, {
    hostname: config.serverName,
    caCerts: [...config.roots],
    ...(config.alpn.length > 0 ? { alpnProtocols: [...config.alpn] } : {}),
  });
  // The handshake knows nothing of signals; closing the connection is what ends it.
  const giveUp = () => conn.close();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    signal.throwIfAborted();
    await conn.handshake();
  } catch (error) {
    if (!signal.aborted) conn.close();
    throw tlsError(error, config.serverName);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
  const description = `tls ${config.serverName} at ${hostPort(config.address, config.port)}`;
  return socketFlow(conn, { description, secure: true });
}

function tlsError(error: unknown, serverName: string): unknown {
  if (!(error instanceof Deno.errors.InvalidData)) return error;
  return new ConnectError("tls", `the TLS handshake as ${serverName} failed: ${error.message}`, {
    cause: error,
  });
}
