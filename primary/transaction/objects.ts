import { commitInfo, listFiles, type ObjectReader, type Oid, StoreError } from "../../store/mod.ts";
import type { TreeFile, TreeFiles } from "../gate/tree_files.ts";

/** The files of a commit; none without a commit. */
export async function treeFiles(objects: ObjectReader, commit: Oid | undefined): Promise<TreeFiles> {
  const entries = new Map<string, TreeFile>();
  if (commit !== undefined) {
    for (const { path, mode, oid } of await listFiles(objects, commit)) entries.set(path, { mode, oid });
  }
  return { entries, read: (oid) => readBlob(objects, oid), release };
}

/** A file of many megabytes is let go at once, and not when its garbage happens to be collected. */
function release({ buffer, byteLength }: Uint8Array): void {
  if (byteLength >= NOT_KEPT && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Objects of this size are read into a buffer of their own: what the store keeps for the next reader is smaller. */
const NOT_KEPT = 4 * 1024 * 1024;

export async function firstParent(objects: ObjectReader, commit: Oid): Promise<Oid | undefined> {
  const { parents } = await commitInfo(objects, commit);
  return parents.at(0);
}

async function readBlob(objects: ObjectReader, oid: Oid): Promise<Uint8Array> {
  const object = await objects.read(oid);
  if (object?.kind !== "blob") throw new StoreError("missing", `the file content ${oid} is not here`);
  return object.content;
}

/** Whether an object is damaged or not here, which costs what needs it and nothing else. */
export function isUnreadable(error: unknown): error is StoreError {
  return error instanceof StoreError && (error.code === "corrupt" || error.code === "missing");
}
