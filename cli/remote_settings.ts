/** `[repository] remote` and what goes with it: how the upstream is reached, and who we are to it. Pure; reads no file. */
import type { Config } from "./config.ts";
import { CliError } from "./errors.ts";

export interface RemoteSettings {
  readonly url: string;
  readonly branch: string;
  readonly pollMs: number;
  /** How many commits of history a first fetch brings. */
  readonly depth: number | "full";
  readonly access: RemoteAccess;
}

/** By the scheme of the URL. */
export type RemoteAccess =
  | {
    readonly kind: "ssh";
    /** A private key's file, or whatever the SSH agent holds. */
    readonly identity: { readonly kind: "file"; readonly path: string } | { readonly kind: "agent" };
    /** `SHA256:…`, each. */
    readonly hostKeys: readonly string[];
    /** A file in OpenSSH's form. */
    readonly knownHosts: string | undefined;
  }
  | {
    readonly kind: "https";
    /** PEM files. */
    readonly roots: string | undefined;
    readonly clientCertificate: { readonly certificate: string; readonly key: string } | undefined;
    /** `environment`, or a URL. */
    readonly proxy: string | undefined;
    /** Files: a token alone, or `NAME:PASSWORD`. */
    readonly tokenFile: string | undefined;
    readonly passwordFile: string | undefined;
  }
  | { readonly kind: "git" };

type Repository = NonNullable<Config["repository"]>;
type Key = keyof Repository;

/** Keys that mean something without a remote. */
const ALWAYS: readonly Key[] = ["grace", "require-signed", "allowed-signers"];
/** Keys that every remote knows. */
const ANY_REMOTE: readonly Key[] = ["remote", "branch", "poll", "depth"];
const BY_SCHEME: Readonly<Record<RemoteAccess["kind"], readonly Key[]>> = {
  ssh: ["identity", "host-key", "known-hosts"],
  https: ["roots", "proxy", "client-certificate", "client-key", "token-file", "password-file"],
  git: ["insecure"],
};

/** @throws {CliError} one line naming the key */
export function remoteSettings(
  config: Repository,
  path: (text: string) => string,
): RemoteSettings | undefined {
  const keys = (Object.keys(config) as Key[]).filter((key) =>
    config[key] !== undefined && !ALWAYS.includes(key)
  );
  if (config.remote === undefined) {
    if (keys.length > 0) throw new CliError(`repository.${keys[0]} is set without repository.remote`);
    return undefined;
  }
  const access = accessOf(config.remote, config, path);
  const known = [...ANY_REMOTE, ...BY_SCHEME[access.kind]];
  const stray = keys.find((key) => !known.includes(key));
  if (stray !== undefined) throw new CliError(`repository.${stray} is not for ${access.kind}:// remotes`);
  return {
    url: config.remote,
    branch: config.branch ?? "main",
    pollMs: config.poll ?? 30_000,
    depth: config.depth ?? 1,
    access,
  };
}

function accessOf(remote: string, config: Repository, path: (text: string) => string): RemoteAccess {
  const optional = (text: string | undefined) => text === undefined ? undefined : path(text);
  switch (/^([a-z]+):\/\//.exec(remote)?.[1]) {
    case "ssh":
      return sshAccess(config, path);
    case "https": {
      if (!URL.canParse(remote)) throw new CliError(`repository.remote: "${remote}" is not a URL`);
      const { username, password } = new URL(remote);
      if (username !== "" || password !== "") {
        throw new CliError(
          "repository.remote: no name or password in the URL; token-file or password-file holds them",
        );
      }
      const certificate = config["client-certificate"];
      const key = config["client-key"];
      if ((certificate === undefined) !== (key === undefined)) {
        throw new CliError("repository.client-certificate and repository.client-key go together");
      }
      const [tokenFile, passwordFile] = [optional(config["token-file"]), optional(config["password-file"])];
      if (tokenFile !== undefined && passwordFile !== undefined) {
        throw new CliError("repository.token-file and repository.password-file exclude each other");
      }
      const { proxy } = config;
      if (proxy !== undefined && proxy !== "environment" && !isProxyUrl(proxy)) {
        throw new CliError(
          'repository.proxy: neither "environment" nor an http:// or https:// URL of a proxy',
        );
      }
      return {
        kind: "https",
        roots: optional(config.roots),
        clientCertificate: certificate === undefined || key === undefined
          ? undefined
          : { certificate: path(certificate), key: path(key) },
        proxy,
        tokenFile,
        passwordFile,
      };
    }
    case "git":
      if (config.insecure === true) return { kind: "git" };
      throw new CliError(
        "repository.remote: by git:// nobody proves who he is, and everybody between can change zones; " +
          "repository.insecure = true accepts that",
      );
    default:
      throw new CliError(`repository.remote: "${remote}" is not an ssh://, https:// or git:// URL`);
  }
}

function isProxyUrl(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

function sshAccess(config: Repository, path: (text: string) => string): RemoteAccess {
  const { identity } = config;
  if (identity === undefined) {
    throw new CliError('repository.identity is missing: the private key to log in with, or "agent"');
  }
  const hostKeys = [config["host-key"] ?? []].flat();
  const knownHosts = config["known-hosts"];
  const bad = hostKeys.find((pin) => !/^SHA256:[A-Za-z0-9+/]{43}$/.test(pin));
  if (bad !== undefined) throw new CliError(`repository.host-key: "${bad}" is not of the form "SHA256:…"`);
  if (hostKeys.length === 0 && knownHosts === undefined) {
    throw new CliError(
      'repository.host-key ("SHA256:…") or repository.known-hosts (a file) is missing: no pin, no connection',
    );
  }
  return {
    kind: "ssh",
    identity: identity === "agent" ? { kind: "agent" } : { kind: "file", path: path(identity) },
    hostKeys,
    knownHosts: knownHosts === undefined ? undefined : path(knownHosts),
  };
}
