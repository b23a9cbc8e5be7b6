/** HTTP/1.1 by the runtime's own implementation, over flows: what conduit says of security holds here too. */
import { type ClientRequest, type IncomingMessage, request as sendRequest } from "node:http";
import type { Lookup } from "../addresses.ts";
import type { ClientCertificateSource } from "../certificates.ts";
import { connect, ConnectFailure } from "../connect.ts";
import { ChunkReader, writeAll } from "../duplex.ts";
import type { Endpoint } from "../endpoint.ts";
import { explain, type Plan } from "../explain.ts";
import { FlowError, type Result } from "../flow.ts";
import { createPatience, type Patience } from "../patience.ts";
import { ConnectError } from "../protocol.ts";
import { type HttpProxy, parseProxy, type ProxyAddress, proxyFromEnvironment } from "../proxy.ts";
import { createRegistry, type Registry } from "../registry.ts";
import { tcpResolver } from "../tcp.ts";
import { tlsResolver } from "../tls.ts";
import { type Dial, type DialedArgs, FlowAgent } from "./agent.ts";
import { type HttpCredentials, readCredentials } from "./credentials.ts";
import { nextUrl } from "./redirect.ts";
import type { HttpClient, HttpRequest, HttpResponse } from "./types.ts";

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

/** An HTTP client that says how it would reach a URL. */
export interface ExplainingHttpClient extends HttpClient {
  /** The plan for the connection that a request to this URL needs; connects to nothing. The error is a sentence. */
  explain(url: string): Promise<Result<Plan, string>>;
}

const DEFAULTS = {
  idleMs: 60_000,
  connectMs: 30_000,
  keepAliveMs: 15_000,
  maxConnections: 8,
  maxRedirects: 5,
  maxHeaderBytes: 32 * 1024,
} as const;

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

/** How a URL's server is reached. */
interface HttpRoute {
  readonly key: string;
  readonly registry: Registry;
  readonly endpoint: Endpoint;
  /** The proxy that is asked for whole URLs; for `https` there is a tunnel instead. */
  readonly forward: ProxyAddress | undefined;
}

