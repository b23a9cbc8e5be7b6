import { Buffer } from "node:buffer";
import { hostPort } from "./endpoint.ts";
import type { Flow, Result } from "./flow.ts";
import { ConnectError } from "./protocol.ts";

/** An HTTP proxy. There is never a question for its credentials. */
export interface HttpProxy {
  /** `http://host:port`, or `https://host:port` for a proxy that is itself spoken to by TLS. */
  readonly url: string;
  /** Sent to the proxy alone (RFC 7617). */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** PEM roots that alone are trusted for the proxy's own certificate. */
  readonly roots?: readonly string[] | undefined;
}

/** A proxy as it is used. */
export interface ProxyAddress {
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  /** The value of `Proxy-Authorization`. */
  readonly authorization: string | undefined;
  readonly roots: readonly string[] | undefined;
}

/** A connection to a host and port asked of a proxy. */
export interface Tunnel {
  readonly proxy: ProxyAddress;
  readonly host: string;
  readonly port: number;
}

/** The error is a sentence. */
export function parseProxy(proxy: HttpProxy): Result<ProxyAddress, string> {
  if (!URL.canParse(proxy.url)) return { ok: false, error: "the proxy's address is no URL" };
  const url = new URL(proxy.url);
  const secure = url.protocol === "https:";
  if (!secure && url.protocol !== "http:") {
    return { ok: false, error: `a proxy is reached by http or https, not ${url.protocol}` };
  }
  if (url.username !== "" || url.password !== "") {
    return { ok: false, error: "the proxy's credentials are given beside its address, not in it" };
  }
  if (!["", "/"].includes(url.pathname) || url.search !== "" || url.hash !== "") {
    return { ok: false, error: "a proxy's address has no path" };
  }
  const { username, password = "" } = proxy;
  // deno-lint-ignore no-control-regex -- RFC 7617 §2 forbids them
  if (username?.includes(":") || /[\x00-\x1f\x7f]/.test(`${username ?? ""}${password}`)) {
    return { ok: false, error: "the proxy's credentials have characters that cannot be sent" };
  }
  const authorization = username === undefined
    ? undefined
    : `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const port = url.port === "" ? (secure ? 443 : 80) : Number(url.port);
  return { ok: true, value: { secure, host, port, authorization, roots: proxy.roots } };
}

/**
 * The proxy that an environment names for a URL (`https_proxy`, `http_proxy`, `all_proxy`, `no_proxy`), as
 * curl reads it: `HTTP_PROXY` in capitals is left alone, since a CGI program's clients can set it.
 */
export function proxyFromEnvironment(
  url: string,
  get: (name: string) => string | undefined,
): Result<HttpProxy | undefined, string> {
  const { protocol, hostname, port } = new URL(url);
  const secure = protocol === "https:";
  const first = (...names: string[]) => names.map(get).find((value) => value !== undefined && value !== "");
  const without = first("no_proxy", "NO_PROXY") ?? "";
  const names = secure ? ["https_proxy", "HTTPS_PROXY"] : ["http_proxy"];
  const named = first(...names, "all_proxy", "ALL_PROXY");
  const host = hostname.replace(/^\[|\]$/g, "");
  if (named === undefined || excludes(without, host, port || (secure ? "443" : "80"))) {
    return { ok: true, value: undefined };
  }
  const full = named.includes("://") ? named : `http://${named}`;
  if (!URL.canParse(full)) return { ok: false, error: "the environment's proxy is no URL" };
  const proxy = new URL(full);
  const credentials = proxy.username === ""
    ? {}
    : { username: decodeURIComponent(proxy.username), password: decodeURIComponent(proxy.password) };
  proxy.username = "";
  proxy.password = "";
  return { ok: true, value: { url: proxy.href, ...credentials } };
}

/** `no_proxy`: hosts and domains, with or without a leading dot, perhaps a port; `*` is everything. */
function excludes(list: string, host: string, port: string): boolean {
  return list.split(/[\s,]+/).filter((item) => item !== "").some((item) => {
    if (item === "*") return true;
    const [, pattern, itemPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(item.includes("::") ? `[${item}]` : item) ??
      [];
    const domain = (pattern ?? "").toLowerCase().replace(/^\.+/, "");
    if (domain === "" || (itemPort !== undefined && itemPort !== port)) return false;
    return host === domain || host.endsWith(`.${domain}`);
  });
}

/** A proxy's answer to CONNECT is small; one that is not is no proxy. */
const MAX_ANSWER = 16 * 1024;

/**
 * Asks a proxy for a tunnel (RFC 9110 §9.3.6); the flow that comes back is that to the host behind it.
 * @throws {ConnectError} `auth` where the proxy wants (other) credentials, else `proxy`
 */
export async function openTunnel(flow: Flow, { proxy, host, port }: Tunnel): Promise<Flow> {
  const target = hostPort(host, port);
  const where = `the proxy ${hostPort(proxy.host, proxy.port)}`;
  const lines = [`CONNECT ${target} HTTP/1.1`, `Host: ${target}`];
  if (proxy.authorization !== undefined) lines.push(`Proxy-Authorization: ${proxy.authorization}`);
  await flow.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const { head, rest } = await readHead(flow, where);
  const [, status, reason = ""] = /^HTTP\/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n/.exec(head) ?? [];
  if (status === undefined) throw new ConnectError("proxy", `${where} does not speak HTTP`);
  if (status === "407") {
    const how = proxy.authorization === undefined ? "wants credentials" : "does not accept the credentials";
    throw new ConnectError("auth", `${where} ${how}`);
  }
  if (!status.startsWith("2")) {
    throw new ConnectError("proxy", `${where} refused a tunnel to ${target}: ${status} ${printable(reason)}`);
  }
  return afterHead(flow, rest);
}

/** Up to the blank line, and what came after it. */
async function readHead(flow: Flow, where: string): Promise<{ head: string; rest: Uint8Array }> {
  let received: Uint8Array = new Uint8Array(0);
  for (;;) {
    const bytes = await flow.read();
    if (bytes === undefined) throw new ConnectError("proxy", `${where} ended the connection`);
    received = Buffer.concat([received, bytes]);
    const text = new TextDecoder("latin1").decode(received);
    const end = /\r?\n\r?\n/.exec(text);
    const length = end === null ? received.length : end.index + end[0].length;
    if (length > MAX_ANSWER) throw new ConnectError("proxy", `${where} answers without an end`);
    if (end !== null) return { head: text.slice(0, length), rest: received.subarray(length) };
  }
}

/** Reason phrases are the proxy's words: they go into a log, so only as much as a log bears. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

function afterHead(flow: Flow, rest: Uint8Array): Flow {
  let first: Uint8Array | undefined = rest.length > 0 ? rest : undefined;
  return {
    description: flow.description,
    peer: undefined, // whose address that is, the proxy alone knows
    secure: false,
    async read() {
      const bytes = first;
      first = undefined;
      return bytes ?? await flow.read();
    },
    write: (bytes) => flow.write(bytes),
    end: () => flow.end(),
    close: () => flow.close(),
    diagnostics: () => flow.diagnostics(),
  };
}
