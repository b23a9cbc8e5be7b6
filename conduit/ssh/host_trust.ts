import type { Result } from "../flow.ts";
import { sshFingerprint } from "./keys.ts";
import { knowledgeOf, parseKnownHosts } from "./known_hosts.ts";

/** By which keys a host is known. */
export interface HostTrust {
  /** Fingerprints `SHA256:…`; the server must show one of them. */
  readonly trusted: readonly string[];
  /** Fingerprints that count for nothing, trusted or not. */
  readonly revoked: readonly string[];
  /** The key types of which one is known, where that is known. */
  readonly algorithms: readonly string[];
}

export interface HostTrustOptions {
  readonly hostKeys?: readonly string[] | undefined;
  readonly knownHosts?: string | (() => Promise<string>) | undefined;
}

/** What pins and known_hosts files say of a host together. Without a key there is an error: a sentence. */
export async function readTrust(
  { hostKeys = [], knownHosts }: HostTrustOptions,
  host: string,
  port: number,
): Promise<Result<HostTrust, string>> {
  const badPin = hostKeys.find((pin) => !/^SHA256:[A-Za-z0-9+/]{43}$/.test(pin));
  if (badPin !== undefined) return { ok: false, error: `${badPin} is not a fingerprint: SHA256:… is wanted` };
  if (knownHosts === undefined) {
    return hostKeys.length === 0
      ? { ok: false, error: `no host key is pinned for ${host}` }
      : { ok: true, value: { trusted: hostKeys, revoked: [], algorithms: [] } };
  }
  const text = await readText(knownHosts);
  if (!text.ok) return text;
  const { trusted, revoked, authorities } = knowledgeOf(parseKnownHosts(text.value), host, port);
  const prints = (keys: typeof trusted) => keys.map(({ blob }) => sshFingerprint(blob));
  const never = prints(revoked);
  const all = [...new Set([...hostKeys, ...prints(trusted)])].filter((print) => !never.includes(print));
  if (all.length > 0) {
    const algorithms = trusted.map(({ algorithm }) => algorithm);
    return { ok: true, value: { trusted: all, revoked: never, algorithms } };
  }
  if (authorities > 0) {
    return {
      ok: false,
      error:
        `known_hosts trusts ${host} by a certificate authority only, and host certificates are not supported`,
    };
  }
  return never.length > 0
    ? { ok: false, error: `every host key known for ${host} is revoked` }
    : { ok: false, error: `no host key is pinned for ${host}, and known_hosts has none` };
}

async function readText(source: string | (() => Promise<string>)): Promise<Result<string, string>> {
  if (typeof source === "string") return { ok: true, value: source };
  try {
    return { ok: true, value: await source() };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { ok: false, error: `known_hosts cannot be read: ${message}` };
  }
}
