import { CommitGraph, DateQueue } from "../protocol/commit_graph.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import type { ObjectReader, Oid, Pause } from "../types.ts";

/**
 * Those of the objects that no tip leads to. It looks at the youngest commits first and ends when all are found: what a
 * client builds on is nearly always in the last trees. At the worst it costs a look at every tree.
 *
 * @param options.shallow commits whose parents are not there
 */
export async function unreachableAmong(
  reader: ObjectReader,
  tips: Iterable<Oid>,
  objects: Iterable<Oid>,
  { shallow, pause }: { readonly shallow?: ReadonlySet<Oid>; readonly pause?: Pause } = {},
): Promise<Set<Oid>> {
  const wanted = new Set(objects);
  if (wanted.size === 0) return wanted;
  const graph = new CommitGraph(reader, pause, shallow);
  const queue = new DateQueue();
  const commits = new Set<Oid>();
  const seen = new OidSet();

  const commit = async (oid: Oid) => {
    if (commits.has(oid)) return;
    commits.add(oid);
    const node = await graph.load(oid);
    if (node !== undefined) queue.push(node);
  };
  const trees = async (root: Oid) => {
    const stack = seen.addOid(root) ? [root] : [];
    for (let oid = stack.pop(); oid !== undefined && wanted.size > 0; oid = stack.pop()) {
      wanted.delete(oid);
      await pause?.();
      const content = (await reader.read(oid))?.content;
      if (content === undefined) continue;
      scanTree(content, (mode, _, nameEnd) => {
        if (isGitlinkMode(mode) || !seen.add(content, nameEnd + 1)) return;
        const entry = oidFromBytes(content, nameEnd + 1);
        if (isTreeMode(mode)) stack.push(entry);
        else wanted.delete(entry);
      });
    }
  };

  for (const tip of tips) {
    const peeled = await graph.peel(tip);
    if (peeled === undefined) continue;
    for (const tag of peeled.tags) wanted.delete(tag);
    if (peeled.kind === "commit") await commit(peeled.oid);
    else if (peeled.kind === "tree") await trees(peeled.oid);
    else wanted.delete(peeled.oid);
  }
  for (let node = queue.pop(); node !== undefined && wanted.size > 0; node = queue.pop()) {
    wanted.delete(node.oid);
    await trees(node.tree);
    for (const parent of node.parents) await commit(parent);
  }
  return wanted;
}
