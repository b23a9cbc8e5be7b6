/** What `serve` was asked to do: flags over the configuration file over defaults. Pure; reads no file. */
import { type HostPort, parseHostPort, parseHostPortOrOff } from "./address.ts";
import type { Config } from "./config.ts";
import { CliError } from "./errors.ts";
import type { LogLevel } from "./log.ts";

export interface ServeFlags {
  readonly config?: string;
  readonly data?: string;
  readonly zones?: string;
  readonly dns?: readonly string[];
  readonly ssh?: string;
  readonly web?: string;
  readonly workers?: string;
  readonly acme?: string;
}

export interface ServeSettings {
  readonly data: string;
  readonly zones: string;
  /** The zones as one file, where they are; then nothing of the repository is served. */
  readonly bundle: string | undefined;
  /** True when the user named the zones folder: then it is worth a word that a later start ignores it. */
  readonly zonesNamed: boolean;
  readonly dns: readonly HostPort[];
  readonly ssh: HostPort | "off";
  readonly web: HostPort | "off";
  readonly workers: number;
  readonly logLevel: LogLevel;
  readonly acme: AcmeSettings;
  readonly remote: RemoteSettings | undefined;
  readonly keys: ReadonlyMap<string, { readonly algorithm: string; readonly secret: string }>;
}

export type AcmeSettings =
  | { readonly kind: "off" }
  | { readonly kind: "local"; readonly provisioners: readonly string[] }
  | {
    readonly kind: "directory";
    readonly url: string;
    readonly contact: readonly string[];
    readonly roots: string | undefined;
    readonly provisioners: readonly string[];
  };

export interface RemoteSettings {
  readonly url: string;
  readonly branch: string;
  readonly identity: string;
  readonly hostKey: string;
  readonly pollMs: number;
}

const LETS_ENCRYPT = new Map([
  ["staging", "https://acme-staging-v02.api.letsencrypt.org/directory"],
  ["production", "https://acme-v02.api.letsencrypt.org/directory"],
]);

const LETS_ENCRYPT_TERMS = "https://letsencrypt.org/repository/";

/**
 * @param path makes a path of the user absolute
 * @throws {CliError} one line naming the flag or key
 */
export function serveSettings(
  flags: ServeFlags,
  config: Config,
  context: { cores: number; path(text: string): string },
): ServeSettings {
  const zones = flags.zones ?? config.zones ?? "zones";
  const bundle = zones.endsWith(".pack") ? context.path(zones) : undefined;
  const remote = remoteSettings(config.repository ?? {}, context.path);
  if (bundle !== undefined && remote !== undefined) {
    throw new CliError(`--zones: a bundle (${zones}) cannot be served while repository.remote is followed`);
  }
  const dns = flags.dns ?? (config.dns === undefined ? ["127.0.0.1:5300"] : [config.dns].flat());
  return {
    data: context.path(flags.data ?? config.data ?? ".bailiwick"),
    zones: context.path(zones),
    bundle,
    zonesNamed: flags.zones !== undefined || config.zones !== undefined,
    dns: dns.map((text) => parseHostPort(text, flags.dns === undefined ? "dns" : "--dns")),
    ssh: parseHostPortOrOff(
      flags.ssh ?? config.ssh ?? "127.0.0.1:2222",
      flags.ssh === undefined ? "ssh" : "--ssh",
    ),
    web: parseHostPortOrOff(
      flags.web ?? config.web ?? "127.0.0.1:8053",
      flags.web === undefined ? "web" : "--web",
    ),
    workers: flags.workers === undefined ? config.workers ?? context.cores : parseWorkers(flags.workers),
    logLevel: config.log?.level ?? "info",
    acme: acmeSettings(flags.acme ?? config.acme?.authority ?? "local", config.acme ?? {}, context.path),
    remote,
    keys: new Map(Object.entries(config.keys ?? {})),
  };
}

function parseWorkers(text: string): number {
  const count = Number(text);
  if (!/^\d{1,3}$/.test(text) || count < 1 || count > 256) {
    throw new CliError(`--workers: "${text}" is not a number from 1 to 256`);
  }
  return count;
}

function acmeSettings(
  authority: string,
  config: NonNullable<Config["acme"]>,
  path: (text: string) => string,
): AcmeSettings {
  const provisioners = config.provisioners ?? [];
  if (authority === "off") return { kind: "off" };
  if (authority === "local") return { kind: "local", provisioners };
  const url = LETS_ENCRYPT.get(authority) ?? authority;
  if (!URL.canParse(url) || new URL(url).protocol !== "https:") {
    throw new CliError(
      `--acme: "${authority}" is not local, staging, production, off or an https:// directory`,
    );
  }
  if (config["agree-terms"] !== true) {
    const terms = LETS_ENCRYPT.has(authority)
      ? LETS_ENCRYPT_TERMS
      : `the authority's terms (termsOfService in ${url})`;
    throw new CliError(`a public authority needs [acme] agree-terms = true; read ${terms} first`);
  }
  const roots = config.roots === undefined ? undefined : path(config.roots);
  return { kind: "directory", url, contact: config.contact ?? [], roots, provisioners };
}

function remoteSettings(
  config: NonNullable<Config["repository"]>,
  path: (text: string) => string,
): RemoteSettings | undefined {
  if (config.remote === undefined) {
    const stray = Object.keys(config)[0];
    if (stray !== undefined) throw new CliError(`repository.${stray} is set without repository.remote`);
    return undefined;
  }
  if (!config.remote.startsWith("ssh://")) {
    throw new CliError(
      `repository.remote: "${config.remote}" is not an ssh:// URL (this version follows SSH remotes)`,
    );
  }
  if (config.identity === undefined) {
    throw new CliError("repository.identity is missing: the private key to log in with");
  }
  const hostKey = config["host-key"];
  if (hostKey === undefined || !/^SHA256:[A-Za-z0-9+/]{43}$/.test(hostKey)) {
    throw new CliError('repository.host-key is missing or not of the form "SHA256:…": no pin, no connection');
  }
  return {
    url: config.remote,
    branch: config.branch ?? "main",
    identity: path(config.identity),
    hostKey,
    pollMs: config.poll ?? 30_000,
  };
}
