import type { Result } from "../flow.ts";

/** Where a repository lies that is reached by SSH. */
export interface SshLocation {
  /** `undefined` where the address names none. */
  readonly user: string | undefined;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** As the far side's shell gets it: `/zones.git`, `~/zones.git`, or relative `zones.git`. */
  readonly path: string;
}

/**
 * Reads `ssh://[user@]host[:port]/path` (also `git+ssh:` and `ssh+git:`) or the scp form `[user@]host:path`.
 * The error is a sentence. Nothing in it may begin with `-`: a program that got it as an argument would take
 * it for an option.
 */
export function parseSshUrl(text: string): Result<SshLocation, string> {
  // deno-lint-ignore no-control-regex -- these are what must not get through
  if (/[\x00-\x1f\x7f]/.test(text)) return { ok: false, error: "an SSH address has no control characters" };
  const url = /^(?:ssh|git\+ssh|ssh\+git):\/\/(.*)$/i.exec(text);
  const parts = url === null ? scpParts(text) : urlParts(url[1]);
  if (typeof parts === "string") return { ok: false, error: parts };
  return check(parts);
}

/** One word of a POSIX shell, whatever is in it: `git-upload-pack '/zones.git'`. */
export function shellQuote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

interface Parts {
  readonly user: string | undefined;
  readonly host: string;
  readonly port: string | undefined;
  readonly path: string;
}

function urlParts(rest: string): Parts | string {
  const match = /^(?:([^@/]*)@)?(\[[^\]/]*\]|[^:/@]*)(?::([^/]*))?(\/.*)?$/.exec(rest);
  if (match === null) return "not an SSH address: ssh://user@host:port/path is wanted";
  const [, user, host, port, path] = match;
  if (user?.includes(":")) return "an SSH address carries no password";
  const decodedUser = user === undefined ? undefined : decode(user);
  const decodedPath = decode(path ?? "");
  if (decodedPath === undefined || (user !== undefined && decodedUser === undefined)) {
    return "a percent sign is not followed by two hexadecimal digits of UTF-8";
  }
  // As git does: `/~user/path` is relative to a home folder.
  const place = decodedPath.startsWith("/~") ? decodedPath.slice(1) : decodedPath;
  return { user: decodedUser, host: host.replace(/^\[|\]$/g, ""), port, path: place };
}

function scpParts(text: string): Parts | string {
  if (/^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(text)) return "not an SSH address: it has another scheme";
  const match = /^(?:([^@/:]*)@)?(\[[^\]/]*\]|[^:/@[\]]*):(.*)$/.exec(text);
  if (match === null) return "not an SSH address: user@host:path is wanted";
  const [, user, host, path] = match;
  return { user, host: host.replace(/^\[|\]$/g, ""), port: undefined, path };
}

function check(parts: Parts): Result<SshLocation, string> {
  const { user, host, path } = parts;
  if (user === "") return { ok: false, error: "the user is empty" };
  if (host === "") return { ok: false, error: "the host is empty" };
  if (path === "" || path === "/") return { ok: false, error: "the path is empty" };
  for (const [what, value] of [["user", user ?? ""], ["host", host], ["path", path]]) {
    if (value.startsWith("-")) return { ok: false, error: `the ${what} begins with a hyphen` };
    // deno-lint-ignore no-control-regex -- also those that were percent-encoded
    if (/[\x00-\x1f\x7f]/.test(value)) return { ok: false, error: `the ${what} has control characters` };
  }
  if (!/^[A-Za-z0-9._:%-]+$/.test(host)) return { ok: false, error: `${host} is not a host name` };
  if (parts.port !== undefined && !/^[0-9]{1,5}$/.test(parts.port)) {
    return { ok: false, error: `${parts.port} is not a port` };
  }
  const port = parts.port === undefined ? 22 : Number(parts.port);
  if (port < 1 || port > 65535) return { ok: false, error: `${port} is not a port` };
  return { ok: true, value: { user, host, port, path } };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}
