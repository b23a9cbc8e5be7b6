/** Whether a request may stand at a host's name, and whether the key that brought it may ask for its names. */
import type { Result } from "../../conduit/mod.ts";
import { isAtOrBelow, type Name } from "../../dns/mod.ts";
import { baseOf, nameOf, textOf } from "../x509/hostnames.ts";
import { type CertificateRequest, parseRequest, type RequestFault, type RequestFaultCode } from "./parse.ts";

export interface RequestToJudge {
  /** The host at whose name the request stands. */
  readonly host: Name;
  readonly der: Uint8Array;
  /** Where the uploading key has its right; `undefined` where no key is to be asked. */
  readonly keyScope: Name | undefined;
  /** Explicit permissions for names outside the key's scope. */
  readonly permits?: ((name: Name) => boolean) | undefined;
}

export type JudgedRequest = CertificateRequest;
export type RequestRefusalCode = RequestFaultCode | "host" | "scope";
export type RequestRefusal = RequestFault | { readonly code: "host" | "scope"; readonly reason: string };

export function judgeRequest(asked: RequestToJudge): Result<JudgedRequest, RequestRefusal> {
  const parsed = parseRequest(asked.der);
  if (!parsed.ok) return parsed;
  const host = textOf(asked.host);
  if (host.startsWith("*.")) {
    const reason = `a wildcard is asked for at the name of ${baseOf(host)}, with ${host} as an extra name`;
    return { ok: false, error: { code: "host", reason } };
  }
  if (!parsed.value.names.includes(host)) {
    return {
      ok: false,
      error: { code: "host", reason: `the request does not name ${host}, where it stands` },
    };
  }
  for (const name of parsed.value.names) {
    const domain = nameOf(baseOf(name));
    if (asked.keyScope === undefined || isAtOrBelow(domain, asked.keyScope)) continue;
    if (asked.permits?.(nameOf(name)) === true) continue;
    return {
      ok: false,
      error: { code: "scope", reason: `${name} is outside the scope of the key, ${asked.keyScope}` },
    };
  }
  return parsed;
}

/** For a provisioner of somebody else's primary: HOST, `*.HOST` and names below HOST. */
export function withinHost(host: Name, names: readonly string[]): boolean {
  return names.every((name) => isAtOrBelow(nameOf(baseOf(name)), host));
}
