import { StoreError } from "../types.ts";
import type { Oid, Repository } from "../types.ts";
import { utf8 } from "../object/bytes.ts";
import { composeCommit } from "../object/commit.ts";
import { formatPerson } from "../object/person.ts";
import type { Person } from "../object/person.ts";
import { compareEntries, decodeTree, encodeTree, entryName, isTreeEntry } from "../object/tree.ts";
import type { TreeEntry } from "../object/tree.ts";
import { isSafeEntryName } from "../object/entry_name.ts";
import { withSignature } from "../signature/signature_header.ts";
import type { SignPayload } from "../signature/signature_header.ts";
import { readContent, resolveTree } from "./paths.ts";

/**
 * A tree like `base` (a tree or commit; `undefined`: empty) with files set or, by `undefined`, removed. A new file has
 * mode 100644, one that is there keeps its own; folders that become empty go. A file in the way of a folder, or a
 * folder in the way of a file, is replaced. Nothing is durable before `repository.sync()`.
 * @throws {StoreError} `malformed` for a path that no tree may hold
 */
export async function writeTree(
  repository: Repository,
  base: Oid | undefined,
  edits: ReadonlyMap<string, Uint8Array | undefined>,
): Promise<Oid> {
  const root: Folder = { files: new Map(), folders: new Map() };
  for (const [path, content] of edits) place(root, path, content);
  const tree = await applyFolder(
    repository,
    base === undefined ? undefined : await resolveTree(repository, base),
    root,
  );
  return tree ?? await repository.write("tree", new Uint8Array());
}

/**
 * Writes a commit; the message is taken as it is (by custom it ends in a newline).
 *
 * @param commit.sign makes the signature that the header `gpgsig` holds, out of the commit without it
 */
export async function writeCommit(
  repository: Repository,
  commit: {
    readonly tree: Oid;
    readonly parents: readonly Oid[];
    readonly author: Person;
    readonly committer: Person;
    readonly message: string;
    readonly sign?: SignPayload | undefined;
  },
): Promise<Oid> {
  if (commit.message.includes("\0")) throw new StoreError("malformed", "a commit message with a NUL");
  const content = composeCommit({
    ...commit,
    author: formatPerson(commit.author),
    committer: formatPerson(commit.committer),
  });
  if (commit.sign === undefined) return await repository.write("commit", content);
  return await repository.write("commit", withSignature(content, await commit.sign(content)));
}

interface Folder {
  readonly files: Map<string, Uint8Array | undefined>;
  readonly folders: Map<string, Folder>;
}

function place(root: Folder, path: string, content: Uint8Array | undefined): void {
  const parts = path.split("/");
  const name = parts.pop() ?? "";
  for (const part of [...parts, name]) {
    if (!isSafeEntryName(utf8(part))) {
      throw new StoreError("malformed", `${JSON.stringify(path)} cannot be a path in a tree`);
    }
  }
  let folder = root;
  for (const part of parts) {
    const below: Folder = folder.folders.get(part) ?? { files: new Map(), folders: new Map() };
    folder.folders.set(part, below);
    folder = below;
  }
  folder.files.set(name, content);
}

/** The new tree's id; `undefined` where nothing is left in it. */
async function applyFolder(
  repository: Repository,
  tree: Oid | undefined,
  edits: Folder,
): Promise<Oid | undefined> {
  const before = tree === undefined ? [] : decodeTree(await readContent(repository, tree, "tree"));
  const entries = new Map<string, TreeEntry>(before.map((entry) => [entryName(entry), entry]));
  for (const [name, content] of edits.files) {
    const present = entries.get(name);
    if (content === undefined) {
      if (present !== undefined && !isTreeEntry(present)) entries.delete(name);
      continue;
    }
    const mode = present === undefined || isTreeEntry(present) ? "100644" : present.mode;
    entries.set(name, {
      mode,
      name: present?.name ?? utf8(name),
      oid: await repository.write("blob", content),
    });
  }
  for (const [name, folder] of edits.folders) {
    const present = entries.get(name);
    const below = present !== undefined && isTreeEntry(present) ? present.oid : undefined;
    const oid = await applyFolder(repository, below, folder);
    if (oid !== undefined) {
      entries.set(name, { mode: "40000", name: present?.name ?? utf8(name), oid });
    } else if (below !== undefined) {
      entries.delete(name);
    }
  }
  if (entries.size === 0) return undefined;
  return await repository.write("tree", encodeTree([...entries.values()].sort(compareEntries)));
}
