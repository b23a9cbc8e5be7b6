/**
 * How acme-client reaches an authority. Its own interceptors replay a request with the same nonce, sleep for as long
 * as the server says and turn a network failure into a TypeError; here they are cleared, every error status but
 * badNonce becomes a typed problem, and waiting is the caller's.
 *
 * The package has one HTTP instance for the whole process, so this is set up once; trust in a private root is
 * bound to an origin.
 */
import type acme from "acme-client";
import { ACME_ERROR, type Problem } from "./authority.ts";

/** Thrown through acme-client and caught by `attempt` in acme.ts. */
export class ProblemError extends Error {
  override readonly name = "ProblemError";
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
}

/** Under this symbol an answer's body carries its Retry-After, in milliseconds since 1970. */
export const RETRY_AFTER = Symbol("retry-after");

const TIMEOUT_MILLISECONDS = 30_000;
/** A body of an authority is a chain of a few certificates at most. */
const MAX_BODY_OCTETS = 1 << 20;
const clients = new Map<string, Deno.HttpClient>();
let ready = false;

export function prepareTransport(
  { axios }: typeof acme,
  directoryUrl: string,
  caCertificates: readonly string[] | undefined,
  now: () => number,
): void {
  if (caCertificates !== undefined) {
    const origin = new URL(directoryUrl).origin;
    clients.get(origin)?.close();
    clients.set(origin, Deno.createHttpClient({ caCerts: [...caCertificates] }));
  }
  if (ready) return;
  ready = true;
  axios.interceptors.request.clear();
  axios.interceptors.response.clear();
  const { defaults } = axios;
  defaults.adapter = "fetch";
  defaults.timeout = TIMEOUT_MILLISECONDS;
  defaults.maxContentLength = MAX_BODY_OCTETS;
  // A redirect would carry a signed request to somewhere it was not signed for.
  defaults.maxRedirects = 0;
  defaults.headers.common["User-Agent"] = "bailiwick/1 (acme-client/5.4.0)";
  defaults.validateStatus = () => true;
  Object.assign(defaults, { env: { ...defaults.env, fetch: fetchWithTrust } });
  axios.interceptors.response.use((response) => {
    const retryAfter = instantOf(response.headers["retry-after"], now());
    const body: unknown = response.data;
    if (response.status < 400) {
      if (typeof body === "object" && body !== null && retryAfter !== undefined) {
        Object.assign(body, { [RETRY_AFTER]: retryAfter });
      }
      return response;
    }
    const problem = problemOf(body, response.status, retryAfter);
    // acme-client itself signs anew with a fresh nonce (RFC 8555 §6.5), five times.
    if (problem.type === `${ACME_ERROR}badNonce`) return response;
    throw new ProblemError(problem);
  }, (error: unknown) => {
    throw new ProblemError(networkProblem(error));
  });
}

/** Retry-After (RFC 9110 §10.2.3), seconds or a date, as milliseconds since 1970. */
export function instantOf(value: unknown, now: number): number | undefined {
  if (typeof value !== "string") return undefined;
  if (/^\d{1,9}$/.test(value.trim())) return now + Number(value) * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : date;
}

/** What a body says of a failure, whatever its shape. */
export function problemOf(body: unknown, status: number, retryAfter?: number): Problem {
  const document = typeof body === "object" && body !== null ? body as Record<string, unknown> : {};
  const subproblems = Array.isArray(document.subproblems) ? document.subproblems.slice(0, 100) : [];
  return {
    type: text(document.type) ?? "bailiwick:http",
    detail: text(document.detail) ?? `the authority answered with status ${status}`,
    status,
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(subproblems.length === 0 ? {} : {
      subproblems: subproblems.map((part: unknown) => {
        const each = typeof part === "object" && part !== null ? part as Record<string, unknown> : {};
        const identifier = each.identifier as Record<string, unknown> | undefined;
        return {
          type: text(each.type) ?? "",
          detail: text(each.detail) ?? "",
          identifier: text(identifier?.value),
        };
      }),
    }),
  };
}

function fetchWithTrust(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const url = input instanceof Request ? input.url : String(input);
  const client = clients.get(new URL(url).origin);
  return fetch(input, client === undefined ? init : { ...init, client });
}

function networkProblem(error: unknown): Problem {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  const cause = error instanceof Error && error.cause instanceof Error ? `: ${error.cause.message}` : "";
  const message = `${error instanceof Error ? error.message : String(error)}${cause}`;
  const timeout = code === "ECONNABORTED" || code === "ETIMEDOUT";
  return { type: timeout ? "bailiwick:timeout" : "bailiwick:unreachable", detail: message, status: 0 };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value.slice(0, 1000) : undefined;
}
