import type { ObjectReader, Oid } from "../types.ts";
import { breather } from "../repository/breather.ts";
import { CommitGraph, DateQueue, isAncestor } from "./commit_graph.ts";

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
  const paint = new Map<Oid, number>();
  const queued = new Set<Oid>();
  const queue = new DateQueue();
  /** How many in the queue are new as far as is known; when there are none, all that is new was found. */
  let open = 0;
  const visit = async (oid: Oid, colour: number) => {
    const before = paint.get(oid) ?? 0;
    const after = before | colour;
    if (after === before) return;
    paint.set(oid, after);
    if (queued.has(oid)) {
      if (before === NEW) open--;
      return;
    }
    queue.push(await graph.require(oid));
    queued.add(oid);
    if (after === NEW) open++;
  };
  if (known !== undefined) await visit(known, OLD);
  await visit(tip, NEW);
  while (open > 0) {
    const node = queue.pop();
    if (node === undefined) break;
    queued.delete(node.oid);
    const colour = paint.get(node.oid) ?? 0;
    if (colour === NEW) open--;
    for (const parent of node.parents) await visit(parent, colour);
  }
  return {
    oids: [...paint].filter(([, colour]) => colour === NEW).map(([oid]) => oid),
    isKnown: async (oid) => known !== undefined && await isAncestor(graph, oid, known),
  };
}

const OLD = 1;
const NEW = 2;
