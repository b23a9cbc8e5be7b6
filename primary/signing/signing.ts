import type { Result } from "../../conduit/mod.ts";
import type { ObjectReader, Oid, SignPayload } from "../../store/mod.ts";

/** Signatures on commits: those that the server makes, and those that it asks for. */
export interface Signing {
  /** Signs every commit that the server makes. */
  readonly sign: SignPayload;
  /** Judges what arrives on branch `main`; left out where signatures are not asked for. */
  readonly judge?: JudgeCommits | undefined;
}

/** Whether every commit that a move brings may come in. */
export type JudgeCommits = (objects: ObjectReader, move: CommitMove) => Promise<Result<void, RefusedCommits>>;

export interface CommitMove {
  /** `undefined`: everything is new. */
  readonly old: Oid | undefined;
  readonly new: Oid;
  /** Commits whose parents are not there. */
  readonly shallow: ReadonlySet<Oid>;
}

export interface RefusedCommits {
  /** One sentence that names a commit and says what to do. */
  readonly message: string;
  /** A line for each commit that may not come in, the first hundred. */
  readonly lines: readonly string[];
}
