import type { Result } from "../../conduit/mod.ts";
import type { Name } from "../../dns/mod.ts";
import {
  type Person,
  type RefMove,
  type RefMoveError,
  type Repository,
  type SignPayload,
  StoreError,
} from "../../store/mod.ts";
import type { Log } from "../primary.ts";
import { SERIALS_REF, writeSerialNotes } from "../state/serial_notes.ts";
import type { State, StateChange, ZoneRow } from "../state/state.ts";
import type { ServedState } from "./served_state.ts";
import type { ServedZone } from "./served_zone.ts";
import { deltaOf, type ZoneStep } from "./step.ts";

/** The moments of a commit between which a process may die. Tests die at each of them. */
export const COMMIT_STEPS = [
  "objects-synced",
  "committed",
  "ref-moved",
  "refs-moved",
  "settled",
  "published",
] as const;
export type CommitStep = typeof COMMIT_STEPS[number];

export interface CommitContext {
  readonly repository: Repository;
  readonly state: State;
  readonly person: () => Person;
  readonly log: Log;
  /** Whether the serials are noted in the repository too, against the loss of the database. */
  readonly notesInRepository: boolean;
  /** Signs the commit of the notes. */
  readonly sign?: SignPayload | undefined;
  /** Called as each step is reached. It throws to stand for the death of the process. */
  readonly crashPoint: (step: CommitStep) => void;
}

/** A change that was read, checked, merged, numbered and compiled, and has not happened. */
export interface PreparedChange {
  readonly base: ServedState;
  readonly next: ServedState;
  readonly steps: readonly ZoneStep[];
  readonly moves: readonly RefMove[];
  /** Puts the objects of the change into the repository, durably. */
  readonly writeObjects: () => Promise<void>;
  /** Makes what was compiled the image that is answered from. */
  readonly publish: () => void;
}

export interface CommitError {
  /** `stale`: the ref is elsewhere than the change took it to be; `blocked`: it cannot be moved, a lock for instance. */
  readonly code: "stale" | "blocked";
  readonly ref: string;
  readonly message: string;
}

/**
 * Makes a change happen, in the order of the contract: objects synced; one synced SQLite transaction with serials,
 * journal delta and every ref to move, the commit point; refs moved by compare-and-swap; image published. When it
 * returns `ok` the caller may answer. An error means that nothing happened.
 *
 * @throws what the repository or the database throw. After the commit point the change is then durable and not served
 */
export async function commitChange(
  context: CommitContext,
  change: PreparedChange,
): Promise<Result<void, CommitError>> {
  const { repository, state, crashPoint } = context;
  const { refs } = repository;
  const moves = [...change.moves];

  const serials = newSerials(change);
  if (serials.size > 0 && context.notesInRepository) {
    const notes = await refs.get(SERIALS_REF);
    moves.unshift({
      name: SERIALS_REF,
      old: notes,
      new: await writeSerialNotes(repository, notes, serials, context.person(), context.sign),
    });
  }
  for (const move of moves) {
    if (await refs.get(move.name) !== move.old) return stale(move);
  }
  await change.writeObjects();
  await repository.sync();
  crashPoint("objects-synced");

  const txn = state.commit(stateChange(change, moves));
  crashPoint("committed");

  for (const move of moves) {
    const outcome = await tryMove(repository, move);
    if (!outcome.ok) {
      await takeBack(repository, state, txn, moves);
      return outcome.error.code === "stale" ? stale(move) : blocked(move, outcome.error.message);
    }
    crashPoint("ref-moved");
  }
  crashPoint("refs-moved");
  settle(context, txn);
  crashPoint("settled");
  change.publish();
  crashPoint("published");
  return { ok: true, value: undefined };
}

/**
 * Completes the ref moves that the last run left behind; a transaction of which a move fits no more is void, and all
 * of it is taken back. Gives one line a transaction for the log.
 */
export async function completePending(repository: Repository, state: State): Promise<string[]> {
  const lines: string[] = [];
  for (const { txn, moves } of state.pending()) {
    const open: RefMove[] = [];
    const done: RefMove[] = [];
    let misfit: RefMove | undefined;
    for (const move of moves) {
      const actual = await repository.refs.get(move.name);
      if (actual === move.new) done.push(move);
      else if (actual === move.old) open.push(move);
      else misfit ??= move;
    }
    while (misfit === undefined && open.length > 0) {
      const [move] = open.splice(0, 1);
      const outcome = await repository.refs.move(move);
      if (outcome.ok) done.push(move);
      else misfit = move;
    }
    if (misfit === undefined) {
      state.settle(txn);
      lines.push(`completed the change that was under way: ${moves.map((move) => move.name).join(", ")}`);
    } else {
      await moveBack(repository, done);
      state.undo(txn);
      lines.push(
        `a change that was under way is void: ${misfit.name} is no longer at ${misfit.old ?? "nothing"}`,
      );
    }
  }
  return lines;
}

