import { StoreError } from "../types.ts";
import type { ObjectReader, Oid, StoredEntry } from "../types.ts";
import { equalBytes } from "../object/bytes.ts";
import { decodeCommit } from "../object/commit.ts";
import { fsckObject } from "../object/fsck.ts";
import { hashObject } from "../object/hash.ts";
import { oidFromBytes } from "../object/oid.ts";
import { entryType, kindOfType } from "../pack/entry.ts";
import { decodePackIndex, type PackIndex } from "../pack/index_file.ts";
import { type IndexedPack, indexPack } from "../pack/index_pack.ts";
import { readPack } from "../pack/read_pack.ts";
import { breather } from "../repository/breather.ts";
import { checkConnectivity } from "../repository/connectivity.ts";
import { ioError } from "../repository/files.ts";
import { readExactly, readFileIfThere } from "./files.ts";
import { newSha1 } from "../repository/sha1.ts";
import { readContent } from "../tree/paths.ts";
import { nodeZlib } from "../zlib/node.ts";
import { bundleIndexPath } from "./index_path.ts";
import { BUNDLE_LIMITS } from "./limits.ts";

/** One file as a store: a pack that holds one commit and all of its files. Read-only. */
export interface Bundle extends ObjectReader {
  readonly path: string;
  readonly commit: Oid;
  /** Of the commit; they are not in the bundle. */
  readonly parents: readonly Oid[];
  readonly objects: number;
  readonly bytes: number;
  /** As `Repository.storedEntry`. */
  storedEntry(oid: Oid): StoredEntry | undefined;
  close(): void;
}

/**
 * Opens a pack that needs nothing around it, and verifies all of it first: its checksum, every object's form, that there
 * is exactly one commit and that its files are all there. An index beside it is not needed; one that is there must be
 * this pack's. Memory: the index, and what indexing a pack takes; not the pack.
 *
 * @throws {StoreError} naming the file: `missing`, `io`; `malformed`, `fsck`, `corrupt`, `limit`, `connectivity` for its content
 */
export async function openBundle(path: string): Promise<Bundle> {
  const pack = await indexOf(path);
  const index = decodePackIndex<Oid>(pack.index);
  await refuseForeignIndex(path, pack);
  const commit = onlyCommit(path, pack);

  const file = Deno.openSync(path, { read: true });
  const objects = readPack<Oid>({
    name: path,
    index,
    size: pack.bytes,
    map: (offset, length) => readExactly(file, offset, length),
    zlib: nodeZlib,
  });
  const reader: ObjectReader = {
    read(oid) {
      const rank = index.rankOf(oid);
      if (rank === undefined) return Promise.resolve(undefined);
      const object = objects.read(rank);
      // The file may be changed while it is open.
      if (oidFromBytes(hashObject(object.kind, object.content, newSha1)) === oid) {
        return Promise.resolve(object);
      }
      throw new StoreError("corrupt", `${path}: object ${oid} is damaged`);
    },
    has: (oid) => Promise.resolve(index.rankOf(oid) !== undefined),
  };
  try {
    const { tree, parents } = decodeCommit(await readContent(reader, commit, "commit"));
    const types = typesByRank(index, pack);
    const whole = await checkConnectivity(
      { ...reader, kindOf: (oid) => kindAt(types, index.rankOf(oid)) },
      [tree],
      () => Promise.resolve(false),
    );
    if (!whole.ok) throw whole.error;
    return {
      ...reader,
      path,
      commit,
      parents,
      objects: pack.count,
      bytes: pack.bytes,
      storedEntry: (oid) => {
        const rank = index.rankOf(oid);
        return rank === undefined ? undefined : objects.entryAt(rank);
      },
      close: () => file.close(),
    };
  } catch (error) {
    file.close();
    throw named(path, error);
  }
}

/** Reads the file from end to end: resolves and checks every object. */
async function indexOf(path: string): Promise<IndexedPack> {
  try {
    using file = await Deno.open(path, { read: true });
    const { size, isFile } = await file.stat();
    if (!isFile) throw new StoreError("malformed", "it is not a file");
    const never = () => {
      throw new StoreError("malformed", "it is not whole in itself");
    };
    const pack = await indexPack(chunksOf(file), {
      limits: BUNDLE_LIMITS,
      zlib: nodeZlib,
      newSha1,
      identify: (kind, content) => hashObject(kind, content, newSha1),
      storage: {
        append: () => Promise.resolve(),
        read: (offset, length) => readExactly(file, offset, length),
        overwrite: never,
        truncate: never,
      },
      onObject(object, oid) {
        const fault = fsckObject(object);
        if (fault === undefined) return;
        throw new StoreError("fsck", `${object.kind} ${oidFromBytes(oid)}: ${fault.id}: ${fault.message}`);
      },
      pause: breather(),
    });
    if (pack.bytes !== size) {
      throw new StoreError("malformed", `${size - pack.bytes} bytes follow the end of the pack`);
    }
    return pack;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new StoreError("missing", `there is no bundle ${path}`);
    throw named(path, error);
  }
}

/** The place is kept here: what indexing reads back between two chunks moves the file's own. */
async function* chunksOf(file: Deno.FsFile): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0;;) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    await file.seek(at, Deno.SeekMode.Start);
    const count = await file.read(chunk);
    if (count === null) return;
    at += count;
    yield chunk.subarray(0, count);
  }
}

const CHUNK_BYTES = 256 * 1024;

async function refuseForeignIndex(path: string, pack: IndexedPack): Promise<void> {
  const indexPath = bundleIndexPath(path);
  const beside = await readFileIfThere(indexPath);
  if (beside === undefined || equalBytes(beside, pack.index)) return;
  throw new StoreError(
    "corrupt",
    `${indexPath} is not the index of ${path}; the pack is whole and enough by itself: remove the index, or make it ` +
      `again with git index-pack`,
  );
}

function onlyCommit(path: string, pack: IndexedPack): Oid {
  const commits: Oid[] = [];
  pack.types.forEach((type, at) => {
    if (type === entryType.commit) commits.push(oidFromBytes(pack.oids, at * 20));
  });
  if (commits.length === 1) return commits[0];
  throw new StoreError(
    "malformed",
    `${path} holds ${commits.length} commits; a bundle has exactly one (bailiwick bundle makes them)`,
  );
}

/** By the object's place in the order of ids, what it is. */
function typesByRank(index: PackIndex<Oid>, pack: IndexedPack): Uint8Array {
  const types = new Uint8Array(index.count);
  for (let at = 0; at < pack.count; at++) {
    const rank = index.rankOf(oidFromBytes(pack.oids, at * 20));
    if (rank !== undefined) types[rank] = pack.types[at] ?? 0;
  }
  return types;
}

function kindAt(types: Uint8Array, rank: number | undefined) {
  const type = rank === undefined ? 0 : types[rank];
  return type === 0 ? undefined : kindOfType(type);
}

function named(path: string, error: unknown): unknown {
  if (error instanceof StoreError) {
    return new StoreError(error.code, `${path}: ${error.message}`, { cause: error });
  }
  return error instanceof Deno.errors.NotCapable ? error : ioError(`cannot read ${path}`, error);
}
