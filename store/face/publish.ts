/** A commit on its way to a branch of a remote, until it is known what came of it. */
import { fetchFrom } from "../protocol/fetch.ts";
import { CommitGraph, isAncestor } from "../protocol/commit_graph.ts";
import { pushRefs, type PushRefsOptions, type RefOutcome } from "../protocol/push.ts";
import type { PackTools } from "../protocol/upload_pack.ts";
import { breather } from "../repository/breather.ts";
import type { Oid, PackLimits, RefMoveError, Repository } from "../types.ts";
import { StoreError } from "../types.ts";

export interface PublishOptions extends
  Pick<
    PushRefsOptions,
    "open" | "pushOptions" | "progress" | "quiet" | "bounds" | "signal" | "maxRefs" | "agent"
  > {
  readonly repository: Repository;
  /** The remote's ref, in full: `refs/heads/main`. */
  readonly ref: string;
  /** What the commit was built on, and where the remote's ref must still be; `undefined`: it must not be there. */
  readonly base: Oid | undefined;
  readonly commit: Oid;
  /** A ref of ours that follows the remote's (`refs/remotes/origin/main`): moved when the remote has the commit. */
  readonly track?: string | undefined;
  /** On what is fetched from the remote in a conflict. */
  readonly limits: PackLimits;
  /** How often it is tried where the remote cannot be reached or the answer is lost. Default 3. */
  readonly tries?: number | undefined;
  /** Waits before a try, from the second on (`failures` is 1 then). Default: 0.2 s, doubling. */
  readonly wait?: ((failures: number) => Promise<void>) | undefined;
}

/** What came of a push. In every case the commit itself stays in our store. */
export type PushOutcome =
  /** The remote has it, and got it from us. `tracking`: why the ref of ours could not follow. */
  | { readonly kind: "committed"; readonly commit: Oid; readonly tracking?: RefMoveError | undefined }
  /** The remote had it already. */
  | { readonly kind: "unchanged"; readonly commit: Oid; readonly tracking?: RefMoveError | undefined }
  /**
   * The remote moved on from the base, or lost the ref (`remote` undefined). All three commits are readable in the store,
   * for a three-way merge; until a ref reaches them a collection spares them for its grace time only.
   */
  | {
    readonly kind: "conflict";
    /** Where the remote's ref is. */
    readonly remote: Oid | undefined;
    readonly base: Oid | undefined;
    readonly ours: Oid;
    /** The same as `remote`: the other side of the merge. */
    readonly theirs: Oid | undefined;
  }
  /** The remote would not have it, and its ref is still at the base. */
  | { readonly kind: "rejected"; readonly reason: string }
  /**
   * Nobody knows: the remote could not be reached, or went silent before it answered. The same call again, later, is safe: it
   * finds out whether the commit arrived, and never makes it twice.
   */
  | { readonly kind: "unreachable"; readonly attempts: readonly PushAttempt[] };

export interface PushAttempt {
  readonly error: StoreError;
  /** Whether the remote may have got the commit all the same. */
  readonly doubt: boolean;
}

/** The runtime's tools handed in; see `pushTo`. @throws {StoreError} where our own store cannot give what is to be pushed */
export async function publish(options: PublishOptions, tools: PackTools): Promise<PushOutcome> {
  const publication = new Publication(options, tools);
  const outcome = await publication.run();
  if (options.track === undefined || (outcome.kind !== "committed" && outcome.kind !== "unchanged")) {
    return outcome;
  }
  const tracking = await follow(options.repository, options.track, publication.seen ?? outcome.commit);
  return tracking === undefined ? outcome : { ...outcome, tracking };
}

class Publication {
  /** Where the remote's ref was when it was known to hold the commit. */
  seen: Oid | undefined;
  readonly #options: PublishOptions;
  readonly #tools: PackTools;
  readonly #attempts: PushAttempt[] = [];
  /** Whether a push of ours may have arrived without our knowing. */
  #doubt = false;

  constructor(options: PublishOptions, tools: PackTools) {
    this.#options = options;
    this.#tools = tools;
  }

