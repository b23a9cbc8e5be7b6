import type { ObjectReader, Oid } from "../types.ts";
import { breather } from "../repository/breather.ts";
import { CommitGraph, isAncestor } from "./commit_graph.ts";
import { commitsBetween } from "./selection.ts";

/** The commits that a ref's move brings. */
export interface NewCommits {
  readonly oids: readonly Oid[];
  /**
   * Whether a commit was there before after all. Commits dated before their own ancestors may hide that from the walk that
   * found `oids`; this looks at the whole history.
   */
  isKnown(oid: Oid): Promise<boolean>;
}

/**
 * The commits that `tip` leads to and `known` does not (`git rev-list TIP ^KNOWN`); all of them where nothing is known. It
 * costs what the two have apart, not the whole history. None is ever missing; where dates lie, there may be too many.
 *
 * @param shallow commits whose parents are not there
 * @throws {StoreError} `missing` where the history is not whole
 */
export async function newCommits(
  reader: ObjectReader,
  { tip, known, shallow }: {
    readonly tip: Oid;
    readonly known: Oid | undefined;
    readonly shallow?: ReadonlySet<Oid> | undefined;
  },
): Promise<NewCommits> {
  const graph = new CommitGraph(reader, breather(), shallow);
  const found = await commitsBetween(graph, [tip], known === undefined ? [] : [known]);
  return {
    oids: found.map(({ oid }) => oid),
    isKnown: async (oid) => known !== undefined && await isAncestor(graph, oid, known),
  };
}
