/** The command that a git client sends on an SSH exec channel, read strictly: two services and one quoted path. */
import type { Result } from "../../conduit/mod.ts";

export type GitService = "git-upload-pack" | "git-receive-pack";

export interface GitCommand {
  readonly service: GitService;
  /** Below the served root: no leading slash, no `.` or `..` part, no empty part. */
  readonly path: string;
}

/** Why a command is refused; `message` may be shown to the peer. */
export interface GitCommandError {
  readonly code: "not-git" | "unknown-service" | "bad-quoting" | "bad-path";
  readonly message: string;
}

/**
 * Takes `git-upload-pack '/zones.git'` apart, and the spelling `git upload-pack …`. The path must be quoted as
 * git's `sq_quote` does it: one or more runs in single quotes, between them only `\'` and `\!`.
 */
export function parseGitCommand(command: string): Result<GitCommand, GitCommandError> {
  const match = /^git[- ]([a-z-]+) (.*)$/s.exec(command);
  if (match === null || command.length > MAX_COMMAND) {
    return refuse("not-git", "only git's upload-pack and receive-pack are served here, no shell");
  }
  const service = `git-${match[1]}`;
  if (service !== "git-upload-pack" && service !== "git-receive-pack") {
    return refuse(
      "unknown-service",
      `${service} is not served here: git-upload-pack and git-receive-pack are`,
    );
  }
  const quoted = dequote(match[2]);
  if (quoted === undefined) return refuse("bad-quoting", "the path must be one argument in single quotes");
  const path = repositoryPath(quoted);
  if (path === undefined) {
    return refuse("bad-path", `${JSON.stringify(quoted)} is not the path of a repository`);
  }
  return { ok: true, value: { service, path } };
}

/** A path that a peer asked for, without its leading slash; `undefined` where it could lead anywhere else than below. */
export function repositoryPath(asked: string): string | undefined {
  const path = asked.startsWith("/") ? asked.slice(1) : asked;
  return isPlainPath(path) ? path : undefined;
}

/** An argument quoted as git's `sq_quote` does it; the exclamation mark is for shells that read history into it. */
export function shellQuote(argument: string): string {
  return `'${argument.replace(/['!]/g, (special) => `'\\${special}'`)}'`;
}

const MAX_COMMAND = 4096;

function dequote(text: string): string | undefined {
  let out = "";
  let at = 0;
  if (text[at] !== "'") return undefined;
  for (;;) {
    const close = text.indexOf("'", at + 1);
    if (close < 0) return undefined;
    out += text.slice(at + 1, close);
    at = close + 1;
    if (at === text.length) return out;
    // Out of quotes: git writes exactly one escaped character here and opens the quotes again.
    if (text[at] !== "\\" || (text[at + 1] !== "'" && text[at + 1] !== "!") || text[at + 2] !== "'") {
      return undefined;
    }
    out += text[at + 1];
    at += 2;
  }
}

function isPlainPath(path: string): boolean {
  // deno-lint-ignore no-control-regex -- control characters are what it is about
  if (path === "" || path.startsWith("-") || path.startsWith("~") || /[\x00-\x1f\x7f\\]/.test(path)) {
    return false;
  }
  return path.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

function refuse(code: GitCommandError["code"], message: string): Result<GitCommand, GitCommandError> {
  return { ok: false, error: { code, message } };
}
