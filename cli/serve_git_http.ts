/** git over HTTP (`[git] http`): with a password file for those who are in it, pushes too; without, fetches for everybody. */
import { createHash, timingSafeEqual } from "node:crypto";
import { type AuthorizeHttp, basicCredentials, createGitHttpHandler, type Repository } from "../store/mod.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import { type Pusher, type Pushes, REPOSITORY_NAME } from "./serve_git.ts";
import { type OpenGitServer, refuseSecrets } from "./serve_git_daemon.ts";
import { openHttp, stopHttp } from "./serve_web.ts";

const log = logOf("git");

/** @throws {CliError} naming an address that cannot be listened on, or the file that is wrong or not for everybody */
export async function serveGitHttp(
  address: HostPort,
  passwordFile: string | undefined,
  repository: Repository,
  pushes: Pushes,
): Promise<OpenGitServer> {
  if (passwordFile === undefined) await refuseSecrets("git.http", repository);
  else readPasswords(passwordFile);
  const handler = createGitHttpHandler<Pusher>({
    repository,
    path: `/${REPOSITORY_NAME}`,
    authorize: passwordFile === undefined ? () => ({ kind: "anonymous" }) : byPassword(passwordFile),
    ...(pushes.readOnly === undefined ? { admit: pushes.admit } : {}),
    report: ({ service, who, failure }) => {
      if (failure !== undefined) {
        log.warn(`${service} of ${who?.who ?? "somebody"} by HTTP: ${failure.message}`);
      }
    },
  });
  const listener = openHttp(address, "git", handler);
  const { address: host, port } = listener.address;
  const url = `http://${formatHostPort({ host, port })}/${REPOSITORY_NAME}`;
  const whom = passwordFile === undefined ? "fetches for everybody" : "fetches and pushes with a password";
  log.info(`${whom} by ${url}`);
  return { url, stop: () => stopHttp(listener) };
}

/** The file is read at every request, so a line that was added or taken away counts at once. */
function byPassword(file: string): AuthorizeHttp<Pusher> {
  return (request) => {
    const given = basicCredentials(request);
    if (given === undefined) return { kind: "unauthorized", realm: "zones" };
    let passwords: ReadonlyMap<string, string>;
    try {
      passwords = readPasswords(file);
    } catch (error) {
      log.error(`nobody is let in: ${sentence(error)}`);
      return { kind: "unauthorized", realm: "zones" };
    }
    const wanted = passwords.get(given.user);
    // Compared in any case, so that the time tells nothing of which names there are.
    const same = equalSecrets(given.password, wanted ?? "");
    return wanted !== undefined && same
      ? { kind: "known", who: { who: given.user, mayPush: true, reason: "" } }
      : { kind: "unauthorized", realm: "zones" };
  };
}

/** `NAME:PASSWORD` a line; empty lines and those that begin with `#` say nothing. @throws {CliError} naming the line */
function readPasswords(file: string): ReadonlyMap<string, string> {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    throw new CliError(`git.password-file: ${file} cannot be read: ${sentence(error)}`);
  }
  const passwords = new Map<string, string>();
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name, password] = /^([^:]+):(.{8,})$/.exec(line.replace(/\r$/, "")) ?? [];
    if (name === undefined || password === undefined) {
      throw new CliError(`git.password-file: ${file}:${at + 1}: not NAME:PASSWORD with 8 characters or more`);
    }
    if (passwords.has(name)) {
      throw new CliError(`git.password-file: ${file}:${at + 1}: ${name} is there twice`);
    }
    passwords.set(name, password);
  }
  return passwords;
}

function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