/**
 * Takes back the changes whose makers were told that they failed, and that a fault of disk or database left half made.
 * Gives one line a change for the log. @throws while the fault lasts
 */
export async function takeBackPending(repository: Repository, state: State): Promise<string[]> {
  const lines: string[] = [];
  for (const { txn, moves } of state.pending()) {
    const undone = await someMissing(repository, moves);
    if (undone) await takeBack(repository, state, txn, moves);
    else state.settle(txn);
    const names = moves.map((move) => move.name).join(", ");
    lines.push(`${undone ? "took back" : "found complete"} the change that failed: ${names}`);
  }
  return lines;
}

async function someMissing(repository: Repository, moves: readonly RefMove[]): Promise<boolean> {
  for (const move of moves) if (await repository.refs.get(move.name) !== move.new) return true;
  return false;
}

/** The change never happened: its refs where they were, its rows as they were. */
async function takeBack(
  repository: Repository,
  state: State,
  txn: number,
  moves: readonly RefMove[],
): Promise<void> {
  const moved: RefMove[] = [];
  for (const move of moves) if (await repository.refs.get(move.name) === move.new) moved.push(move);
  await moveBack(repository, moved);
  state.undo(txn);
}

/** A fault of the disk is an answer like any other: the change can still be taken back. */
async function tryMove(repository: Repository, move: RefMove): Promise<Result<void, RefMoveError>> {
  try {
    return await repository.refs.move(move);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { ok: false, error: { code: "locked", name: move.name, message: error.message } };
  }
}

/** A pending row that stays leads to moves that are found done, and the next commit clears it: no reason to fail. */
function settle({ state, log }: CommitContext, txn: number): void {
  try {
    state.settle(txn);
  } catch (error) {
    log.warn(`a change is durable, but is still noted as under way: ${wordsOf(error)}`);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What the database is told of a change. */
function stateChange(change: PreparedChange, moves: readonly RefMove[]): StateChange {
  const zones = new Map<Name, ZoneRow>();
  const forgotten: Name[] = [];
  const journal = [];
  for (const step of change.steps) {
    const row = zoneRow(step, change.next);
    if (row !== undefined) zones.set(step.origin, row);
    const delta = deltaOf(step);
    if (delta !== undefined) journal.push(delta);
    else if (leadsNowhere(step)) forgotten.push(step.origin);
  }
  return {
    moves,
    served: { main: change.next.main, machine: change.next.machine },
    zones,
    forgotten,
    journal,
  };
}

/** No difference leads from what was served before to what is now. */
function leadsNowhere({ before, after, changes }: ZoneStep): boolean {
  return before?.good === undefined || after?.good === undefined || changes === undefined;
}

function zoneRow(step: ZoneStep, next: ServedState): ZoneRow | undefined {
  const good = step.after?.good;
  if (step.after !== undefined && good !== undefined) {
    return { serial: step.after.serial, file: good.file, heldAt: good.heldAt };
  }
  const serial = next.serials.get(step.origin);
  return serial === undefined ? undefined : { serial, file: undefined, heldAt: undefined };
}

/** Serials that the notes in the repository do not have yet. */
function newSerials(change: PreparedChange): Map<Name, number> {
  const serials = new Map<Name, number>();
  for (const { origin, before, after } of change.steps) {
    if (after?.good !== undefined && (!isGood(before) || before.serial !== after.serial)) {
      serials.set(origin, after.serial);
    }
  }
  return serials;
}

function isGood(zone: ServedZone | undefined): zone is ServedZone {
  return zone?.good !== undefined;
}

/** What cannot be moved back was moved by somebody else meanwhile, and is theirs. */
async function moveBack(repository: Repository, moved: readonly RefMove[]): Promise<void> {
  for (const move of [...moved].reverse()) {
    await repository.refs.move({ name: move.name, old: move.new, new: move.old });
  }
}

function stale(move: RefMove): Result<void, CommitError> {
  const message = `${move.name} is not at ${move.old ?? "nothing"} any more; fetch and try again`;
  return { ok: false, error: { code: "stale", ref: move.name, message } };
}

function blocked(move: RefMove, message: string): Result<void, CommitError> {
  return { ok: false, error: { code: "blocked", ref: move.name, message } };
}
