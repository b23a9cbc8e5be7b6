/** How the upstream of the configuration is asked: conduit's ways to it, with the files that the configuration names. */
import {
  connect,
  createHttpClient,
  createRegistry,
  type HttpCredentials,
  parseSshUrl,
  sshResolver,
  tcpResolver,
} from "../conduit/mod.ts";
import { daemonOpener, httpOpener, type OpenService, sshOpener } from "../store/mod.ts";
import { CliError, sentence } from "./errors.ts";
import type { RemoteAccess, RemoteSettings } from "./remote_settings.ts";

const CONNECT_TIMEOUT_MS = 10_000;
const IDLE_MS = 60_000;
const DAEMON_PORT = 9418;

export interface RemoteOpener {
  readonly open: OpenService;
  close(): void;
}

/** @throws {CliError} for a URL or a file that cannot be used */
export function remoteOpener({ url, access }: RemoteSettings): RemoteOpener {
  switch (access.kind) {
    case "ssh":
      return { open: bySsh(url, access), close: () => {} };
    case "https":
      return byHttps(url, access);
    case "git":
      return { open: byDaemon(url), close: () => {} };
  }
}

function bySsh(url: string, access: Extract<RemoteAccess, { kind: "ssh" }>): OpenService {
  const location = parseSshUrl(url);
  if (!location.ok) throw new CliError(`repository.remote: ${location.error}`);
  const registry = createRegistry().with(sshResolver({
    ...(access.identity.kind === "agent"
      ? { agent: { socket: agentSocket() } }
      : { identity: read("identity", access.identity.path) }),
    hostKeys: access.hostKeys,
    ...knownHostsOf(access.knownHosts),
    idleMs: IDLE_MS,
  }));
  return sshOpener(
    (endpoint) => connect(registry, endpoint, { timeoutMs: CONNECT_TIMEOUT_MS }),
    location.value,
  );
}

/** Read anew for each connection, so that a changed file counts at once. */
function knownHostsOf(path: string | undefined): { knownHosts?: () => Promise<string> } {
  if (path === undefined) return {};
  read("known-hosts", path);
  return { knownHosts: () => Deno.readTextFile(path) };
}

function agentSocket(): string {
  const socket = Deno.env.get("SSH_AUTH_SOCK");
  if (socket === undefined || socket === "") {
    throw new CliError("repository.identity: there is no SSH agent (SSH_AUTH_SOCK is not set)");
  }
  return socket;
}

function byHttps(url: string, access: Extract<RemoteAccess, { kind: "https" }>): RemoteOpener {
  const { roots, proxy, clientCertificate } = access;
  const { origin, hostname } = new URL(url);
  const credentials = credentialsFor(origin, access);
  const client = createHttpClient({
    ...(roots === undefined ? {} : { roots: [read("roots", roots)] }),
    ...(proxy === undefined ? {} : { proxy: proxy === "environment" ? proxy : { url: proxy } }),
    ...(clientCertificate === undefined ? {} : {
      clientCertificate: {
        host: hostname.replace(/^\[|\]$/g, ""),
        certificate: read("client-certificate", clientCertificate.certificate),
        key: read("client-key", clientCertificate.key),
      },
    }),
    ...(credentials === undefined ? {} : { credentials: [credentials] }),
    idleMs: IDLE_MS,
    connectMs: CONNECT_TIMEOUT_MS,
  });
  return { open: httpOpener(client, url), close: () => client.close() };
}

function credentialsFor(
  origin: string,
  { tokenFile, passwordFile }: Extract<RemoteAccess, { kind: "https" }>,
): HttpCredentials | undefined {
  if (tokenFile !== undefined) return { origin, token: read("token-file", tokenFile).trim() };
  if (passwordFile === undefined) return undefined;
  const [, username, password] = /^([^:\n]+):(.+)$/.exec(read("password-file", passwordFile).trim()) ?? [];
  if (username === undefined || password === undefined) {
    throw new CliError(`repository.password-file: ${passwordFile} is not of the form NAME:PASSWORD`);
  }
  return { origin, username, password };
}

function byDaemon(url: string): OpenService {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || parsed.hostname === "" || parsed.pathname.length < 2) {
    throw new CliError(`repository.remote: "${url}" is not git://HOST[:PORT]/PATH`);
  }
  const host = parsed.hostname.replace(/^\[|\]$/g, "");
  const port = parsed.port === "" ? DAEMON_PORT : Number(parsed.port);
  const registry = createRegistry().with(tcpResolver());
  return daemonOpener(
    () => connect(registry, { scheme: "tcp", host, port }, { timeoutMs: CONNECT_TIMEOUT_MS }),
    { host: parsed.host, path: decodeURIComponent(parsed.pathname) },
  );
}

function read(key: string, path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new CliError(`repository.${key}: ${path} cannot be read: ${sentence(error)}`);
  }
}
