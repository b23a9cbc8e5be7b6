import { StoreError } from "../types.ts";
import type { Oid, Repository } from "../types.ts";
import { textOf, utf8 } from "../object/bytes.ts";
import { objectOid } from "../object/hash.ts";
import {
  createFile,
  exists,
  ioError,
  listFolder,
  readFileIfThere,
  removeIfThere,
  syncPath,
} from "./files.ts";
import { looseHeap, refuseCollision } from "./loose_heap.ts";
import { packedHeap } from "./packed_heap.ts";
import { openQuarantine, quarantinePrefix } from "./quarantine.ts";
import { isRefName } from "./ref_name.ts";
import { openRefs } from "./refs.ts";
import { newSha1 } from "./sha1.ts";

export interface OpenOptions {
  /**
   * Says that the caller alone writes here (it holds the data folder's lock): what a killed run left half done,
   * quarantines, temporary files and locks, is removed. Without it nothing is touched.
   */
  readonly owner?: boolean;
}

/**
 * Makes a bare repository as `git init --bare` does, or opens the one that is there.
 * @throws {StoreError} `io`, and as `openRepository`
 */
export async function initRepository(
  path: string,
  options: OpenOptions & { readonly head?: string } = {},
): Promise<Repository> {
  const head = options.head ?? "refs/heads/main";
  if (!isRefName(head)) throw new StoreError("malformed", `${JSON.stringify(head)} is not a valid ref name`);
  if (!await exists(`${path}/HEAD`)) {
    try {
      for (const folder of ["objects/info", "objects/pack", "refs/heads", "refs/tags"]) {
        await Deno.mkdir(`${path}/${folder}`, { recursive: true });
      }
      await writeOnce(`${path}/config`, bareConfig);
      await writeOnce(`${path}/description`, "Zones served by Bailiwick.\n");
      for (const folder of ["objects", "refs"]) await syncPath(`${path}/${folder}`);
      // Last: what has no HEAD is no repository, so a kill before this leaves one that is made again.
      await writeOnce(`${path}/HEAD`, `ref: ${head}\n`);
      await syncPath(path);
    } catch (error) {
      throw ioError(`cannot make a repository at ${path}`, error);
    }
  }
  return await openRepository(path, options);
}

/**
 * Opens a repository on disk; a working copy's is found in its `.git`.
 * @throws {StoreError} `missing` where there is none, `malformed` where it is of a kind that is not understood
 */
export async function openRepository(path: string, options: OpenOptions = {}): Promise<Repository> {
  const root = await locate(path);
  await refuseUnknownFormat(root);
  const objects = `${root}/objects`;
  if (options.owner === true) await sweep(root, objects);
  const loose = looseHeap(objects);
  const packed = packedHeap(`${objects}/pack`);
  // Packs again at the end, and only then is their folder looked at: a repack may have moved the object meanwhile.
  const has = async (oid: Oid) => packed.hasKnown(oid) || loose.has(oid) || await packed.has(oid);
  const read = async (oid: Oid) => packed.readKnown(oid) ?? await loose.read(oid) ?? await packed.read(oid);
  return {
    path: root,
    refs: openRefs(root, has),
    read,
    has,
    storedEntry: (oid) => packed.entryKnown(oid),
    async write(kind, content) {
      const object = { kind, content };
      const oid = objectOid(kind, content, newSha1);
      const present = await packed.read(oid);
      if (present === undefined) await loose.write(oid, object);
      else refuseCollision(oid, present, object);
      return oid;
    },
    sync: () => loose.sync(),
    quarantine: () => openQuarantine({ objects, loose, packed, read, has }),
    close: () => packed.close(),
  };
}

const bareConfig = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

async function writeOnce(path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await Deno.remove(temporary).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  await createFile(temporary, utf8(text), { mode: 0o666, sync: true });
  await Deno.rename(temporary, path);
}

async function locate(path: string): Promise<string> {
  for (const root of [path, `${path}/.git`]) {
    if (await exists(`${root}/HEAD`) && await exists(`${root}/objects`)) return root;
  }
  throw new StoreError("missing", `${path} is not a git repository`);
}

async function refuseUnknownFormat(root: string): Promise<void> {
  const config = textOf(await readFileIfThere(`${root}/config`) ?? new Uint8Array()).toLowerCase();
  const version = /^\s*repositoryformatversion\s*=\s*(\d+)/m.exec(config)?.[1] ?? "0";
  const unknown = Number(version) > 1
    ? `format version ${version}`
    : /^\s*objectformat\s*=\s*"?(?!sha1)/m.test(config)
    ? "object ids other than SHA-1"
    : /^\s*refstorage\s*=\s*"?(?!files)/m.test(config)
    ? "refs in another form than files"
    : /^\s*partialclone\s*=/m.test(config)
    ? "objects that are left with a promisor"
    : await exists(`${root}/objects/info/alternates`)
    ? "objects borrowed from another repository (alternates)"
    : undefined;
  if (unknown !== undefined) {
    throw new StoreError("malformed", `${root} uses ${unknown}, which is not supported`);
  }
}

async function sweep(root: string, objects: string): Promise<void> {
  try {
    for (const entry of await listFolder(objects)) {
      if (entry.name.startsWith(quarantinePrefix)) {
        await Deno.remove(`${objects}/${entry.name}`, { recursive: true });
      } else if (/^([0-9a-f]{2}|pack)$/.test(entry.name)) {
        for (const file of await listFolder(`${objects}/${entry.name}`)) {
          if (file.name.startsWith("tmp_")) await Deno.remove(`${objects}/${entry.name}/${file.name}`);
        }
      }
    }
    await removeIfThere(`${root}/packed-refs.lock`);
    await sweepLocks(`${root}/refs`);
  } catch (error) {
    throw ioError(`cannot sweep ${objects}`, error);
  }
}

async function sweepLocks(folder: string): Promise<void> {
  for (const entry of await listFolder(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) await sweepLocks(path);
    else if (entry.name.endsWith(".lock")) await removeIfThere(path);
  }
}
