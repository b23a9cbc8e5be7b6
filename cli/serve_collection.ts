/** The repository collects by itself: when a look at it says that it pays, at the start and after changes, one at a time. */
import type { Collection, Primary, State } from "../primary/mod.ts";
import type { CollectionReport, Oid, Repository } from "../store/mod.ts";
import { sentence } from "./errors.ts";
import { logOf } from "./log.ts";
import { note } from "./server_notes.ts";

const log = logOf("collection");

/** Collections of the repository, one at a time. */
export interface Collections {
  /** Whether one would pay. */
  due(): Promise<boolean>;
  run(options?: { readonly full?: boolean; readonly signal?: AbortSignal }): Promise<CollectionReport>;
}

export function collectionsOf(options: {
  readonly repository: Pick<Repository, "collect" | "collectionDue">;
  readonly state: Pick<State, "pending" | "served" | "zones">;
  /** How long objects that nothing refers to stay, in milliseconds. */
  readonly graceMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}): Collections {
  const { repository, state, graceMs, now } = options;
  let turn: Promise<unknown> = Promise.resolve();
  return {
    due: () => repository.collectionDue(),
    run: (how = {}) => {
      // Clones from us are told by bitmaps, which need everything in one pack: made anew as the repository grows.
      const { full = "when due", ...rest } = how;
      const keep = () => neededBy(state);
      const task = () => repository.collect({ graceMs, now: now(), keep, full, ...rest });
      const run = turn.then(task, task);
      turn = run.catch(() => {});
      return run;
    },
  };
}

export interface CollectorOptions {
  readonly collections: Collections;
  readonly notes: Collection;
  readonly primary: Pick<Primary, "subscribe">;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Resolves after so many milliseconds, or when the signal is aborted. */
  readonly wait: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

/** How long after a change a look is taken: a burst of changes costs one. */
const AFTER_CHANGE_MS = 30_000;
/** The longest time between two looks: pushes to refs that are not served tell nobody. */
const BETWEEN_LOOKS_MS = 3_600_000;

/** @returns what ends it: a collection under way stops at its next step, with nothing lost */
export function startCollector(options: CollectorOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  let wake = new AbortController();
  const unsubscribe = options.primary.subscribe(() => wake.abort());
  const running = run();
  return {
    async stop() {
      unsubscribe();
      stopping.abort();
      await running;
    },
  };

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      // Anew before the look: what changes during it is worth another one.
      wake = new AbortController();
      await look();
      await options.wait(BETWEEN_LOOKS_MS, AbortSignal.any([wake.signal, stopping.signal]));
      await options.wait(AFTER_CHANGE_MS, stopping.signal);
    }
  }

  async function look(): Promise<void> {
    try {
      if (!await options.collections.due() || stopping.signal.aborted) return;
      const report = await options.collections.run({ signal: stopping.signal });
      tell(report);
    } catch (error) {
      log.error(`the repository was not collected, nothing is lost: ${sentence(error)}`);
    }
  }

  function tell(report: CollectionReport): void {
    const outcome = inWords(report);
    for (const oid of report.unreadable.slice(0, 1)) {
      log.warn(
        `${oid} is needed and cannot be read (${report.unreadable.length} in all); so nothing was dropped`,
      );
    }
    log.info(outcome);
    note(options.notes, "collection", { at: options.now(), outcome });
  }
}

/** What refs may not reach: what an unfinished transaction moves, and where zones are held. */
function* neededBy(state: Pick<State, "pending" | "served" | "zones">): Generator<Oid> {
  const { main, machine } = state.served();
  const moved = state.pending().flatMap(({ moves }) => moves.flatMap((move) => [move.old, move.new]));
  const held = [...state.zones().values()].map(({ heldAt }) => heldAt);
  for (const oid of [main, machine, ...moved, ...held]) if (oid !== undefined) yield oid;
}

function inWords(
  { packed, dropped, removedPacks, removedLoose, putAside, aborted }: CollectionReport,
): string {
  const facts = [
    `${packed} objects put into one pack`,
    `${removedLoose} files and ${removedPacks} packs taken away`,
    `${dropped} objects dropped that nothing needs`,
    ...putAside.map((name) => `the damaged pack ${name} put aside`),
    ...(aborted ? ["ended early"] : []),
  ];
  return facts.join(", ");
}
