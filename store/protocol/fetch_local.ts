/** What is here already, as far as our refs reach: of nothing else is it known that it is whole. */
import type { ObjectReader, Oid, Refs } from "../types.ts";
import { StoreError } from "../types.ts";
import { type CommitGraph, DateQueue } from "./commit_graph.ts";
import { selectObjects } from "./selection.ts";

/** What our refs hold. */
export interface LocalTips {
  readonly values: ReadonlySet<Oid>;
  /** Commits, tags followed to what they name. */
  readonly commits: ReadonlySet<Oid>;
}

export async function localTips(refs: Pick<Refs, "list">, graph: CommitGraph): Promise<LocalTips> {
  const values = new Set((await refs.list()).values());
  const commits = new Set<Oid>();
  for (const oid of values) {
    const peeled = await graph.peel(oid);
    if (peeled?.kind === "commit") commits.add(peeled.oid);
  }
  return { values, commits };
}

/** Of what is wanted, that which is not here, or is here and not whole (left by a collection, not yet referred to). */
export async function missingWants(
  wants: Iterable<Oid>,
  tips: LocalTips,
  { reader, graph }: { readonly reader: ObjectReader; readonly graph: CommitGraph },
): Promise<Oid[]> {
  const missing: Oid[] = [];
  for (const oid of new Set(wants)) {
    if (tips.values.has(oid) || tips.commits.has(oid)) continue;
    if (!await reader.has(oid) || !await isWhole(oid, tips, reader, graph)) missing.push(oid);
  }
  return missing;
}

/**
 * The commits that the other side's refs name and ours reach. Those that are no tips of ours are looked for in the recent
 * part of our history alone: to miss one costs some haves, to walk all of it costs every fetch.
 */
export async function commonCommits(
  theirs: Iterable<Oid>,
  tips: LocalTips,
  { reader, graph }: { readonly reader: ObjectReader; readonly graph: CommitGraph },
): Promise<Oid[]> {
  const common = new Set<Oid>();
  const sought = new Set<Oid>();
  let oldest = Infinity;
  for (const oid of new Set(theirs)) {
    if (tips.commits.has(oid)) common.add(oid);
    else if (!tips.values.has(oid) && await reader.has(oid)) {
      const node = await graph.load(oid);
      if (node === undefined) continue;
      sought.add(oid);
      oldest = Math.min(oldest, node.date);
    }
  }
  if (sought.size === 0) return [...common];
  const queue = new DateQueue();
  const seen = new Set<Oid>();
  const visit = async (oid: Oid) => {
    if (seen.has(oid)) return;
    seen.add(oid);
    const node = await graph.load(oid);
    if (node !== undefined && node.date >= oldest) queue.push(node);
  };
  for (const tip of tips.commits) await visit(tip);
  for (let walked = 0; sought.size > 0 && walked < RECENT; walked++) {
    const node = queue.pop();
    if (node === undefined) break;
    if (sought.delete(node.oid)) common.add(node.oid);
    for (const parent of node.parents) await visit(parent);
  }
  return [...common];
}

/** Commits of our own that are looked at in search of theirs. */
const RECENT = 4096;

/** Whether an object is here with all that it leads to, below what our refs reach left aside. */
async function isWhole(
  oid: Oid,
  tips: LocalTips,
  reader: ObjectReader,
  graph: CommitGraph,
): Promise<boolean> {
  try {
    const { oids } = await selectObjects({ reader, graph, wants: [oid], common: tips.values });
    for (const part of oids) if (!await reader.has(part)) return false;
    return true;
  } catch (error) {
    if (error instanceof StoreError && error.code === "missing") return false;
    throw error;
  }
}
