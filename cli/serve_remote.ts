/** Remote mode: the branch of a repository behind SSH, fetched into ours and followed. */
import { connect, createRegistry, parseSshUrl, sshResolver } from "../conduit/mod.ts";
import { type Collection, createRemoteFollower, type Primary, type RemoteFollower } from "../primary/mod.ts";
import { fetchFrom, type PackLimits, type Repository, sshOpener } from "../store/mod.ts";
import { CliError, sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import { note, noted } from "./server_notes.ts";
import type { RemoteSettings } from "./settings.ts";

/** What an upstream may send in one pull. */
const LIMITS: PackLimits = {
  packBytes: 1 << 30,
  objectBytes: 256 << 20,
  objects: 5_000_000,
  deltaDepth: 4096,
  deltaWork: 16 * 2 ** 30,
};
const FETCH_TIMEOUT_MS = 120_000;
const CONNECT_TIMEOUT_MS = 10_000;

const log = logOf("remote");

/** @throws {CliError} for a URL or an identity that cannot be used */
export function followRemote(
  remote: RemoteSettings,
  repository: Repository,
  primary: Primary,
  notes: Collection,
): RemoteFollower {
  const location = parseSshUrl(remote.url);
  if (!location.ok) throw new CliError(`repository.remote: ${location.error}`);
  const registry = createRegistry().with(sshResolver({
    identity: readIdentity(remote.identity),
    hostKeys: [remote.hostKey],
    idleMs: 60_000,
  }));
  const open = sshOpener(
    (endpoint) => connect(registry, endpoint, { timeoutMs: CONNECT_TIMEOUT_MS }),
    location.value,
  );
  const ref = `refs/heads/${remote.branch}`;
  const before = noted(notes, "source");
  const same = before?.kind === "remote" && before.upstream === remote.url && before.branch === remote.branch;
  note(notes, "source", { kind: "remote", upstream: remote.url, branch: remote.branch });
  return createRemoteFollower({
    primary,
    upstream: remote.url,
    branch: remote.branch,
    poll: remote.pollMs,
    clock: Date.now,
    timer: (callback, milliseconds) => {
      const id = setTimeout(callback, milliseconds);
      return () => clearTimeout(id);
    },
    log,
    reachedBefore: same ? noted(notes, "remote")?.reachedAt : undefined,
    onPull: ({ commit, reachedAt, trouble }) => note(notes, "remote", { commit, reachedAt, trouble }),
    fetch: async () => {
      const fetched = await fetchFrom({
        open,
        repository,
        refPrefixes: [ref],
        want: (refs) => [refs.get(ref)].filter((oid) => oid !== undefined),
        limits: LIMITS,
        signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      });
      if (!fetched.ok) return fetched;
      const commit = fetched.value.refs.get(ref);
      return commit === undefined
        ? { ok: false, error: { message: `it has no branch ${remote.branch}` } }
        : { ok: true, value: commit };
    },
  });
}

function readIdentity(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new CliError(`repository.identity: ${path} cannot be read: ${sentence(error)}`);
  }
}
