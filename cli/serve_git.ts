/** git over SSH: who may log in, and what a command becomes. */
import {
  type AuthorizedKey,
  type FlowError,
  knownHostsLine,
  listenSsh,
  type OfferedKey,
  parseAuthorizedKeys,
  parsePublicKey,
  type SshSession,
} from "../conduit/mod.ts";
import {
  type AdmitPush,
  parseGitCommand,
  type Repository,
  requestedVersion,
  serveReceivePack,
  serveUploadPack,
} from "../store/mod.ts";
import type { HostPort } from "./address.ts";
import { type DataDir, hostKey, writePrivate } from "./data_dir.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";

/** Who logged in: a line of authorized_keys. */
export interface Pusher {
  /** The key's comment, or its fingerprint where it has none. */
  readonly who: string;
  readonly mayPush: boolean;
  /** Why not, said to the pusher. */
  readonly reason: string;
}

/** What becomes of pushes. */
export interface Pushes {
  readonly admit: (pusher: Pusher) => AdmitPush;
  /** Why nobody may push; `undefined` where it is a matter of the key. */
  readonly readOnly: string | undefined;
}

export interface GitServer {
  readonly address: HostPort;
  stop(): Promise<void>;
}

export const REPOSITORY_NAME = "zones.git";
const log = logOf("git");

/** @throws {CliError} naming an address that cannot be listened on */
export async function serveGit(
  address: HostPort,
  dir: DataDir,
  repository: Repository,
  pushes: Pushes,
): Promise<GitServer> {
  const key = await hostKey(dir);
  const listening = await listenSsh<Pusher>({
    host: address.host,
    port: address.port,
    hostKeys: [key.privateKey],
    authorize: (offered) => Promise.resolve(authorize(dir, offered)),
    exec: (session) => runGit(session, repository, pushes),
    noShell: "Bailiwick speaks git only; there is no shell here.",
  });
  if (!listening.ok) throw new CliError(listening.error.message);
  const { value: listener } = listening;
  const bound = { host: listener.address.address, port: listener.address.port };
  writeKnownHosts(dir, bound, key.publicKey);
  return {
    address: bound,
    stop: () => listener.stop({ graceMs: 2000 }),
  };
}

/** Ready for UserKnownHostsFile. Rewritten on every start: the port may be another one. */
function writeKnownHosts(dir: DataDir, { host, port }: HostPort, publicKey: string): void {
  const key = parsePublicKey(publicKey);
  if (!key.ok) throw new CliError(`${dir.keys}/host_ed25519.pub: ${key.error}`);
  const hosts = host === "0.0.0.0" || host === "::"
    ? ["127.0.0.1", "::1", "localhost"]
    : host === "127.0.0.1" || host === "::1"
    ? [host, "localhost"]
    : [host];
  writePrivate(dir.knownHosts, hosts.map((each) => `${knownHostsLine(each, port, key.value)}\n`).join(""));
}

/** The file is read on every login, so a line that was added or taken away counts at once. */
function authorize(dir: DataDir, offered: OfferedKey): Pusher | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(dir.authorizedKeys);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) log.error(`${dir.authorizedKeys}: ${sentence(error)}`);
    return undefined;
  }
  const { entries, faults } = parseAuthorizedKeys(text);
  for (const { line, message } of faults) {
    log.warn(`${dir.authorizedKeys}:${line}: ${message}; the line grants nothing`);
  }
  const entry = entries.find((each) => sameBytes(each.blob, offered.blob));
  return entry === undefined ? undefined : pusherOf(dir, entry, offered);
}

function pusherOf(dir: DataDir, entry: AuthorizedKey, offered: OfferedKey): Pusher | undefined {
  const { options, line } = entry;
  if (options.unknown.length > 0) {
    log.warn(`${dir.authorizedKeys}:${line}: unknown option ${options.unknown[0]}; the line grants nothing`);
    return undefined;
  }
  const who = entry.comment === "" ? offered.fingerprint : entry.comment;
  if (options.readOnly) return { who, mayPush: false, reason: "your key is read-only" };
  if (options.zones !== undefined) {
    return {
      who,
      mayPush: false,
      reason: "push rights by zone (zones=…) are not in this version; your key may fetch",
    };
  }
  return { who, mayPush: true, reason: "" };
}

async function runGit(
  session: SshSession<Pusher>,
  repository: Repository,
  pushes: Pushes,
): Promise<void> {
  const refuse = async (reason: string) => {
    await session.stderr(`bailiwick: ${reason}\n`).catch(() =>
      log.debug("the client left before it was told why")
    );
    await session.exit(128);
  };
  const command = parseGitCommand(session.command);
  if (!command.ok) return await refuse(command.error.message);
  const { service, path } = command.value;
  if (path !== REPOSITORY_NAME) {
    return await refuse(`there is no repository "${path}" here; it is ${REPOSITORY_NAME}`);
  }
  const pusher = session.identity;
  if (service === "git-receive-pack") {
    const reason = pushes.readOnly ?? (pusher.mayPush ? undefined : pusher.reason);
    if (reason !== undefined) return await refuse(reason);
  }

  const version = requestedVersion(session.env.get("GIT_PROTOCOL"));
  const outcome = service === "git-upload-pack"
    ? await serveUploadPack({ repository, flow: session.flow, version })
    : await serveReceivePack({ repository, flow: session.flow, version, admit: pushes.admit(pusher) });
  if (!outcome.ok) {
    log.warn(`${service} of ${pusher.who} from ${session.peer.address}: ${outcome.error.message}`);
  }
  await session.exit(outcome.ok ? 0 : 128).catch((error: FlowError) =>
    log.debug(`exit status not sent: ${error.message}`)
  );
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
