/**
 * One conversation of smart HTTP: the advertisement, then a request and its answer at a time, each request gathered and
 * sent when its answer is read, or streamed where it is large.
 */
import type { HttpClient, HttpResponse } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import { oneLine, type ProtocolVersion } from "./advertisement.ts";
import type { GitService } from "./git_command.ts";
import { afterServiceHeader } from "./http_advertisement.ts";
import { BodyQueue } from "./http_client_body.ts";

export interface HttpOpenerOptions {
  /**
   * The `Authorization` header, sent to the origin of the URL that was given and to no other, wherever a redirect leads.
   */
  readonly authorization?: string | undefined;
  /** A request is gathered up to this many bytes and sent with its length; a longer one is streamed. Default 1 MiB. */
  readonly gather?: number | undefined;
}

/** One conversation. The address that the first answer came from is where the others are asked. */
export class HttpExchange {
  readonly description: string;
  readonly secure: boolean;
  readonly #client: HttpClient;
  readonly #service: GitService;
  readonly #version: ProtocolVersion;
  readonly #options: HttpOpenerOptions;
  readonly #given: URL;
  readonly #abort = new AbortController();
  #base: URL;
  #request: Outgoing | undefined;
  #answer: AsyncIterator<Uint8Array> | undefined;
  #reading = false;

  constructor(
    client: HttpClient,
    base: URL,
    service: GitService,
    version: ProtocolVersion,
    options: HttpOpenerOptions,
  ) {
    this.#client = client;
    this.#given = this.#base = base;
    this.#service = service;
    this.#version = version;
    this.#options = options;
    this.description = `${base.protocol.slice(0, -1)} ${base.host}`;
    this.secure = base.protocol === "https:";
  }

