import { type Fault } from "../../dns/mod.ts";
import { type Oid, StoreError } from "../../store/mod.ts";
import { topOf } from "./check.ts";

/** The files of one commit of `main`, by path, and a way to read them. */
export interface TreeFiles {
  readonly entries: ReadonlyMap<string, TreeFile>;
  /** @throws {StoreError} when the object is missing or damaged */
  read(oid: Oid): Promise<Uint8Array>;
  /** What `read` gave is needed no more. */
  release?(content: Uint8Array): void;
}

export interface TreeFile {
  readonly mode: string;
  readonly oid: Oid;
}

/** No zone file is larger: a million records are 26 MB. */
export const LARGEST_FILE = 256 * 1024 * 1024;

/** The id of a path's content, if that is a regular file: links and submodules are as good as not there. */
export function regularFile(files: TreeFiles, path: string): Oid | undefined {
  const entry = files.entries.get(path);
  return entry !== undefined && REGULAR.has(entry.mode) ? entry.oid : undefined;
}

/** Git writes the first two; the third stands in old repositories. */
const REGULAR: ReadonlySet<string> = new Set(["100644", "100755", "100664"]);

/**
 * A file's content, or the fault that it cannot be read: a broken pack is no reason that the zones which are whole are not
 * served. @throws {StoreError} for anything else than damage
 */
export async function readContent(
  files: TreeFiles,
  path: string,
  oid: Oid,
): Promise<{ readonly bytes: Uint8Array } | { readonly fault: Fault }> {
  try {
    return { bytes: await files.read(oid) };
  } catch (error) {
    if (!(error instanceof StoreError) || (error.code !== "corrupt" && error.code !== "missing")) throw error;
    const message = `its content cannot be read: ${error.message}`;
    return { fault: { position: topOf(path), severity: "error", code: UNREADABLE, message } };
  }
}

/** The code of that fault. It is the store's, not the people's: an older state is no remedy. */
export const UNREADABLE = "unreadable";
