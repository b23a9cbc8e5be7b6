import { addressesOf, type Lookup, systemLookup } from "./addresses.ts";
import { type ClientCertificateSource, readCertificate, readRoots } from "./certificates.ts";
import { attempt } from "./deadline.ts";
import { hostPort } from "./endpoint.ts";
import type { Flow } from "./flow.ts";
import { ConnectError, type ConnectErrorCode, type Protocol, type Resolver } from "./protocol.ts";
import { type HttpProxy, openTunnel, parseProxy, type Tunnel } from "./proxy.ts";
import { socketFlow } from "./socket_flow.ts";
import { openTcp } from "./tcp.ts";
import { secureFlow, type TlsSettings } from "./tls_flow.ts";

export interface TlsConfig extends TlsSettings {
  /** Where the TCP connection goes: to the server, or to the proxy of the tunnel. */
  readonly address: string;
  readonly port: number;
  readonly tunnel?: Tunnel | undefined;
}

export interface TlsResolverOptions {
  /**
   * PEM certificates that alone are trusted, in place of the runtime's own store. (`caCerts` of Deno's own
   * interfaces would only add to it.)
   */
  readonly roots?: readonly string[] | undefined;
  /** Shown to servers that ask for one; give `host` with it, so that no other host gets to see it. */
  readonly clientCertificate?: ClientCertificateSource | undefined;
  /** The host that this configuration is for; any where it is not given. */
  readonly host?: string | undefined;
  /** Every connection goes through it; there is no way round it when it fails. */
  readonly proxy?: HttpProxy | undefined;
  /** How long the peer may keep a read or write waiting; no limit where it is not given. */
  readonly idleMs?: number | undefined;
  readonly priority?: number | undefined;
  readonly lookup?: Lookup | undefined;
}

/**
 * TLS to every address of the host; the certificate must be for the endpoint's server name, whatever the
 * address.
 */
export function tlsResolver(options: TlsResolverOptions = {}): Resolver<TlsConfig> {
  const no = (code: ConnectErrorCode, message: string) =>
    ({ applies: false, error: new ConnectError(code, message) }) as const;
  return {
    name: options.host === undefined ? "tls" : `tls ${options.host}`,
    priority: options.priority ?? 0,
    protocol: tlsProtocol,
    async resolve(endpoint, limits) {
      if (endpoint.scheme !== "tls") return no("not-applicable", `not for ${endpoint.scheme} endpoints`);
      const { host, port } = endpoint;
      if (options.host !== undefined && options.host !== host) {
        return no("not-applicable", `configured for ${options.host} only`);
      }
      const settings = readSettings(options, endpoint.serverName ?? host, endpoint.alpn ?? []);
      if (typeof settings === "string") return no("unconfigured", settings);
      const proxy = options.proxy && parseProxy(options.proxy);
      if (proxy?.ok === false) return no("unconfigured", proxy.error);
      const tunnel = proxy && { proxy: proxy.value, host, port };
      const first = tunnel?.proxy ?? { host, port };
      const addresses = await addressesOf(first.host, options.lookup ?? systemLookup, limits);
      if (!addresses.ok) return { applies: false, error: addresses.error };
      const notes = describeSettings(settings);
      const candidates = addresses.value.map((address) => ({
        target: tunnel === undefined
          ? `tls ${hostPort(address, port)}`
          : `tls ${hostPort(host, port)} through the proxy ${hostPort(address, first.port)}`,
        config: { ...settings, address, port: first.port, tunnel },
        notes,
      }));
      return { applies: true, candidates };
    },
  };
}

/** The settings, or a sentence that says what cannot be used. */
function readSettings(
  { roots, clientCertificate, idleMs }: TlsResolverOptions,
  serverName: string,
  alpn: readonly string[],
): TlsSettings | string {
  const trusted = roots === undefined || roots.length === 0 ? undefined : readRoots(roots);
  if (trusted?.ok === false) return trusted.error;
  const certificate = clientCertificate && readCertificate(clientCertificate);
  if (certificate?.ok === false) return certificate.error;
  return { serverName, roots: trusted?.value, alpn, clientCertificate: certificate?.value, idleMs };
}

function describeSettings({ serverName, roots, alpn = [], clientCertificate }: TlsSettings): string[] {
  return [
    `the certificate must be for ${serverName}`,
    roots === undefined ? "trusted: the runtime's own roots" : `trusted: ${roots.length} given, no other`,
    clientCertificate === undefined ? "no client certificate" : "with a client certificate",
    ...(alpn.length > 0 ? [`offering ${alpn.join(", ")}`] : []),
  ];
}

export const tlsProtocol: Protocol<TlsConfig> = {
  name: "tls",
  security: "secure",
  connect: (config, options) =>
    attempt<Flow>(options, (signal) => openTls(config, signal), (late) => late.close()),
};

async function openTls(config: TlsConfig, signal: AbortSignal): Promise<Flow> {
  const { address, port, tunnel, serverName } = config;
  const at = hostPort(address, port);
  let flow = socketFlow(await openTcp(config, signal), { description: `tcp ${at}`, secure: false });
  const giveUp = () => flow.close();
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    if (tunnel !== undefined) {
      if (tunnel.proxy.secure) {
        const { host, roots } = tunnel.proxy;
        flow = await secureFlow(flow, { serverName: host, roots }, `tls ${host} at ${at}`, signal);
      }
      flow = await openTunnel(flow, tunnel);
    }
    const way = tunnel === undefined ? at : `${hostPort(tunnel.host, tunnel.port)} through ${at}`;
    return await secureFlow(flow, config, `tls ${serverName} at ${way}`, signal);
  } catch (error) {
    flow.close();
    throw error;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
