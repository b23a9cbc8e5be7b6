/** The protocol with the runtime's tools: the one file of this folder that needs them. */
import type { Result } from "../../conduit/mod.ts";
import { breather } from "../repository/breather.ts";
import { newSha1 } from "../repository/sha1.ts";
import type { StoreError } from "../types.ts";
import { nodeZlib } from "../zlib/node.ts";
import { uploadPack, type UploadPackOptions, type UploadSummary } from "./upload_pack.ts";

/** Serves one fetching client; see `uploadPack`. */
export function serveUploadPack(options: UploadPackOptions): Promise<Result<UploadSummary, StoreError>> {
  return uploadPack(options, { zlib: nodeZlib, newSha1, newPause: breather });
}
