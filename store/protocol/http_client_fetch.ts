/** An `HttpClient` over the runtime's `fetch`: what a browser has. */
import type { HttpClient, HttpRequest, HttpResponse } from "../../conduit/mod.ts";

/** `credentials` is fetch's own: whether the browser's cookies go along. Default `omit`. */
export function fetchHttpClient(
  options: {
    readonly fetch?: typeof globalThis.fetch | undefined;
    readonly credentials?: RequestCredentials | undefined;
  } = {},
): HttpClient {
  const ask = options.fetch ?? globalThis.fetch.bind(globalThis);
  const running = new Set<AbortController>();
  return {
    async request(request) {
      const stop = new AbortController();
      running.add(stop);
      const signals = [stop.signal];
      if (request.signal !== undefined) signals.push(request.signal);
      if (request.timeoutMs !== undefined) signals.push(AbortSignal.timeout(request.timeoutMs));
      try {
        const body = await gathered(request.body);
        const response = await ask(request.url, {
          method: request.method,
          ...(request.headers === undefined ? {} : { headers: request.headers }),
          ...(body === undefined ? {} : { body }),
          signal: AbortSignal.any(signals),
          // A request with a body goes where it was meant to go, or nowhere.
          redirect: request.method === "POST" ? "error" : "follow",
          credentials: options.credentials ?? "omit",
          cache: "no-store",
        });
        return { ok: true, value: responseOf(response, request, () => running.delete(stop)) };
      } catch (error) {
        running.delete(stop);
        if (error instanceof Error) return { ok: false, error: connectError(error) };
        throw error;
      }
    },
    close() {
      for (const stop of running) stop.abort();
      running.clear();
    },
  };
}

/** A browser streams a body over HTTP/2 alone, so it is sent whole; what may be asked by fetch is bounded with it. */
const MAX_BODY = 256 << 20;

async function gathered(body: HttpRequest["body"]): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (body === undefined) return undefined;
  if (body instanceof Uint8Array) return new Uint8Array(body);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > MAX_BODY) throw new RangeError(`a request of more than ${MAX_BODY} bytes`);
    parts.push(new Uint8Array(part));
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function responseOf(response: Response, request: HttpRequest, done: () => void): HttpResponse {
  return {
    status: response.status,
    url: response.url || request.url,
    headers: response.headers,
    body: bodyOf(response, done),
  };
}

function bodyOf(response: Response, done: () => void): AsyncIterable<Uint8Array> {
  const reader = response.body?.getReader();
  const stop = async () => {
    done();
    await reader?.cancel().catch(() => {}); // Broken off already, which was said.
    return { done: true, value: undefined } as const;
  };
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        try {
          const item = await reader?.read();
          return item === undefined || item.done ? await stop() : { done: false, value: item.value };
        } catch (error) {
          done();
          if (!(error instanceof Error)) throw error;
          throw flowError(error);
        }
      },
      return: stop,
    }),
  };
}

/** conduit's errors by their shape: the classes are behind a door that only opens where there are sockets. */
function connectError(cause: Error) {
  const code = cause.name === "TimeoutError"
    ? "timeout"
    : cause.name === "AbortError"
    ? "aborted"
    : "unreachable";
  return Object.assign(new Error(cause.message, { cause }), { name: "ConnectError", code } as const);
}

function flowError(cause: Error) {
  const code = cause.name === "TimeoutError" ? "timeout" : cause.name === "AbortError" ? "closed" : "reset";
  return Object.assign(new Error(cause.message, { cause }), { name: "FlowError", code } as const);
}
