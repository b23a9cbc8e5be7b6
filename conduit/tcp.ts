import { addressesOf, type Lookup, systemLookup } from "./addresses.ts";
import { attempt } from "./deadline.ts";
import { hostPort } from "./endpoint.ts";
import type { Flow } from "./flow.ts";
import { ConnectError, type Protocol, type Resolver } from "./protocol.ts";
import { socketFlow } from "./socket_flow.ts";

export interface TcpConfig {
  /** An IP address in text. */
  readonly address: string;
  readonly port: number;
}

export interface TcpResolverOptions {
  readonly priority?: number | undefined;
  readonly lookup?: Lookup | undefined;
}

/** Plain TCP to every address of the host. */
export function tcpResolver(options: TcpResolverOptions = {}): Resolver<TcpConfig> {
  return {
    name: "tcp",
    priority: options.priority ?? 0,
    protocol: tcpProtocol,
    async resolve(endpoint, limits) {
      if (endpoint.scheme !== "tcp") {
        return {
          applies: false,
          error: new ConnectError("not-applicable", `not for ${endpoint.scheme} endpoints`),
        };
      }
      const addresses = await addressesOf(endpoint.host, options.lookup ?? systemLookup, limits);
      if (!addresses.ok) return { applies: false, error: addresses.error };
      const candidates = addresses.value.map((address) => ({
        target: `tcp ${hostPort(address, endpoint.port)}`,
        config: { address, port: endpoint.port },
      }));
      return { applies: true, candidates };
    },
  };
}

export const tcpProtocol: Protocol<TcpConfig> = {
  name: "tcp",
  security: "plain",
  connect: (config, options) =>
    attempt<Flow>(options, async (signal) => {
      const conn = await openTcp(config, signal);
      return socketFlow(conn, { description: `tcp ${hostPort(config.address, config.port)}`, secure: false });
    }, (late) => late.close()),
};

/** A connection without Nagle's delay: both DNS and git send a request and wait. */
export async function openTcp(config: TcpConfig, signal: AbortSignal): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: config.address, port: config.port, signal });
  conn.setNoDelay(true);
  return conn;
}
