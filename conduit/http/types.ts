import type { Result } from "../flow.ts";
import type { ConnectError } from "../protocol.ts";

/** Asks servers by HTTP. Holds connections open between requests until it is closed. */
export interface HttpClient {
  /**
   * The response as soon as its head is there; its body comes as it is read. A status of 400 and above is a
   * response too. An error says that there was none.
   * @throws {RangeError} for a header that is the client's to make (`Host`, `Content-Length`, `Connection` …)
   * @throws {TypeError} for a header that cannot be one
   */
  request(request: HttpRequest): Promise<Result<HttpResponse, ConnectError>>;
  /** Ends what is under way and closes every connection. May be called again. */
  close(): void;
}

export interface HttpRequest {
  readonly method: "GET" | "POST";
  /** `https://…` or `http://…`, without user or password: credentials are the client's matter. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Bytes are sent with their length; an iterable is streamed as it yields. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Gives the request up, its response's body included. */
  readonly signal?: AbortSignal | undefined;
  /** The time for everything from the connection to the last byte of the body; no limit where it is not given. */
  readonly timeoutMs?: number | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly headers: HttpHeaders;
  /**
   * The body, once. Whoever does not want it to its end ends the iteration (`break`, `return`) or closes the
   * client: until then its connection is taken.
   * @throws {FlowError} from the iteration, when the body broke off, timed out or was given up
   */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface HttpHeaders {
  /** By name in any case; several of one name are joined by `, ` (RFC 9110 §5.2). */
  get(name: string): string | null;
}
