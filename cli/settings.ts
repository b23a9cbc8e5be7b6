/** What `serve` was asked to do: flags over the configuration file over defaults. Pure; reads no file. */
import { type HostPort, parseHostPort, parseHostPortOrOff } from "./address.ts";
import type { Config } from "./config.ts";
import { type DnsService, dnsService } from "./dns_settings.ts";
import { CliError } from "./errors.ts";
import type { LogLevel } from "./log.ts";
import { type RemoteSettings, remoteSettings } from "./remote_settings.ts";

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
  /** How DNS is answered there. */
  readonly service: DnsService;
  readonly ssh: HostPort | "off";
  readonly web: HostPort | "off";
  readonly workers: number;
  readonly logLevel: LogLevel;
  readonly acme: AcmeSettings;
  readonly remote: RemoteSettings | undefined;
  readonly repository: RepositorySettings;
  readonly git: GitSettings;
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

/** What concerns the repository, wherever its zones come from. */
export interface RepositorySettings {
  /** How long objects that nothing refers to stay, in milliseconds. */
  readonly graceMs: number;
  /** Whether commits of `main` must be signed. */
  readonly requireSigned: boolean;
  /** Who may sign; default: a file in the data folder. */
  readonly allowedSigners: string | undefined;
}

/** Serving the repository otherwise than by SSH. */
export interface GitSettings {
  readonly daemon: HostPort | "off";
  readonly http: HostPort | "off";
  /** `NAME:PASSWORD` a line; without it HTTP serves fetches to everybody. */
  readonly passwordFile: string | undefined;
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
  const dns = flags.dns ?? [config.dns?.listen ?? "127.0.0.1:5300"].flat();
  return {
    data: context.path(flags.data ?? config.data ?? ".bailiwick"),
    zones: context.path(zones),
    bundle,
    zonesNamed: flags.zones !== undefined || config.zones !== undefined,
    dns: dns.map((text) => parseHostPort(text, flags.dns === undefined ? "dns" : "--dns")),
    service: dnsService(config.dns ?? {}),
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
    repository: repositorySettings(config.repository ?? {}, context.path),
    git: gitSettings(config.git ?? {}, context.path),
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

function repositorySettings(
  config: NonNullable<Config["repository"]>,
  path: (text: string) => string,
): RepositorySettings {
  const graceMs = config.grace ?? DEFAULT_GRACE_MS;
  if (graceMs < LEAST_GRACE_MS) {
    throw new CliError(
      "repository.grace: at least 1h, which is what protects a change that is being written",
    );
  }
  const signers = config["allowed-signers"];
  if (signers !== undefined && config["require-signed"] !== true) {
    throw new CliError("repository.allowed-signers is set without repository.require-signed = true");
  }
  return {
    graceMs,
    requireSigned: config["require-signed"] ?? false,
    allowedSigners: signers === undefined ? undefined : path(signers),
  };
}

const DEFAULT_GRACE_MS = 14 * 86_400_000;
const LEAST_GRACE_MS = 3_600_000;

function gitSettings(config: NonNullable<Config["git"]>, path: (text: string) => string): GitSettings {
  const passwordFile = config["password-file"];
  const http = parseHostPortOrOff(config.http ?? "off", "git.http");
  if (passwordFile !== undefined && http === "off") {
    throw new CliError("git.password-file is set without git.http");
  }
  return {
    daemon: parseHostPortOrOff(config.daemon ?? "off", "git.daemon"),
    http,
    passwordFile: passwordFile === undefined ? undefined : path(passwordFile),
  };
}
