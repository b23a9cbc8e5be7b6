import type { Oid, Repository } from "../types.ts";
import type { Person } from "../object/person.ts";
import type { SignPayload } from "../signature/signature_header.ts";
import { resolveTree } from "../tree/paths.ts";
import { writeCommit, writeTree } from "../tree/write.ts";

export interface CommitRequest {
  /** The commit that the changes are made on; `undefined` begins a history. */
  readonly base: Oid | undefined;
  /** By path: the file's new content, or `undefined` where it is to go. */
  readonly changes: ReadonlyMap<string, Uint8Array | undefined>;
  readonly author: Person;
  /** Default: the author. */
  readonly committer?: Person | undefined;
  /** Taken as it is; by custom it ends in a newline. */
  readonly message: string;
  /** Signs the commit; see `signerFrom`. */
  readonly sign?: SignPayload | undefined;
}

export type CommitOutcome =
  | { readonly kind: "committed"; readonly commit: Oid }
  /** The changes change nothing: there is no new commit. `commit` is the base. */
  | { readonly kind: "unchanged"; readonly commit: Oid | undefined };

/**
 * Makes one commit of a batch of changes, durably. No ref is moved: the commit is for `refs.move` or `pushTo`, and a
 * collection may take it away after its grace time if neither follows.
 * @throws {StoreError} `missing` where the base is not here, `malformed` for a path that no tree may hold, `io`
 */
export async function commitOn(repository: Repository, request: CommitRequest): Promise<CommitOutcome> {
  const { base, changes, author, committer, message, sign } = request;
  const before = base === undefined ? undefined : await resolveTree(repository, base);
  const tree = await writeTree(repository, before, changes);
  if (tree === before || (before === undefined && changes.size === 0)) {
    return { kind: "unchanged", commit: base };
  }
  const commit = await writeCommit(repository, {
    tree,
    parents: base === undefined ? [] : [base],
    author,
    committer: committer ?? author,
    message,
    sign,
  });
  await repository.sync();
  return { kind: "committed", commit };
}
