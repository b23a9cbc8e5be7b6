/** git:// (`[git] daemon`): fetches for everybody, in the clear. */
import { listenTcp } from "../conduit/mod.ts";
import { mayServeOpenly, type Repository, serveGitDaemon } from "../store/mod.ts";
import { formatHostPort, type HostPort } from "./address.ts";
import { CliError } from "./errors.ts";
import { logOf } from "./log.ts";
import { REPOSITORY_NAME } from "./serve_git.ts";

const log = logOf("git");

/** How long a client may keep us waiting. */
const IDLE_MS = 60_000;
const MOST_CONNECTIONS = 64;
const MOST_PER_ADDRESS = 16;

export interface OpenGitServer {
  /** As a client is told it. */
  readonly url: string;
  stop(): Promise<void>;
}

/** @throws {CliError} naming an address that cannot be listened on, or the file that is not for everybody */
export async function serveDaemon(address: HostPort, repository: Repository): Promise<OpenGitServer> {
  await refuseSecrets("git.daemon", repository);
  const listening = listenTcp(
    { ...address, idleMs: IDLE_MS, maxConnections: MOST_CONNECTIONS, maxPerAddress: MOST_PER_ADDRESS },
    async (flow) => {
      const outcome = await serveGitDaemon({
        flow,
        find: (path) => path === REPOSITORY_NAME ? repository : undefined,
      });
      if (!outcome.ok) log.info(`git:// ${flow.peer?.address ?? "somebody"}: ${outcome.error.message}`);
    },
  );
  if (!listening.ok) throw new CliError(listening.error.message);
  const { address: bound } = listening.value;
  const url = `git://${formatHostPort({ host: bound.address, port: bound.port })}/${REPOSITORY_NAME}`;
  log.info(`fetches for everybody by ${url}`);
  return { url, stop: () => listening.value.stop({ graceMs: 2000 }) };
}

/** What everybody may read must hold no TSIG keys. @throws {CliError} naming the file */
export async function refuseSecrets(key: string, repository: Repository): Promise<void> {
  const open = await mayServeOpenly(repository);
  if (!open.ok) throw new CliError(`${key}: ${open.error.message}`);
}
