import { StoreError } from "../types.ts";
import type { ObjectReader, Oid } from "../types.ts";
import { decodeTree, entryName, isTreeEntry } from "../object/tree.ts";
import type { TreeEntry } from "../object/tree.ts";
import { deepestFolder, readContent, resolveTree } from "./paths.ts";

/** A file that is not the same on both sides; at least one side is there. */
export interface FileChange {
  readonly path: string;
  readonly old?: FileSide;
  readonly new?: FileSide;
}

export interface FileSide {
  readonly mode: string;
  readonly oid: Oid;
}

/**
 * The files in which two trees (or commits) differ, by path. Folders with one id on both sides are never read, so the
 * cost goes with the change.
 */
export async function diffTrees(
  reader: ObjectReader,
  before: Oid | undefined,
  after: Oid | undefined,
): Promise<FileChange[]> {
  const changes: FileChange[] = [];
  const [old, next] = [before, after];
  await diff(
    reader,
    old === undefined ? undefined : await resolveTree(reader, old),
    next === undefined ? undefined : await resolveTree(reader, next),
    "",
    changes,
    0,
  );
  return changes.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

async function diff(
  reader: ObjectReader,
  before: Oid | undefined,
  after: Oid | undefined,
  prefix: string,
  changes: FileChange[],
  depth: number,
): Promise<void> {
  if (before === after) return;
  if (depth > deepestFolder) throw new StoreError("limit", `folders nested deeper than ${deepestFolder}`);
  const old = await entriesByName(reader, before);
  const next = await entriesByName(reader, after);
  for (const name of new Set([...old.keys(), ...next.keys()])) {
    const a = old.get(name);
    const b = next.get(name);
    if (a?.oid === b?.oid && a?.mode === b?.mode) continue;
    const path = prefix + name;
    await diff(reader, folder(a), folder(b), `${path}/`, changes, depth + 1);
    const oldFile = file(a);
    const newFile = file(b);
    if (oldFile === undefined && newFile === undefined) continue;
    changes.push({
      path,
      ...(oldFile === undefined ? {} : { old: oldFile }),
      ...(newFile === undefined ? {} : { new: newFile }),
    });
  }
}

async function entriesByName(reader: ObjectReader, tree: Oid | undefined): Promise<Map<string, TreeEntry>> {
  if (tree === undefined) return new Map();
  return new Map(
    decodeTree(await readContent(reader, tree, "tree")).map((entry) => [entryName(entry), entry]),
  );
}

function folder(entry: TreeEntry | undefined): Oid | undefined {
  return entry !== undefined && isTreeEntry(entry) ? entry.oid : undefined;
}

function file(entry: TreeEntry | undefined): FileSide | undefined {
  return entry === undefined || isTreeEntry(entry) ? undefined : { mode: entry.mode, oid: entry.oid };
}
