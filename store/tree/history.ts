import { StoreError } from "../types.ts";
import type { ObjectReader, Oid } from "../types.ts";
import { textOf } from "../object/bytes.ts";
import { decodeCommit } from "../object/commit.ts";
import { parsePerson } from "../object/person.ts";
import type { Person } from "../object/person.ts";
import { readContent, readPeeled } from "./paths.ts";

/** A commit for people. */
export interface CommitInfo {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  /** `undefined` where the line is not in git's form. */
  readonly author: Person | undefined;
  readonly committer: Person | undefined;
  readonly message: string;
}

/** @throws {StoreError} `missing`, `malformed` */
export async function commitInfo(reader: ObjectReader, oid: Oid): Promise<CommitInfo> {
  const commit = decodeCommit(await readContent(reader, oid, "commit"));
  return {
    oid,
    tree: commit.tree,
    parents: commit.parents,
    author: parsePerson(commit.author),
    committer: parsePerson(commit.committer),
    message: textOf(commit.body ?? new Uint8Array()),
  };
}

/** The commit that an id names: itself, or what a tag leads to. @throws {StoreError} `missing`, `malformed` */
export async function resolveCommit(reader: ObjectReader, oid: Oid): Promise<Oid> {
  const object = await readPeeled(reader, oid);
  if (object.kind !== "commit") throw new StoreError("malformed", `${oid} is a ${object.kind}, not a commit`);
  return object.oid;
}
