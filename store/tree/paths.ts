import { StoreError } from "../types.ts";
import type { GitObject, ObjectKind, ObjectReader, Oid } from "../types.ts";
import { decodeCommit, decodeTag } from "../object/commit.ts";
import { decodeTree, entryName, isGitlink, isTreeEntry } from "../object/tree.ts";
import type { TreeEntry } from "../object/tree.ts";

/** A file of a tree. `path` is UTF-8, or one character a byte where a name is not that; parts are joined by `/`. */
export interface FileEntry {
  readonly path: string;
  /** As the tree has it: `100644`, `100755`, `120000` (a symbolic link), `160000` (a submodule). */
  readonly mode: string;
  readonly oid: Oid;
}

/** Every file below `prefix` (a folder; the whole tree without it), in git's order. */
export async function listFiles(reader: ObjectReader, commitOrTree: Oid, prefix = ""): Promise<FileEntry[]> {
  const files: FileEntry[] = [];
  let tree = await resolveTree(reader, commitOrTree);
  const parts = prefix.split("/").filter((part) => part !== "");
  for (const part of parts) {
    const entry = decodeTree(await readContent(reader, tree, "tree")).find((each) =>
      entryName(each) === part
    );
    if (entry === undefined || !isTreeEntry(entry)) return [];
    tree = entry.oid;
  }
  await collect(reader, tree, parts.map((part) => `${part}/`).join(""), files);
  return files;
}

/** The entry at a path; `undefined` where there is none. */
export async function findEntry(
  reader: ObjectReader,
  commitOrTree: Oid,
  path: string,
): Promise<TreeEntry | undefined> {
  let tree = await resolveTree(reader, commitOrTree);
  const parts = path.split("/");
  for (const [index, part] of parts.entries()) {
    const entry = decodeTree(await readContent(reader, tree, "tree")).find((each) =>
      entryName(each) === part
    );
    if (entry === undefined || index === parts.length - 1) return entry;
    if (!isTreeEntry(entry)) return undefined;
    tree = entry.oid;
  }
  return undefined;
}

/** The file's bytes; `undefined` where there is no file (a folder or a submodule is none). */
export async function readPath(
  reader: ObjectReader,
  commitOrTree: Oid,
  path: string,
): Promise<Uint8Array | undefined> {
  const entry = await findEntry(reader, commitOrTree, path);
  if (entry === undefined || isTreeEntry(entry) || isGitlink(entry)) return undefined;
  return await readContent(reader, entry.oid, "blob");
}

/** The tree of a commit, of the commit a tag names, or the tree itself. @throws {StoreError} `missing`, `malformed` */
export async function resolveTree(reader: ObjectReader, oid: Oid): Promise<Oid> {
  const object = await readPeeled(reader, oid);
  if (object.kind === "tree") return object.oid;
  if (object.kind === "commit") return decodeCommit(object.content).tree;
  throw new StoreError("malformed", `${oid} is a ${object.kind}, where a commit or tree is wanted`);
}

/** An object as it is read, whatever names it. */
export async function readPeeled(reader: ObjectReader, oid: Oid): Promise<GitObject & { readonly oid: Oid }> {
  let at = oid;
  // Tags of tags: nobody makes many.
  for (let step = 0; step < 16; step++) {
    const object = await reader.read(at);
    if (object === undefined) throw new StoreError("missing", `object ${at} is not here`);
    if (object.kind !== "tag") return { ...object, oid: at };
    at = decodeTag(object.content).object;
  }
  throw new StoreError("malformed", `${oid} is a tag of a tag of a tag …`);
}

/** @throws {StoreError} `missing`, or `malformed` where it is of another kind */
export async function readContent(reader: ObjectReader, oid: Oid, kind: ObjectKind): Promise<Uint8Array> {
  const object = await reader.read(oid);
  if (object === undefined) throw new StoreError("missing", `${kind} ${oid} is not here`);
  if (object.kind !== kind) {
    throw new StoreError("malformed", `object ${oid} is a ${object.kind} where a ${kind} is wanted`);
  }
  return object.content;
}

/** Folders in folders beyond this are refused: no honest tree is that deep, and each level costs a stack frame. */
export const deepestFolder = 256;

async function collect(
  reader: ObjectReader,
  tree: Oid,
  prefix: string,
  files: FileEntry[],
  depth = 0,
): Promise<void> {
  if (depth > deepestFolder) throw new StoreError("limit", `folders nested deeper than ${deepestFolder}`);
  for (const entry of decodeTree(await readContent(reader, tree, "tree"))) {
    const path = prefix + entryName(entry);
    if (isTreeEntry(entry)) await collect(reader, entry.oid, `${path}/`, files, depth + 1);
    else files.push({ path, mode: entry.mode, oid: entry.oid });
  }
}
