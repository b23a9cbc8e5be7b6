/** The judge of a push: what is put to it, what it answers, and the one that admits everything. */
import type { ObjectReader, RefMove, Repository } from "../types.ts";
import type { PushEffect } from "./report.ts";

/** Admits every sound push: migrates it and moves its refs by compare-and-swap, all or none where it is atomic. */
export function admitAll(repository: Repository): AdmitPush {
  return async ({ moves, atomic, migrate }) => {
    await migrate();
    const results = new Map<string, PushResult>();
    const done: RefMove[] = [];
    for (const move of moves) {
      const moved = await repository.refs.move(move);
      results.set(move.name, moved.ok ? moved : { ok: false, reason: moved.error.message });
      if (moved.ok) done.push(move);
      else if (atomic !== false) {
        for (const { name, old, new: new_ } of done.reverse()) {
          // Somebody who moved it on meanwhile keeps what he made of it: the swap back then fails, as it should.
          await repository.refs.move({ name, old: new_, new: old });
        }
        return { results: refuseAll(moves, new Map([[move.name, moved.error.message]])) };
      }
    }
    return { results };
  };
}

/** A push that is sound as git sees it; what it means is for the one who admits it to judge. */
export interface PushProposal {
  readonly moves: readonly RefMove[];
  /** `false` where each move stands for itself, as `ReceivePackOptions.atomic` may let the client ask; else all or none. */
  readonly atomic?: boolean | undefined;
  /** The repository, and above it what came with this push. */
  readonly objects: ObjectReader;
  readonly pushOptions: readonly string[];
  /** Takes the objects into the repository, durably. Before any ref is moved to them. */
  migrate(): Promise<void>;
  /** Tells the pusher: git prints each line after `remote: `. Lost where the client has no side band. */
  say(text: string): Promise<void>;
}

export interface PushReply {
  /** By ref name. A ref without an answer is reported as refused. */
  readonly results: ReadonlyMap<string, PushResult>;
}

export type PushResult =
  /** `effect`: where something else was done than was asked for; told to clients of `report-status-v2`. */
  | { readonly ok: true; readonly effect?: PushEffect | undefined }
  | { readonly ok: false; readonly reason: string };

/** Judges a push and, where it is good, migrates its objects and moves its refs: all of them or none, if it is atomic. */
export type AdmitPush = (proposal: PushProposal) => Promise<PushReply>;

/** A push stands or falls as one: refs without a fault of their own fall with the others. */
export function refuseAll(
  commands: readonly { readonly name: string }[],
  faults: ReadonlyMap<string, string>,
): Map<string, PushResult> {
  return new Map(
    commands.map(({ name }) => [name, { ok: false, reason: faults.get(name) ?? "atomic push failure" }]),
  );
}