  /** Asks for the advertisement, which the next reads give. @throws {StoreError} */
  async discover(): Promise<void> {
    const tail = `/info/refs?service=${this.#service}`;
    const response = await this.#ask({
      method: "GET",
      url: withTail(this.#base, tail),
      headers: { "Pragma": "no-cache" },
    });
    await this.#expectOk(response);
    const type = contentType(response);
    if (type !== `application/x-${this.#service}-advertisement`) {
      const text = await textOf(response, 512);
      throw this.#fault(
        "protocol",
        /^[0-9a-f]{40}\trefs\//.test(text)
          ? "a dumb HTTP server: it hands out files and does not speak git's protocol"
          : `answers ${type === "" ? "without a content type" : `as ${type}`}: no smart git server`,
      );
    }
    this.#follow(response, tail);
    this.#answer = afterServiceHeader(
      response.body,
      this.#service,
      (problem) => this.#fault("protocol", problem),
    );
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#request !== undefined) await this.#send(this.#request);
    this.#reading = true;
    try {
      for (;;) {
        const item = await this.#answer?.next();
        if (item === undefined || item.done === true) return undefined;
        if (item.value.length > 0) return item.value;
      }
    } finally {
      this.#reading = false;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#request ??= await this.#newRequest();
    const request = this.#request;
    if (request.streaming === undefined) {
      // The caller may use its buffer again.
      request.parts.push(bytes.slice());
      request.bytes += bytes.length;
      if (request.bytes <= (this.#options.gather ?? GATHER)) return;
      const body = new BodyQueue(request.parts.splice(0));
      request.streaming = { body, response: this.#post(body) };
      // Whatever comes of it is said where the answer is read; here it only ends the writing.
      request.streaming.response.then(undefined, () => body.abandon());
    } else await request.streaming.body.push(bytes.slice());
  }

  async end(): Promise<void> {
    if (this.#request !== undefined) await this.#send(this.#request);
  }

  close(): void {
    const answer = this.#answer;
    this.#answer = undefined;
    this.#request?.streaming?.body.abandon();
    const abort = () => this.#abort.abort();
    // An iteration that is not under way is ended as its owner wants it; one that waits is broken off.
    if (this.#reading || answer?.return === undefined) abort();
    else answer.return().then(abort, abort);
  }

  /** A new turn: what the last answer still holds is for nobody. */
  async #newRequest(): Promise<Outgoing> {
    const answer = this.#answer;
    this.#answer = undefined;
    for (let left = LINGER; answer !== undefined && left > 0; left--) {
      // An answer that is at its end leaves its connection for the next request.
      if ((await answer.next()).done === true) return { parts: [], bytes: 0, streaming: undefined };
    }
    await answer?.return?.();
    return { parts: [], bytes: 0, streaming: undefined };
  }

  async #send(request: Outgoing): Promise<void> {
    this.#request = undefined;
    request.streaming?.body.end();
    const response = await (request.streaming?.response ?? this.#post(joined(request)));
    await this.#expectOk(response);
    const type = contentType(response);
    if (type !== `application/x-${this.#service}-result`) {
      throw this.#fault("protocol", `answers as ${type || "nothing"} where git's answer was due`);
    }
    this.#answer = response.body[Symbol.asyncIterator]();
  }

  async #post(request: Uint8Array | AsyncIterable<Uint8Array>): Promise<HttpResponse> {
    const url = withTail(this.#base, `/${this.#service}`);
    // As git has it: requests to fetch are lists of ids in digits, packs are deflated already.
    const zipped = request instanceof Uint8Array && request.length > ZIPPED_FROM &&
      this.#service === "git-upload-pack";
    const body = zipped ? await gzip(request) : request;
    const response = await this.#ask({
      method: "POST",
      url,
      headers: {
        "Content-Type": `application/x-${this.#service}-request`,
        "Accept": `application/x-${this.#service}-result`,
        ...(zipped ? { "Content-Encoding": "gzip" } : {}),
      },
      body,
    });
    // What was sent was for the place that was asked.
    if (response.url !== url) throw this.#fault("protocol", "redirects a request that was already under way");
    return response;
  }

  async #ask(request: Parameters<HttpClient["request"]>[0]): Promise<HttpResponse> {
    const { authorization } = this.#options;
    const response = await this.#client.request({
      ...request,
      signal: this.#abort.signal,
      headers: {
        ...request.headers,
        "User-Agent": "git/bailiwick",
        ...(this.#version === 0 ? {} : { "Git-Protocol": `version=${this.#version}` }),
        ...(authorization !== undefined && this.#base.origin === this.#given.origin
          ? { "Authorization": authorization }
          : {}),
      },
    });
    if (response.ok) return response.value;
    const { code, message } = response.error;
    throw this.#fault(code === "protocol" ? "protocol" : "unreachable", message, response.error);
  }

  /** Where a redirect led, the other requests go too (git: `http.followRedirects=initial`). */
  #follow(response: HttpResponse, tail: string): void {
    if (response.url === withTail(this.#base, tail)) return;
    const found = new URL(response.url);
    if (found.protocol !== this.#base.protocol) {
      throw this.#fault("protocol", `redirects from ${this.#base.protocol} to ${oneLine(found.protocol)}`);
    }
    if (!found.href.endsWith(tail)) {
      throw this.#fault("protocol", `redirects to ${oneLine(found.href)}, which is no repository's address`);
    }
    this.#base = new URL(found.href.slice(0, -tail.length));
  }

  async #expectOk(response: HttpResponse): Promise<void> {
    if (response.status === 200) return;
    const said = contentType(response) === "text/plain" ? oneLine(await textOf(response, 512)) : "";
    if (said === "") await response.body[Symbol.asyncIterator]().return?.();
    const { status } = response;
    const reason = status === 401
      ? "wants credentials, or others than these"
      : status === 403
      ? "forbids it"
      : status === 404
      ? `has no repository at ${this.#base.pathname}, or shows none`
      : "cannot answer";
    throw this.#fault("remote", `${reason} (HTTP status ${status})${said === "" ? "" : `: ${said}`}`);
  }

  #fault(code: "unreachable" | "remote" | "protocol", problem: string, cause?: unknown): StoreError {
    const message = problem.includes(this.description) ? problem : `${this.description}: ${problem}`;
    return new StoreError(code, message, { cause });
  }
}

interface Outgoing {
  readonly parts: Uint8Array[];
  bytes: number;
  streaming: { readonly body: BodyQueue; readonly response: Promise<HttpResponse> } | undefined;
}

/** git's `http.postBuffer`. */
const GATHER = 1 << 20;
/** Bytes of a request from which on it is sent compressed. */
const ZIPPED_FROM = 1024;
/** Chunks of an answer that are read for nothing before its connection is given up. */
const LINGER = 4;

function withTail(base: URL, tail: string): string {
  return base.href.replace(/\/+$/, "") + tail;
}

function contentType(response: HttpResponse): string {
  const [type = ""] = (response.headers.get("content-type") ?? "").split(";");
  return oneLine(type).toLowerCase();
}

function joined({ parts, bytes }: Outgoing): Uint8Array {
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

async function gzip(bytes: Uint8Array): Promise<Uint8Array> {
  const zipped = new Blob([new Uint8Array(bytes)]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(zipped).arrayBuffer());
}

/** The beginning of a body as text; the rest is given up. */
async function textOf(response: HttpResponse, maximum: number): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of response.body) {
    text += decoder.decode(bytes.subarray(0, 4 * maximum), { stream: true });
    if (text.length >= maximum) break;
  }
  return text.slice(0, maximum);
}