  async run(): Promise<PushOutcome> {
    const { wait = doubling, tries = 3 } = this.#options;
    for (let failures = 0; failures < tries; failures++) {
      if (failures > 0) await wait(failures);
      const outcome = await this.#try();
      if (outcome !== undefined) return outcome;
      if (this.#options.signal?.aborted) break;
    }
    // An answer that was lost is looked for once more: the ref itself says whether the commit arrived.
    return (this.#doubt ? await this.#settle(undefined) : undefined) ??
      { kind: "unreachable", attempts: this.#attempts };
  }

  /** One conversation; `undefined` where it is worth another. The refs that the next one begins with settle a doubt. */
  async #try(): Promise<PushOutcome | undefined> {
    const { ref, base, commit } = this.#options;
    const conversation = await pushRefs(
      { ...this.#options, moves: [{ name: ref, old: base, new: commit }] },
      this.#tools,
    );
    if (conversation.kind === "failed") {
      const { error, doubt } = conversation;
      if (OUR_OWN.has(error.code)) throw error;
      this.#attempts.push({ error, doubt });
      this.#doubt ||= doubt;
      // The remote's own words: it would say them again.
      if (error.code !== "remote") return undefined;
      return doubt ? await this.#settle(error.message) : { kind: "rejected", reason: error.message };
    }
    const result = conversation.results.get(ref);
    if (result === undefined) throw new StoreError("protocol", `no word on ${ref}`);
    return await this.#judge(result);
  }

  async #judge(result: RefOutcome): Promise<PushOutcome | undefined> {
    const { commit } = this.#options;
    switch (result.kind) {
      case "moved":
        this.seen = result.effect?.new ?? commit;
        return this.seen === commit
          ? { kind: "committed", commit }
          : await this.#settle("the remote made something else of it");
      case "unchanged":
        return this.#there(commit);
      case "stale":
        return await this.#elsewhere(result.actual);
      case "rejected":
        return await this.#settle(result.reason);
    }
  }

  /**
   * Looks where the remote's ref is. A refusal may mean that another writer, or an earlier try of ours whose answer was lost,
   * was first; only where the ref has not moved is it the remote's will. `undefined`: nobody knows, so it is asked again.
   */
  async #settle(refusal: string | undefined): Promise<PushOutcome | undefined> {
    const { ref, base, commit } = this.#options;
    // By the service that was just used: who may push is not always one who may fetch.
    const look = await pushRefs({ ...this.#options, pushOptions: [], moves: [] }, this.#tools);
    if (look.kind === "failed") {
      if (refusal !== undefined) {
        this.#attempts.push({ error: new StoreError("remote", refusal), doubt: this.#doubt });
      }
      this.#attempts.push({ error: look.error, doubt: this.#doubt });
      return undefined;
    }
    const actual = look.remote.refs.get(ref);
    if (actual === commit) return this.#there(commit);
    if (actual !== base) return await this.#elsewhere(actual);
    return refusal === undefined ? undefined : { kind: "rejected", reason: refusal };
  }

  #there(at: Oid): PushOutcome {
    this.seen = at;
    return { kind: this.#doubt ? "committed" : "unchanged", commit: this.#options.commit };
  }

  /** The remote's ref is neither at the base nor at our commit: it may still have our commit below it. */
  async #elsewhere(remote: Oid | undefined): Promise<PushOutcome | undefined> {
    const { repository, base, commit } = this.#options;
    if (remote !== undefined) {
      const failure = await this.#bring(remote);
      if (failure !== undefined) {
        this.#attempts.push({ error: failure, doubt: this.#doubt });
        return undefined;
      }
      const graph = new CommitGraph(repository, breather(), await repository.shallow.list());
      if (await graph.load(remote) !== undefined && await isAncestor(graph, commit, remote)) {
        return this.#there(remote);
      }
    }
    return { kind: "conflict", remote, base, ours: commit, theirs: remote };
  }

  /** Fetches what the remote has. By its id: the branch may have moved again, and what it moved to holds this one as well. */
  async #bring(remote: Oid): Promise<StoreError | undefined> {
    const { repository, ref } = this.#options;
    if (await repository.has(remote)) return undefined;
    const { progress: _, ...options } = this.#options;
    const fetched = await fetchFrom({
      ...options,
      refPrefixes: [ref],
      want: (refs) => {
        const at = refs.get(ref);
        return at === undefined ? [remote] : [at];
      },
    });
    if (!fetched.ok) return fetched.error;
    if (await repository.has(remote)) return undefined;
    return new StoreError("missing", `${ref} was at ${remote}, which the remote no longer gives out`);
  }
}

/** Faults in reading what is to be pushed: no remote can help. */
const OUR_OWN: ReadonlySet<string> = new Set(["missing", "corrupt", "malformed", "io"]);

/** Moves a ref of ours to where the remote's is, from wherever it was. */
async function follow(repository: Repository, name: string, to: Oid): Promise<RefMoveError | undefined> {
  let failure: RefMoveError | undefined;
  for (let step = 0; step < 5; step++) {
    const old = await repository.refs.get(name);
    if (old === to) return undefined;
    const moved = await repository.refs.move({ name, old, new: to });
    if (moved.ok) return undefined;
    failure = moved.error;
    if (failure.code !== "stale") break;
  }
  return failure;
}

function doubling(failures: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 100 * 2 ** failures));
}
