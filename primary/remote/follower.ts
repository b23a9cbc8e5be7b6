import type { Result } from "../../conduit/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { UNREADABLE } from "../gate/tree_files.ts";
import type { Log, Primary } from "../primary.ts";

/** Keeps a primary at what an upstream branch holds; serves the local copy while the upstream is away. */
export interface RemoteFollower {
  /** Pulls now. Calls during a pull share one pull that starts after it. */
  pull(): Promise<PullOutcome>;
  /** Pulls once, and from then on every `poll` milliseconds. Resolves after the first pull, whatever came of it. */
  start(): Promise<void>;
  stop(): void;
  status(): RemoteStatus;
}

export type PullOutcome =
  | { readonly kind: "current"; readonly commit: Oid }
  | { readonly kind: "advanced"; readonly commit: Oid; readonly faults: number }
  | { readonly kind: "away"; readonly reason: string }
  | { readonly kind: "failed"; readonly reason: string };

export interface RemoteStatus {
  readonly upstream: string;
  /** The commit of the upstream branch that was seen last. */
  readonly commit: Oid | undefined;
  /** When the upstream was last reached, in milliseconds since 1970. */
  readonly reachedAt: number | undefined;
  /** Milliseconds since then; `undefined` when it was never reached. */
  readonly age: number | undefined;
  /** Why the last pull failed; `undefined` when it did not. */
  readonly trouble: string | undefined;
}

export interface FollowerOptions {
  readonly primary: Pick<Primary, "adopt">;
  /** Brings the upstream branch's objects into the repository and gives its commit. */
  readonly fetch: () => Promise<Result<Oid, { readonly message: string }>>;
  /** How people call the upstream. */
  readonly upstream: string;
  readonly branch: string;
  /** Milliseconds between two pulls. */
  readonly poll: number;
  readonly clock: () => number;
  readonly timer: Timer;
  readonly log: Log;
  /** When the upstream was last reached before this start, in milliseconds since 1970. */
  readonly reachedBefore?: number | undefined;
  /** Called after each pull, for what outlives the process. */
  readonly onPull?: ((status: RemoteStatus) => void) | undefined;
}

/** `setTimeout` and `clearTimeout`, or a test's own. Gives what cancels. */
export type Timer = (callback: () => void, milliseconds: number) => () => void;

export function createRemoteFollower(options: FollowerOptions): RemoteFollower {
  const { primary, upstream, clock, log } = options;
  const track = `refs/remotes/upstream/${options.branch}`;
  let commit: Oid | undefined;
  let reachedAt = options.reachedBefore;
  let trouble: string | undefined;
  let running: Promise<PullOutcome> | undefined;
  let waiting: Promise<PullOutcome> | undefined;
  let cancel: (() => void) | undefined;
  let stopped = false;

  function pull(): Promise<PullOutcome> {
    if (running === undefined) {
      running = pullOnce().finally(() => {
        running = undefined;
        options.onPull?.(status());
      });
      return running;
    }
    // What is being fetched may miss what the caller knows of, so one more pull follows, for all who ask meanwhile.
    waiting ??= running.then(() => {
      waiting = undefined;
      return pull();
    });
    return waiting;
  }

  async function pullOnce(): Promise<PullOutcome> {
    const fetched = await fetchSafely();
    if (!fetched.ok) {
      report(`${upstream} cannot be fetched (${fetched.error.message}); ${servedMeanwhile()}`);
      trouble = fetched.error.message;
      return { kind: "away", reason: trouble };
    }
    if (trouble !== undefined) log.info(`${upstream} is reached again`);
    trouble = undefined;
    reachedAt = clock();
    const current = commit === fetched.value;
    commit = fetched.value;
    if (current) return { kind: "current", commit };
    const adopted = await primary.adopt(commit, { track });
    if (!adopted.ok) {
      const reason = adopted.error.message;
      // So that the next pull tries again.
      commit = undefined;
      trouble = reason;
      log.error(`${upstream} at ${fetched.value} cannot be taken over: ${reason}`);
      return { kind: "failed", reason };
    }
    const faults = adopted.value.faults.filter((fault) => fault.severity === "error").length;
    // What could not be read is fetched again, and is then worth another try.
    if (adopted.value.faults.some(({ code }) => code === UNREADABLE)) commit = undefined;
    log.info(
      `${upstream} at ${fetched.value}: ${adopted.value.serials.size} zones advanced, ${faults} faults`,
    );
    return { kind: "advanced", commit: fetched.value, faults };
  }

  async function fetchSafely(): Promise<Result<Oid, { readonly message: string }>> {
    try {
      return await options.fetch();
    } catch (error) {
      return { ok: false, error: { message: error instanceof Error ? error.message : String(error) } };
    }
  }

  function report(message: string): void {
    if (trouble === undefined) log.warn(message);
    else log.info(message);
  }

  function servedMeanwhile(): string {
    if (reachedAt === undefined) return "it was never reached, and what is here already is served";
    return `what was last fetched is served, ${Math.round((clock() - reachedAt) / 1000)} s old`;
  }

  function schedule(): void {
    if (stopped) return;
    cancel = options.timer(() => void pull().then(schedule), options.poll);
  }

  return {
    pull,
    start: async () => {
      await pull();
      schedule();
    },
    stop: () => {
      stopped = true;
      cancel?.();
    },
    status,
  };

  function status(): RemoteStatus {
    const age = reachedAt === undefined ? undefined : clock() - reachedAt;
    return { upstream, commit, reachedAt, age, trouble };
  }
}
