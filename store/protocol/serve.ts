/** The protocol with the runtime's tools: the one file of this folder that needs them. */
import type { Result } from "../../conduit/mod.ts";
import { breather } from "../repository/breather.ts";
import { newSha1 } from "../repository/sha1.ts";
import type { ObjectReader, Oid, StoreError } from "../types.ts";
import { nodeZlib } from "../zlib/node.ts";
import { CommitGraph, isAncestor as isAncestorIn } from "./commit_graph.ts";
import { uploadPack, type UploadPackOptions, type UploadSummary } from "./upload_pack.ts";

/** Serves one fetching client; see `uploadPack`. */
export function serveUploadPack(options: UploadPackOptions): Promise<Result<UploadSummary, StoreError>> {
  return uploadPack(options, { zlib: nodeZlib, newSha1, newPause: breather });
}

/**
 * Whether `descendant` is `ancestor` or was built on it: a move from one to the other is a fast-forward.
 * @throws {StoreError} `missing` where the descendant's history is not whole
 */
export function isAncestor(reader: ObjectReader, ancestor: Oid, descendant: Oid): Promise<boolean> {
  return isAncestorIn(new CommitGraph(reader, breather()), ancestor, descendant);
}
