import type { Endpoint } from "../endpoint.ts";
import { ConnectError } from "../protocol.ts";
import { type HttpProxy, parseProxy, type ProxyAddress, proxyFromEnvironment } from "../proxy.ts";
import { createRegistry, type Registry } from "../registry.ts";
import { tcpResolver } from "../tcp.ts";
import { tlsResolver } from "../tls.ts";
import type { HttpClientOptions } from "./options.ts";

/** How a URL's server is reached. */
export interface HttpRoute {
  readonly key: string;
  readonly registry: Registry;
  readonly endpoint: Endpoint;
  /** The proxy that is asked for whole URLs; for `https` there is a tunnel instead. */
  readonly forward: ProxyAddress | undefined;
}

/** @throws {ConnectError} `unconfigured` for a proxy that cannot be used */
export function routeFor(url: URL, options: HttpClientOptions): HttpRoute {
  const secure = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  const { roots, lookup, clientCertificate } = options;
  const proxy = proxyFor(url, options);
  if (secure) {
    const shown = clientCertificate?.host.toLowerCase() === host ? clientCertificate : undefined;
    return {
      key: `${url.origin} through ${proxy?.url ?? "nothing"}`,
      registry: createRegistry().with(tlsResolver({ roots, clientCertificate: shown, proxy, lookup })),
      endpoint: { scheme: "tls", host, port, alpn: ["http/1.1"] },
      forward: undefined,
    };
  }
  const forward = proxy && parseProxy(proxy);
  if (forward?.ok === false) throw new ConnectError("unconfigured", forward.error);
  const first = forward?.value ?? { host, port, secure: false, roots: undefined };
  return {
    key: `${first.secure ? "tls" : "tcp"} ${first.host} ${first.port}`,
    registry: createRegistry().with(
      first.secure ? tlsResolver({ roots: first.roots, lookup }) : tcpResolver({ lookup }),
    ),
    endpoint: { scheme: first.secure ? "tls" : "tcp", host: first.host, port: first.port },
    forward: forward?.value,
  };
}

function proxyFor(
  url: URL,
  { proxy, environment = (name) => Deno.env.get(name) }: HttpClientOptions,
): HttpProxy | undefined {
  if (proxy !== "environment") return proxy;
  const found = proxyFromEnvironment(url.href, environment);
  if (!found.ok) throw new ConnectError("unconfigured", found.error);
  return found.value;
}

/** @throws {ConnectError} for what is no URL of HTTP, or has credentials in it */
export function readUrl(text: string): URL {
  if (!URL.canParse(text)) throw new ConnectError("unconfigured", "that is no URL");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw new ConnectError("not-applicable", `${url.protocol} is not HTTP`);
  }
  if (url.username !== "" || url.password !== "") {
    throw new ConnectError(
      "unconfigured",
      "a URL carries no credentials; they are configured for their origin",
    );
  }
  url.hash = "";
  return url;
}
