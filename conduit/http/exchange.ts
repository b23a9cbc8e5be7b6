import { type ClientRequest, type IncomingMessage, request as sendRequest } from "node:http";
import { connect } from "../connect.ts";
import { ChunkReader, writeAll } from "../duplex.ts";
import { FlowError } from "../flow.ts";
import { createPatience, type Patience } from "../patience.ts";
import { type Dial, type DialedArgs, type FlowAgent } from "./agent.ts";
import { DEFAULTS, type HttpClientOptions } from "./options.ts";
import type { HttpRoute } from "./route.ts";
import type { HttpRequest, HttpResponse } from "./types.ts";

export interface Sending {
  readonly agent: FlowAgent;
  readonly route: HttpRoute;
  readonly url: URL;
  readonly headers: Headers;
  readonly request: HttpRequest;
  readonly options: HttpClientOptions;
}

export interface Received {
  readonly request: ClientRequest;
  readonly message: IncomingMessage;
}

/** One request of a caller, over all its redirects: its clocks, and what must be let go of when they run out. */
export class Exchange {
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

function bodyError(error: unknown, origin: string): FlowError {
  if (error instanceof FlowError) return error;
  const reset = error instanceof Error && "code" in error && error.code === "ECONNRESET";
  return new FlowError(reset ? "reset" : "protocol", `${origin}: ${sentence(error)}`, { cause: error });
}

export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
