import type { Oid } from "../../store/mod.ts";

/** The files of one commit of `main`, by path, and a way to read them. */
export interface TreeFiles {
  readonly entries: ReadonlyMap<string, TreeFile>;
  /** @throws {StoreError} when the object is missing or damaged */
  read(oid: Oid): Promise<Uint8Array>;
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
