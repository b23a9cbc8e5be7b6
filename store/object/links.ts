import type { GitObject, ObjectKind, Oid } from "../types.ts";
import { decodeCommit, decodeTag } from "./commit.ts";
import { decodeTree, isGitlink, isTreeEntry } from "./tree.ts";

/** What an object points to, with the kind it must be. @throws {StoreError} `malformed` */
export function objectLinks(object: GitObject): { readonly oid: Oid; readonly kind: ObjectKind }[] {
  switch (object.kind) {
    case "blob":
      return [];
    case "tree":
      return decodeTree(object.content)
        .filter((entry) => !isGitlink(entry))
        .map((entry) => ({ oid: entry.oid, kind: isTreeEntry(entry) ? "tree" : "blob" }));
    case "commit": {
      const commit = decodeCommit(object.content);
      return [
        { oid: commit.tree, kind: "tree" },
        ...commit.parents.map((oid) => ({ oid, kind: "commit" as const })),
      ];
    }
    case "tag": {
      const tag = decodeTag(object.content);
      return [{ oid: tag.object, kind: tag.type }];
    }
  }
}
