import { Buffer } from "node:buffer";
import type { Result } from "../flow.ts";

/** Who we are for one origin; no other origin is ever told. */
export type HttpCredentials =
  & {
    /** `https://host` or `https://host:port`; with `http://` they go in the clear, as is then said. */
    readonly origin: string;
  }
  & (
    /** RFC 7617. */
    | { readonly username: string; readonly password: string }
    /** RFC 6750. */
    | { readonly token: string }
  );

/** Values of `Authorization` by origin. The error is a sentence. */
export function readCredentials(
  credentials: readonly HttpCredentials[],
): Result<ReadonlyMap<string, string>, string> {
  const values = new Map<string, string>();
  for (const each of credentials) {
    const origin = originOf(each.origin);
    if (origin === undefined) {
      return { ok: false, error: "credentials are for an origin: https://host:port is wanted" };
    }
    if (values.has(origin)) return { ok: false, error: `there are two credentials for ${origin}` };
    const value = headerValue(each);
    if (value === undefined) {
      return { ok: false, error: `the credentials for ${origin} have characters that cannot be sent` };
    }
    values.set(origin, value);
  }
  return { ok: true, value: values };
}

function originOf(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const bare = url.username === "" && url.password === "" && ["", "/"].includes(url.pathname) &&
    url.search === "" && url.hash === "";
  return bare && /^https?:$/.test(url.protocol) ? url.origin : undefined;
}

function headerValue(credentials: HttpCredentials): string | undefined {
  if ("token" in credentials) {
    return /^[\x21-\x7e]+$/.test(credentials.token) ? `Bearer ${credentials.token}` : undefined;
  }
  const { username, password } = credentials;
  // deno-lint-ignore no-control-regex -- RFC 7617 §2 forbids them
  if (username.includes(":") || /[\x00-\x1f\x7f]/.test(username + password)) return undefined;
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
