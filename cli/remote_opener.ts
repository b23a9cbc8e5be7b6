/** How the upstream of the configuration is asked: conduit's ways to it, with the files that the configuration names. */
import {
  connect,
  createHttpClient,
  createRegistry,
  type HttpCredentials,
  parseSshUrl,
  publicKeyOf,
  readCertificate,
  readRoots,
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
export async function remoteOpener({ url, access }: RemoteSettings): Promise<RemoteOpener> {
  switch (access.kind) {
    case "ssh":
      return { open: await bySsh(url, access), close: () => {} };
    case "https":
      return byHttps(url, access);
    case "git":
      return { open: byDaemon(url), close: () => {} };
  }
}

async function bySsh(url: string, access: Extract<RemoteAccess, { kind: "ssh" }>): Promise<OpenService> {
  const location = parseSshUrl(url);
  if (!location.ok) throw new CliError(`repository.remote: ${location.error}`);
  const registry = createRegistry().with(sshResolver({
    ...(access.identity.kind === "agent"
      ? { agent: { socket: agentSocket() } }
      : { identity: await readKey(access.identity.path) }),
    hostKeys: access.hostKeys,
    ...knownHostsOf(access.knownHosts),
    idleMs: IDLE_MS,
  }));
  return sshOpener(
    (endpoint) => connect(registry, endpoint, { timeoutMs: CONNECT_TIMEOUT_MS }),
    location.value,
  );
}

/** A key that cannot be used now cannot be used at any pull, so nothing is started with it. */
async function readKey(path: string): Promise<string> {
  const text = read("identity", path);
  const key = await publicKeyOf(text);
  if (!key.ok) throw new CliError(`repository.identity: ${path} cannot be used: ${key.error}`);
  return text;
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
    ...(roots === undefined ? {} : { roots: [readRootsFile(roots)] }),
    ...(proxy === undefined ? {} : { proxy: proxy === "environment" ? proxy : { url: proxy } }),
    ...(clientCertificate === undefined ? {} : {
      clientCertificate: {
        host: hostname.replace(/^\[|\]$/g, ""),
        ...readClientCertificate(clientCertificate),
      },
    }),
    ...(credentials === undefined ? {} : { credentials: [credentials] }),
    idleMs: IDLE_MS,
    connectMs: CONNECT_TIMEOUT_MS,
  });
  return { open: httpOpener(client, url), close: () => client.close() };
}

function readRootsFile(path: string): string {
  const text = read("roots", path);
  const roots = readRoots([text]);
  if (!roots.ok) throw new CliError(`repository.roots: ${path} cannot be used: ${roots.error}`);
  return text;
}

function readClientCertificate(files: { readonly certificate: string; readonly key: string }) {
  const source = {
    certificate: read("client-certificate", files.certificate),
    key: read("client-key", files.key),
  };
  const checked = readCertificate(source);
  if (!checked.ok) {
    throw new CliError(
      `repository.client-certificate: ${files.certificate} with ${files.key} cannot be used: ${checked.error}`,
    );
  }
  return source;
}

function credentialsFor(
  origin: string,
  { tokenFile, passwordFile }: Extract<RemoteAccess, { kind: "https" }>,
): HttpCredentials | undefined {
  if (tokenFile !== undefined) {
    const token = read("token-file", tokenFile).trim();
    if (!/^[\x21-\x7e]+$/.test(token)) {
      throw new CliError(`repository.token-file: ${tokenFile} does not hold one token and nothing else`);
    }
    return { origin, token };
  }
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