function routeFor(url: URL, options: HttpClientOptions): HttpRoute {
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

function readUrl(text: string): URL {
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

interface Sending {
  readonly agent: FlowAgent;
  readonly route: HttpRoute;
  readonly url: URL;
  readonly headers: Headers;
  readonly request: HttpRequest;
  readonly options: HttpClientOptions;
}

interface Received {
  readonly request: ClientRequest;
  readonly message: IncomingMessage;
}

/** One request of a caller, over all its redirects: its clocks, and what must be let go of when they run out. */
class Exchange {
  /** Why it was ended before its end. */
  gaveUp: FlowError | undefined;
  readonly #connecting = new AbortController();
  readonly #patience: Patience;
  readonly #forget: (over: Exchange) => void;
  readonly #signal: AbortSignal | undefined;
  readonly #aborted: () => void;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;
  #current: ClientRequest | undefined;
  #finished = false;

  constructor({ signal, timeoutMs, url }: HttpRequest, idleMs: number, forget: (over: Exchange) => void) {
    this.#forget = forget;
    this.#patience = createPatience(idleMs, () => {
      this.giveUp(new FlowError("timeout", `${url}: the server was silent for ${idleMs} ms`));
    });
    this.#signal = signal;
    this.#aborted = () => this.giveUp(new FlowError("closed", `${url}: given up`, { cause: signal?.reason }));
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => {
        this.giveUp(new FlowError("timeout", `${url}: not done within ${timeoutMs} ms`));
      }, timeoutMs);
    }
    signal?.addEventListener("abort", this.#aborted, { once: true });
    if (signal?.aborted) this.#aborted();
  }

  giveUp(reason: FlowError): void {
    if (this.#finished) return;
    this.gaveUp ??= reason;
    this.#connecting.abort(this.gaveUp);
    this.#current?.destroy(this.gaveUp);
    this.finish(); // whoever reads is told, and nobody may
  }

  /** Nothing more will come of it. */
  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#aborted);
    this.#patience.release();
    this.#forget(this);
  }

  /** Sends the request and waits for the head of its response. */
  async send(sending: Sending): Promise<Received> {
    for (;;) {
      if (this.gaveUp !== undefined) throw this.gaveUp;
      const request = this.#start(sending);
      this.#current = request;
      try {
        return { request, message: await this.#head(request, sending.request) };
      } catch (error) {
        request.destroy();
        // A connection that was kept may have been closed meanwhile (RFC 9112 §9.3.1). Each try uses one up.
        const again = request.reusedSocket && sending.request.method === "GET" && this.gaveUp === undefined &&
          sending.request.body === undefined;
        if (!again) throw error;
      }
    }
  }

  #start({ agent, route, url, headers, request, options }: Sending): ClientRequest {
    const fields: Record<string, string> = { ...Object.fromEntries(headers), host: url.host };
    const { body } = request;
    if (body instanceof Uint8Array) fields["content-length"] = String(body.length);
    else if (body !== undefined) fields["transfer-encoding"] = "chunked";
    else if (request.method === "POST") fields["content-length"] = "0";
    if (route.forward?.authorization !== undefined) {
      fields["proxy-authorization"] = route.forward.authorization;
    }
    const dial: Dial = { key: route.key, open: () => this.#open(route, options) };
    const args: DialedArgs = {
      dial,
      agent,
      method: request.method,
      host: url.hostname,
      path: route.forward === undefined ? `${url.pathname}${url.search}` : url.href,
      headers: fields,
      maxHeaderSize: options.maxHeaderBytes ?? DEFAULTS.maxHeaderBytes,
    };
    return sendRequest(args);
  }

  async #open(route: HttpRoute, options: HttpClientOptions) {
    const connected = await connect(route.registry, route.endpoint, {
      signal: this.#connecting.signal,
      timeoutMs: options.connectMs ?? DEFAULTS.connectMs,
    });
    if (!connected.ok) throw connected.error;
    return connected.value;
  }

  async #head(request: ClientRequest, { body }: HttpRequest): Promise<IncomingMessage> {
    const head = new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve);
      request.on("error", reject); // for as long as it lives: a later fault is told by the response's body
      request.once("close", () => reject(new FlowError("reset", "the connection ended before the response")));
    });
    // What is sent may be longer than what is waited for: the response may come while the body is still going out.
    const sent = this.#sendBody(request, body).catch((error) => {
      request.destroy(
        new FlowError("closed", `the request's body failed: ${sentence(error)}`, { cause: error }),
      );
    });
    return await Promise.race([head, sent.then(() => this.#patience.wait(head))]);
  }

  async #sendBody(request: ClientRequest, body: HttpRequest["body"]): Promise<void> {
    if (body === undefined) return void request.end();
    // The rest of a body is of no use to a server that has refused it, and its end is of none to anybody.
    let refused = false;
    request.once("response", ({ statusCode = 0 }) => refused = statusCode >= 300);
    const chunks = body instanceof Uint8Array ? [body] : body;
    for await (const chunk of chunks) {
      if (refused || request.destroyed) return;
      try {
        await writeAll(request, chunk, this.#patience);
      } catch {
        return; // the request's own error tells, or the response that came before it
      }
    }
    if (!refused) request.end();
  }

  /** The response as the caller gets it; the exchange is over when its body is. */
  hand({ request, message }: Received, status: number, url: URL): HttpResponse {
    const reader = new ChunkReader(message);
    // Where only the connection's end tells the body's, the runtime takes any end for one; its fault comes here.
    let fault: unknown;
    request.on("error", (error) => fault = error);
    const released = new Promise<void>((resolve) => request.once("close", resolve));
    message.once("close", () => {
      reader.fail(new FlowError("reset", `${url.origin}: the connection ended within the response's body`));
    });
    const chunks = async function* (exchange: Exchange): AsyncGenerator<Uint8Array> {
      let ended = false;
      try {
        for (;;) {
          const chunk = await reader.next(exchange.#patience);
          if (chunk === undefined) break;
          yield chunk;
        }
        if (exchange.gaveUp !== undefined || fault !== undefined) throw fault;
        if (!message.complete) throw new FlowError("reset", `${url.origin}: the response's body was cut off`);
        ended = true;
      } catch (error) {
        request.destroy();
        await released; // what ails the connection is told to the request, after the body was told that it ended
        throw exchange.gaveUp ?? bodyError(fault ?? error, url.origin);
      } finally {
        // A connection is used again only where request and response have both come to their end.
        if (!ended || !request.writableEnded) request.destroy();
        await released;
        exchange.finish();
      }
    };
    return {
      status,
      url: url.href,
      headers: { get: (name) => headerOf(message, name) },
      body: chunks(this),
    };
  }
}

function headerOf(message: IncomingMessage, name: string): string | null {
  const value = message.headers[name.toLowerCase()];
  return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
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

function bodyError(error: unknown, origin: string): FlowError {
  if (error instanceof FlowError) return error;
  const reset = error instanceof Error && "code" in error && error.code === "ECONNRESET";
  return new FlowError(reset ? "reset" : "protocol", `${origin}: ${sentence(error)}`, { cause: error });
}

function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
