/** Whether objects of any kind may be given away: those that refs reach, also the blobs that a partial clone fetches one by one. */
import { oidFromBytes } from "../../object/oid.ts";
import { OidSet } from "../../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../../object/tree_scan.ts";
import type { ObjectReader, Oid, Pause } from "../../types.ts";
import { type CommitGraph, type CommitNode, DateQueue, reachableAmong } from "../commit_graph.ts";

/**
 * Those of the targets that the tips reach. Stops when all are found; the youngest commits are looked at first, because
 * what is asked for is mostly in what is checked out. What nobody reaches costs a walk over everything.
 */
export async function reachableObjects(
  targets: ReadonlySet<Oid>,
  { tips, graph, reader, pause }: {
    readonly tips: Iterable<Oid>;
    readonly graph: CommitGraph;
    readonly reader: ObjectReader;
    readonly pause?: Pause | undefined;
  },
): Promise<ReadonlySet<Oid>> {
  const history = new Set<Oid>();
  const content = new OidSet();
  for (const oid of targets) {
    const peeled = await graph.peel(oid);
    const isContent = peeled?.tags.length === 0 && (peeled.kind === "tree" || peeled.kind === "blob");
    if (isContent) content.addOid(oid);
    else history.add(oid);
  }
  const found = new Set(history.size === 0 ? [] : await reachableAmong(graph, tips, history));
  if (content.size === 0 || found.size < history.size) return found;

  const seen = new OidSet();
  let missing = content.size;
  const meet = (bytes: Uint8Array, at: number) => {
    if (!seen.add(bytes, at)) return false;
    if (content.has(bytes, at)) {
      missing--;
      found.add(oidFromBytes(bytes, at));
    }
    return true;
  };
  const search = async (root: Oid) => {
    if (!seen.addOid(root)) return;
    if (content.hasOid(root)) {
      missing--;
      found.add(root);
    }
    const stack = [root];
    for (let oid = stack.pop(); oid !== undefined && missing > 0; oid = stack.pop()) {
      await pause?.();
      const object = await reader.read(oid);
      if (object?.kind !== "tree") continue;
      scanTree(object.content, (mode, _, nameEnd) => {
        if (isGitlinkMode(mode) || !meet(object.content, nameEnd + 1)) return;
        if (isTreeMode(mode)) stack.push(oidFromBytes(object.content, nameEnd + 1));
      });
    }
  };
  const queue = new DateQueue();
  const queued = new Set<Oid>();
  const visit = (node: CommitNode) => {
    if (queued.has(node.oid)) return;
    queued.add(node.oid);
    queue.push(node);
  };
  for (const tip of tips) {
    const peeled = await graph.peel(tip);
    if (peeled === undefined) continue;
    if (peeled.kind === "commit") visit(await graph.require(peeled.oid));
    else await search(peeled.oid);
  }
  for (let node = queue.pop(); node !== undefined && missing > 0; node = queue.pop()) {
    await search(node.tree);
    for (const parent of node.parents) visit(await graph.require(parent));
  }
  return found;
}
