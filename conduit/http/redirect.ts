import type { Result } from "../flow.ts";
import type { HttpRequest } from "./types.ts";

/** The statuses that send a client elsewhere (RFC 9110 §15.4). */
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

/**
 * Where a response sends the request: a URL, `undefined` for a response to be handed over as it is, or a sentence
 * that says why it is not followed.
 */
export function nextUrl(
  method: HttpRequest["method"],
  from: URL,
  status: number,
  location: string | undefined,
): Result<URL | undefined, string> {
  if (!REDIRECTS.includes(status) || location === undefined) return { ok: true, value: undefined };
  const no = (error: string) => ({ ok: false, error }) as const;
  // A body that is streamed is gone; and what was sent to one server is not for another.
  if (method !== "GET") return no(`${from.origin} redirects a ${method}, which is not followed`);
  if (!URL.canParse(location, from.href)) return no(`${from.origin} redirects to something that is no URL`);
  const to = new URL(location, from.href);
  if (to.protocol !== from.protocol) {
    return no(`${from.origin} redirects from ${from.protocol} to ${to.protocol}, which is not followed`);
  }
  if (to.username !== "" || to.password !== "") {
    return no(`${from.origin} redirects to a URL with credentials in it`);
  }
  to.hash = "";
  return { ok: true, value: to };
}
