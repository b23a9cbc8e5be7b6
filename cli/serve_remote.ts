/** Remote mode: the branch of a repository elsewhere, fetched into ours and followed. */
import type { Result } from "../conduit/mod.ts";
import {
  type Collection,
  createRemoteFollower,
  type Deepen,
  type Primary,
  type RemoteFollower,
} from "../primary/mod.ts";
import {
  type DepthOptions,
  fetchFrom,
  type FetchOutcome,
  type Oid,
  type PackLimits,
  type Repository,
  type StoreError,
} from "../store/mod.ts";
import { logOf } from "./log.ts";
import { remoteOpener } from "./remote_opener.ts";
import type { RemoteSettings } from "./remote_settings.ts";
import type { Collections } from "./serve_collection.ts";
import { note, noted } from "./server_notes.ts";

/** What an upstream may send in one pull. */
const LIMITS: PackLimits = {
  packBytes: 1 << 30,
  objectBytes: 256 << 20,
  objects: 5_000_000,
  deltaDepth: 4096,
  deltaWork: 16 * 2 ** 30,
};
const FETCH_TIMEOUT_MS = 120_000;
/** Commits that the first deepening asks for; each after it asks for twice as many. */
const FIRST_DEEPENING = 16;
/** How long a damage that fetching everything did not mend is left alone. */
const HEAL_AGAIN_MS = 3_600_000;

const log = logOf("remote");

/** The upstream of the configuration, as a place to fetch from. One fetch at a time. */
export interface Upstream {
  /** Brings what the branch has, and gives its commit. Where the repository is damaged, everything again. */
  fetch(): Promise<Result<Oid, { readonly message: string }>>;
  /** Fetches everything again, and lets what is damaged go. */
  heal(): Promise<Result<void, { readonly message: string }>>;
  deepen: Deepen;
  close(): void;
}

/** @throws {CliError} for a URL or a file that cannot be used */
export async function openUpstream(
  remote: RemoteSettings,
  repository: Repository,
  collections: Collections,
): Promise<Upstream> {
  const opener = await remoteOpener(remote);
  const ref = `refs/heads/${remote.branch}`;
  let turn: Promise<unknown> = Promise.resolve();
  let deepening = FIRST_DEEPENING;
  let healedAt = -Infinity;

  return {
    fetch: () =>
      inTurn(async () => {
        if (repository.damage().length > 0 && Date.now() - healedAt > HEAL_AGAIN_MS) {
          const healed = await healNow();
          if (!healed.ok) log.error(`everything could not be fetched again: ${healed.error.message}`);
        }
        const first = (await repository.refs.list()).size === 0;
        const fetched = await ask(first && remote.depth !== "full" ? { depth: remote.depth } : {});
        if (!fetched.ok) return fetched;
        const commit = fetched.value.refs.get(ref);
        return commit === undefined
          ? { ok: false, error: { message: `it has no branch ${remote.branch}` } }
          : { ok: true, value: commit };
      }),
    heal: () => inTurn(healNow),
    deepen: () => inTurn(deepenNow),
    close: () => opener.close(),
  };

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = turn.then(task, task);
    turn = run.catch(() => {});
    return run;
  }

  function ask(how: DepthOptions & { refetch?: boolean }): Promise<Result<FetchOutcome, StoreError>> {
    return fetchFrom({
      open: opener.open,
      repository,
      refPrefixes: [ref],
      want: (refs) => [refs.get(ref)].filter((oid) => oid !== undefined),
      limits: LIMITS,
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
      ...how,
    });
  }

  async function healNow(): Promise<Result<void, { readonly message: string }>> {
    const damaged = repository.damage().map(({ pack }) => pack).join(", ");
    log.warn(`fetching everything again${damaged === "" ? "" : `, for ${damaged} is damaged`}`);
    const fetched = await ask({ refetch: true });
    // An upstream that is away may be back at the next pull; one that cannot give everything is not asked each time.
    if (fetched.ok || fetched.error.code !== "unreachable") healedAt = Date.now();
    if (!fetched.ok) return fetched;
    // What the damaged packs held is here anew, so they can go.
    await collections.run({ full: true });
    const left = repository.damage();
    if (left.length === 0) log.info("the repository is whole again");
    else log.error(`the upstream has not what ${left[0].pack} held: ${left[0].reason}`);
    return { ok: true, value: undefined };
  }

  async function deepenNow(): Promise<boolean> {
    if ((await repository.shallow.list()).size === 0) return false;
    const fetched = await ask({ deepenBy: deepening });
    if (!fetched.ok) {
      log.warn(`the history cannot be deepened: ${fetched.error.message}`);
      return false;
    }
    log.info(`the history is deeper by up to ${deepening} commits`);
    deepening *= 2;
    return fetched.value.boundaries.removed.size > 0;
  }
}

export function followRemote(
  remote: RemoteSettings,
  upstream: Upstream,
  primary: Primary,
  notes: Collection,
  noteDamage: () => void,
): RemoteFollower {
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
    onPull: ({ commit, reachedAt, trouble }) => {
      note(notes, "remote", { commit, reachedAt, trouble });
      noteDamage();
    },
    fetch: () => upstream.fetch(),
  });
}
