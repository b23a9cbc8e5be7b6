/** Between the runtime's HTTP messages and the web platform's Request and Response: one request and its answer. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ChunkReader, writeAll } from "../duplex.ts";
import { FlowError, type PeerAddress } from "../flow.ts";
import { handlerEvent, type ListenEvent } from "../listener.ts";
import type { Patience } from "../patience.ts";

export type HttpHandler = (
  request: Request,
  info: { readonly peer: PeerAddress },
) => Response | Promise<Response>;

export interface ServerExchange {
  readonly message: IncomingMessage;
  readonly response: ServerResponse;
  readonly peer: PeerAddress;
  readonly handler: HttpHandler;
  readonly report: (event: ListenEvent) => void;
  /** Whether the connection takes no request after this one; asked when the answer begins. */
  readonly last: () => boolean;
  readonly patience: Patience;
}

/** Resolves when the answer is sent or the client gone. @returns the body, for what the handler left of it */
export async function answerRequest(exchange: ServerExchange): Promise<RequestBody> {
  const { message, response, peer, report } = exchange;
  const body = new RequestBody(message, exchange.patience);
  const client = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) client.abort(new FlowError("reset", "the HTTP client went away"));
  });
  if (response.destroyed) return body;
  const answer = await answerOf(exchange, body, client.signal);
  try {
    await send(exchange, answer, client.signal);
  } catch (cause) {
    // It has begun, so its breaking off is all that can tell the client.
    if (!client.signal.aborted) report(handlerEvent(peer, cause));
    message.socket.destroy();
  }
  return body;
}

async function answerOf(
  { message, peer, handler, report }: ServerExchange,
  body: RequestBody,
  signal: AbortSignal,
): Promise<Response> {
  const request = requestOf(message, body, signal);
  if (request === undefined) return new Response("bad request\n", { status: 400 });
  try {
    return await handler(request, { peer });
  } catch (cause) {
    report(handlerEvent(peer, signal.aborted ? signal.reason : cause));
    return new Response("internal error\n", { status: 500 });
  }
}

/** RFC 9110 §4.2.3 and RFC 3986 §3.2.2, narrowed: a name, an address in brackets, perhaps a port. */
const AUTHORITY = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

/** `undefined` for a target or header that the web platform has no request for. */
function requestOf(message: IncomingMessage, body: RequestBody, signal: AbortSignal): Request | undefined {
  const { method = "GET", url: target = "", rawHeaders } = message;
  const authority = message.headers.host ?? (message.httpVersion === "1.0" ? "localhost" : "");
  const absolute = /^https?:\/\//i.test(target); // RFC 9112 §3.2.2
  if (!absolute && (!target.startsWith("/") || !AUTHORITY.test(authority))) return undefined;
  try {
    const headers = new Headers();
    for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at], rawHeaders[at + 1]);
    return new Request(absolute ? target : `http://${authority}${target}`, {
      method,
      headers,
      body: method === "GET" || method === "HEAD" ? null : body.stream(),
      signal,
    });
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** Fields of one connection (RFC 9110 §7.6.1), which are the server's own business. */
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade"]);

/** @throws what the answer's body failed with, or the connection */
async function send(
  { message, response, last, patience }: ServerExchange,
  answer: Response,
  signal: AbortSignal,
): Promise<void> {
  const { body, headers, status } = answer;
  if (signal.aborted) return void await body?.cancel(signal.reason);
  response.statusCode = status;
  if (answer.statusText !== "") response.statusMessage = answer.statusText;
  for (const [name, value] of headers) {
    if (name !== "set-cookie" && !HOP_BY_HOP.has(name)) response.setHeader(name, value);
  }
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) response.setHeader("set-cookie", cookies);
  if (last()) response.shouldKeepAlive = false;
  const bare = message.method === "HEAD" || status === 204 || status === 304; // RFC 9110 §6.4.1
  if (bare) await body?.cancel();
  else if (body !== null) await pour(body, response, patience, signal);
  await patience.wait(ended(response));
}

async function pour(
  body: ReadableStream<Uint8Array>,
  response: ServerResponse,
  patience: Patience,
  signal: AbortSignal,
): Promise<void> {
  const reader = body.getReader();
  const leave = () => void reader.cancel(signal.reason).catch(nobodyLeft);
  signal.addEventListener("abort", leave, { once: true });
  try {
    response.flushHeaders();
    for (;;) {
      const { value, done } = await reader.read();
      if (signal.aborted) throw signal.reason;
      if (done) return;
      await writeAll(response, value, patience);
    }
  } catch (cause) {
    await reader.cancel(cause).catch(nobodyLeft);
    throw cause;
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

function ended(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    response.once("close", resolve);
    response.end(() => resolve());
    if (response.destroyed) resolve();
  });
}

/** A request's body: read by the handler as a stream, and what it left, read to the end. */
export class RequestBody {
  readonly #reader: ChunkReader;
  readonly #patience: Patience;
  #reading: Promise<Uint8Array | undefined> = Promise.resolve(undefined);

  constructor(message: IncomingMessage, patience: Patience) {
    this.#patience = patience;
    this.#reader = new ChunkReader(message);
    message.once("close", () => {
      if (!message.complete) this.#reader.fail(new FlowError("reset", "the HTTP client went away"));
    });
  }

  stream(): ReadableStream<Uint8Array<ArrayBuffer>> {
    return new ReadableStream({
      pull: async (controller) => {
        const chunk = await this.#next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(new Uint8Array(chunk));
      },
    }, { highWaterMark: 0 });
  }

  /** @throws what the connection failed with */
  async drain(): Promise<void> {
    await this.#reading.catch(nobodyLeft); // A read that the handler gave up is still under way.
    while (await this.#next() !== undefined);
  }

  #next(): Promise<Uint8Array | undefined> {
    this.#reading = this.#reader.next(this.#patience);
    return this.#reading;
  }
}

/** Streams that are given up reject whatever still waits at them; there is nobody left to tell. */
function nobodyLeft(): void {}
