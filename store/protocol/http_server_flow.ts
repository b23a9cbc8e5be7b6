/** A request's body and its response's as one flow. Both stream; neither is ever held whole. */
import type { Flow } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";

export interface Exchange {
  readonly type: string;
  /** Bytes of the request's body that are taken, as they are when inflated. */
  readonly maximum: number;
  readonly serve: (flow: Flow) => Promise<void>;
  /** When nothing of the exchange is left; with what `serve` threw, if it did. */
  readonly done: (failure: unknown) => void;
}

/** Answers at once; the service goes on beside, and writes the response's body as it is taken. */
export function exchange(request: Request, { type, maximum, serve, done }: Exchange): Response {
  const response = new TransformStream<Uint8Array, Uint8Array>(
    undefined,
    new ByteLengthQueuingStrategy({ highWaterMark: 1 << 16 }),
    new ByteLengthQueuingStrategy({ highWaterMark: 1 << 16 }),
  );
  const flow = httpFlow(request, response.writable.getWriter(), maximum);
  void serve(flow).then(() => undefined, (failure) => failure).then(async (failure) => {
    await flow.end().catch(clientIsGone);
    flow.close();
    done(failure);
  });
  return new Response(response.readable, {
    headers: {
      "content-type": type,
      // As git's http-backend: refs change, and no proxy is to say otherwise.
      "cache-control": "no-cache, max-age=0, must-revalidate",
      "expires": "Fri, 01 Jan 1980 00:00:00 GMT",
      "pragma": "no-cache",
      "x-content-type-options": "nosniff",
    },
  });
}

/** Its errors are `StoreError`s: `unreachable`, `limit` (a body too large), `protocol` (a body that does not inflate). */
function httpFlow(request: Request, writer: WritableStreamDefaultWriter<Uint8Array>, maximum: number): Flow {
  const encoded = ["gzip", "x-gzip"].includes(request.headers.get("content-encoding") ?? "");
  const reader = request.body?.getReader();
  const raw = bodyOf(reader);
  const body = bounded(encoded ? inflated(raw) : raw, maximum);
  let ended = false;
  let closed = false;
  const gone = (cause: unknown) => new StoreError("unreachable", "the HTTP client went away", { cause });
  return {
    description: "http",
    peer: undefined,
    secure: new URL(request.url).protocol === "https:",
    async read() {
      if (closed) throw gone(undefined);
      const { value } = await body.next();
      // Given up while it waited: what looks like the body's end is ours.
      if (closed) throw gone(undefined);
      return value ?? undefined;
    },
    async write(bytes) {
      if (closed) throw gone(undefined);
      try {
        await writer.ready;
        await writer.write(bytes);
      } catch (cause) {
        throw gone(cause);
      }
    },
    async end() {
      if (ended || closed) return;
      ended = true;
      try {
        await writer.close();
      } catch (cause) {
        throw gone(cause);
      }
    },
    close() {
      if (closed) return;
      closed = true;
      // What is left of either body is of no use to anybody. Whatever waits for a byte of them is let go.
      writer.abort(gone(undefined)).catch(clientIsGone);
      reader?.cancel().catch(clientIsGone);
    },
    diagnostics: () => "",
  };
}

async function* bodyOf(
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (reader === undefined) return;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw new StoreError("unreachable", "the HTTP client went away", { cause });
  }
}

/** Fed in small pieces, since what a piece inflates to (a thousand times its size at most) comes all at once. */
async function* inflated(
  raw: AsyncGenerator<Uint8Array, void, undefined>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stream = new DecompressionStream("gzip");
  const writer = stream.writable.getWriter();
  const reader = stream.readable.getReader();
  let failure: StoreError | undefined;
  const feed = async () => {
    try {
      for await (const chunk of raw) {
        for (let at = 0; at < chunk.length; at += PIECE) await writer.write(chunk.slice(at, at + PIECE));
      }
      await writer.close();
    } catch (error) {
      if (error instanceof StoreError) failure = error;
      await writer.abort(error).catch(clientIsGone);
    }
  };
  const fed = feed();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield value;
    }
  } catch (cause) {
    throw failure ?? new StoreError("protocol", "the request's body is not what gzip makes", { cause });
  } finally {
    await reader.cancel().catch(clientIsGone);
    await fed;
  }
}

const PIECE = 1024;

async function* bounded(
  chunks: AsyncGenerator<Uint8Array, void, undefined>,
  maximum: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    if (bytes > maximum) throw new StoreError("limit", `a request whose body is more than ${maximum} bytes`);
    yield chunk;
  }
}

/** Streams that are given up reject whatever still waits at them; there is nobody left to tell. */
function clientIsGone(): void {}
