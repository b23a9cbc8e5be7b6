/** HTTP/1.1 by the runtime's own implementation, over flows: what conduit says of security holds here too. */
import { ConnectFailure } from "../connect.ts";
import { explain, type Plan } from "../explain.ts";
import { FlowError, type Result } from "../flow.ts";
import { ConnectError } from "../protocol.ts";
import { FlowAgent } from "./agent.ts";
import { readCredentials } from "./credentials.ts";
import { Exchange, sentence } from "./exchange.ts";
import { DEFAULTS, type HttpClientOptions } from "./options.ts";
import { nextUrl } from "./redirect.ts";
import { readUrl, routeFor } from "./route.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "./types.ts";

/** An HTTP client that says how it would reach a URL. */
export interface ExplainingHttpClient extends HttpClient {
  /** The plan for the connection that a request to this URL needs; connects to nothing. The error is a sentence. */
  explain(url: string): Promise<Result<Plan, string>>;
}

/** Headers that are the connection's matter, not the request's (RFC 9110 §7.6.1), or are made here. */
const MANAGED: readonly string[] = [
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];
/** Headers that say who we are: for the first origin, not for where it redirects. */
const PERSONAL: readonly string[] = ["authorization", "cookie"];

/**
 * A client for HTTP and HTTPS. Redirects are followed for GET alone, on the same scheme alone, and tell another
 * origin nothing of who we are. Nothing is read from the environment unless `proxy` says so.
 */
export function createHttpClient(options: HttpClientOptions = {}): ExplainingHttpClient {
  const agent = new FlowAgent({
    maxConnections: options.maxConnections ?? DEFAULTS.maxConnections,
    keepAliveMs: options.keepAliveMs ?? DEFAULTS.keepAliveMs,
  });
  const credentials = readCredentials(options.credentials ?? []);
  const underWay = new Set<Exchange>();
  let closed = false;

  const follow = async (
    request: HttpRequest,
    headers: Headers,
    exchange: Exchange,
  ): Promise<HttpResponse> => {
    if (!credentials.ok) throw new ConnectError("unconfigured", credentials.error);
    const first = readUrl(request.url);
    let url = first;
    for (let redirects = 0;; redirects++) {
      const route = routeFor(url, options);
      const own = new Headers(headers);
      if (url.origin !== first.origin) { for (const name of PERSONAL) own.delete(name); }
      const authorization = credentials.value.get(url.origin);
      if (authorization !== undefined && !own.has("authorization")) own.set("authorization", authorization);
      const response = await exchange.send({ agent, route, url, headers: own, request, options });
      const { statusCode = 0 } = response.message;
      const next = nextUrl(request.method, url, statusCode, response.message.headers.location);
      if (next.ok && next.value === undefined) return exchange.hand(response, statusCode, url);
      response.request.destroy();
      if (!next.ok) throw new ConnectError("protocol", next.error);
      const most = options.maxRedirects ?? DEFAULTS.maxRedirects;
      if (redirects === most) {
        throw new ConnectError("protocol", `${first.origin} redirects more than ${most} times`);
      }
      if (next.value !== undefined) url = next.value;
    }
  };

  return {
    async request(request) {
      const headers = readHeaders(request.headers ?? {});
      const exchange = new Exchange(
        request,
        options.idleMs ?? DEFAULTS.idleMs,
        (over) => underWay.delete(over),
      );
      if (exchange.gaveUp === undefined) underWay.add(exchange);
      if (closed) exchange.giveUp(new FlowError("closed", "the HTTP client was closed"));
      try {
        return { ok: true, value: await follow(request, headers, exchange) };
      } catch (error) {
        exchange.finish();
        return { ok: false, error: requestError(exchange.gaveUp ?? error) };
      }
    },
    close() {
      closed = true;
      for (const exchange of [...underWay]) {
        exchange.giveUp(new FlowError("closed", "the HTTP client was closed"));
      }
      agent.destroy();
    },
    async explain(url) {
      try {
        const { registry, endpoint } = routeFor(readUrl(url), options);
        return { ok: true, value: await explain(registry, endpoint) };
      } catch (error) {
        if (error instanceof ConnectError) return { ok: false, error: error.message };
        throw error;
      }
    },
  };
}

/**
 * @throws {RangeError} for a header that is not the caller's to set
 * @throws {TypeError} for what is no header
 */
function readHeaders(given: Readonly<Record<string, string>>): Headers {
  const headers = new Headers({ ...given });
  for (const name of headers.keys()) {
    if (MANAGED.includes(name)) throw new RangeError(`the header ${name} is made by the client`);
  }
  return headers;
}

/** Why there was no response, as one of our codes. */
function requestError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof ConnectFailure) {
    const code = error.attempts.at(-1)?.code ?? "unreachable";
    return new ConnectError(code, error.message, { cause: error });
  }
  if (error instanceof FlowError) {
    const code = error.code === "timeout" ? "timeout" : error.code === "closed" ? "aborted" : "protocol";
    return new ConnectError(code, error.message, { cause: error });
  }
  return new ConnectError("protocol", `no response that could be read: ${sentence(error)}`, { cause: error });
}
