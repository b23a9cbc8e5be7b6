import { StoreError } from "../types.ts";
import type { ObjectReader, Oid } from "../types.ts";
import { decodeCommit } from "../object/commit.ts";
import { OidSet } from "../object/oid_set.ts";
import { decodeTree, entryName, isGitlink, isTreeEntry } from "../object/tree.ts";
import { nameHash, type PackItem } from "../pack/find_deltas.ts";
import { breather } from "../repository/breather.ts";
import { readContent } from "../tree/paths.ts";

/**
 * A commit, its trees and then its blobs, each once: that commit's files and nothing of its history. Trees come level by
 * level, blobs as the trees list them, so what is alike (a folder's files) lies close together.
 *
 * @throws {StoreError} `missing`, `malformed`, `corrupt`
 */
export async function reachedBy(objects: ObjectReader, commit: Oid): Promise<PackItem<Oid>[]> {
  const pause = breather();
  const seen = new OidSet();
  const content = await readContent(objects, commit, "commit");
  const items: PackItem<Oid>[] = [{ id: commit, kind: "commit", size: content.length }];
  const blobs: PackItem<Oid>[] = [];
  const { tree } = decodeCommit(content);
  seen.addOid(tree);
  const folders = [{ oid: tree, path: "" }];
  for (let at = 0; at < folders.length; at++) {
    const { oid, path } = folders[at];
    const entries = await readContent(objects, oid, "tree");
    items.push({ id: oid, kind: "tree", size: entries.length, group: nameHash(path) });
    for (const entry of decodeTree(entries)) {
      if (isGitlink(entry) || !seen.addOid(entry.oid)) continue;
      if (seen.size > MOST_OBJECTS) {
        throw new StoreError("limit", `more than ${MOST_OBJECTS} files and folders`);
      }
      const name = path + entryName(entry);
      if (isTreeEntry(entry)) {
        folders.push({ oid: entry.oid, path: `${name}/` });
        continue;
      }
      await pause();
      const { length: size } = await readContent(objects, entry.oid, "blob");
      blobs.push({ id: entry.oid, kind: "blob", size, group: nameHash(name) });
    }
  }
  for (const blob of blobs) items.push(blob);
  return items;
}

const MOST_OBJECTS = 10_000_000;
