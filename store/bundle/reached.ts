import { StoreError } from "../types.ts";
import type { ObjectReader, Oid } from "../types.ts";
import { decodeCommit } from "../object/commit.ts";
import { OidSet } from "../object/oid_set.ts";
import { decodeTree, isGitlink, isTreeEntry } from "../object/tree.ts";
import { breather } from "../repository/breather.ts";
import { readContent } from "../tree/paths.ts";

/**
 * A commit, its trees and then its blobs, each once: that commit's files and nothing of its history. Trees come level by
 * level, blobs as the trees list them, so what is alike (a folder's files) lies close together.
 *
 * @throws {StoreError} `missing` for a commit or tree, `malformed`; a blob that is missing is found by who reads it
 */
export async function reachedBy(objects: ObjectReader, commit: Oid): Promise<Oid[]> {
  const pause = breather();
  const seen = new OidSet();
  const trees: Oid[] = [];
  const blobs: Oid[] = [];
  const { tree } = decodeCommit(await readContent(objects, commit, "commit"));
  if (seen.addOid(tree)) trees.push(tree);
  for (let at = 0; at < trees.length; at++) {
    await pause();
    for (const entry of decodeTree(await readContent(objects, trees[at], "tree"))) {
      if (isGitlink(entry) || !seen.addOid(entry.oid)) continue;
      (isTreeEntry(entry) ? trees : blobs).push(entry.oid);
      if (seen.size > MOST_OBJECTS) {
        throw new StoreError("limit", `more than ${MOST_OBJECTS} files and folders`);
      }
    }
  }
  return [commit, ...trees, ...blobs];
}

const MOST_OBJECTS = 10_000_000;
