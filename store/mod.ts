/** store: git's objects, packs, refs and the smart protocol. The room's only door. */
export type {
  GitObject,
  ObjectKind,
  ObjectReader,
  Oid,
  PackLimits,
  PackSummary,
  Quarantine,
  RefMove,
  RefMoveError,
  Refs,
  Repository,
  StoreErrorCode,
} from "./types.ts";
export { StoreError } from "./types.ts";

export { isOid, oidFromBytes, oidToBytes, parseOid } from "./object/oid.ts";
export { latin1, textOf, utf8 } from "./object/bytes.ts";
export { objectOid } from "./object/hash.ts";
export type { NewSha1, Sha1 } from "./object/hash.ts";
export { compareEntries, decodeTree, encodeTree, entryName, isGitlink, isTreeEntry } from "./object/tree.ts";
export type { TreeEntry } from "./object/tree.ts";
export { composeCommit, decodeCommit, decodeTag, encodeCommit, encodeTag } from "./object/commit.ts";
export type { Commit, Tag } from "./object/commit.ts";
export type { Header, HeaderBlock } from "./object/headers.ts";
export { formatPerson, parsePerson } from "./object/person.ts";
export type { Person } from "./object/person.ts";
export { objectLinks } from "./object/links.ts";
export { isRefName } from "./repository/ref_name.ts";
export { initRepository, openRepository } from "./repository/open.ts";
export type { OpenOptions } from "./repository/open.ts";
export { commitInfo, isAncestor, resolveCommit } from "./tree/history.ts";
export type { CommitInfo } from "./tree/history.ts";
export { findEntry, listFiles, readPath, resolveTree } from "./tree/paths.ts";
export type { FileEntry } from "./tree/paths.ts";
export { diffTrees } from "./tree/diff.ts";
export type { FileChange, FileSide } from "./tree/diff.ts";
export { writeCommit, writeTree } from "./tree/write.ts";
