import { dirname } from "node:path";
import { StoreError } from "../types.ts";
import type { ObjectReader, Oid, StoredEntry } from "../types.ts";
import { hashObject } from "../object/hash.ts";
import { oidFromBytes, toHex } from "../object/oid.ts";
import { indexPack, type PackStorage } from "../pack/index_pack.ts";
import { packObjects } from "../pack/pack_objects.ts";
import { breather } from "../repository/breather.ts";
import { ioError, randomSuffix } from "../repository/files.ts";
import { createFile, readExactly, removeIfThere, syncPath } from "./files.ts";
import { newSha1 } from "../repository/sha1.ts";
import { nodeZlib } from "../zlib/node.ts";
import { bundleIndexPath } from "./index_path.ts";
import { BUNDLE_LIMITS } from "./limits.ts";
import { reachedBy } from "./reached.ts";

export interface BundleOptions {
  readonly objects: ObjectReader & { storedEntry?(oid: Oid): StoredEntry | undefined };
  /** A commit of `objects`. */
  readonly commit: Oid;
  /** Where the pack goes; its name ends in `.pack`, the index beside it in `.idx`. */
  readonly path: string;
  /** Told after each object, how many of how many are written. */
  readonly progress?: ((written: number, of: number) => void) | undefined;
}

export interface WrittenBundle {
  readonly objects: number;
  readonly bytes: number;
  /** The pack's own checksum, in hexadecimal. */
  readonly checksum: string;
  readonly indexPath: string;
}

/**
 * Writes one plain pack: the commit first, then every tree and blob it reaches, without its history; and the index beside
 * it. What is written is read back and checked before it gets its name, so a file of that name is always whole; one that was
 * there is replaced.
 *
 * @throws {StoreError} `missing`, `corrupt` for what the repository lacks; `io`; `limit`
 */
export async function writeBundle(options: BundleOptions): Promise<WrittenBundle> {
  const { objects, commit, path } = options;
  const indexPath = bundleIndexPath(path);
  const items = await reachedBy(objects, commit);
  const temporary = `${path}.tmp_${randomSuffix()}`;
  const temporaryIndex = `${indexPath}.tmp_${randomSuffix()}`;
  try {
    using file = Deno.openSync(temporary, { read: true, write: true, createNew: true, mode: 0o644 });
    const chunks = packObjects(items, objects, { zlib: nodeZlib, newSha1, pause: breather() });
    let written = 0;
    const pack = await indexPack(chunks, {
      limits: BUNDLE_LIMITS,
      zlib: nodeZlib,
      newSha1,
      identify: (kind, content) => hashObject(kind, content, newSha1),
      storage: appendingTo(file),
      onObject: () => options.progress?.(++written, items.length),
      pause: breather(),
    });
    if (pack.count !== items.length || oidFromBytes(pack.oids) !== commit) {
      throw new StoreError("io", `${path}: what was written is not what was meant to be`);
    }
    await file.sync();
    await createFile(temporaryIndex, pack.index, { mode: 0o644, sync: true });
    // The pack alone is enough, an index of another pack is a fault: so the old index goes first, the new one comes last.
    await removeIfThere(indexPath);
    await Deno.rename(temporary, path);
    await Deno.rename(temporaryIndex, indexPath);
    await syncPath(dirname(path));
    return { objects: pack.count, bytes: pack.bytes, checksum: toHex(pack.checksum), indexPath };
  } catch (error) {
    for (const left of [temporary, temporaryIndex]) await removeIfThere(left);
    if (error instanceof StoreError || error instanceof Deno.errors.NotCapable) throw error;
    throw ioError(`cannot write ${path}`, error);
  }
}

function appendingTo(file: Deno.FsFile): PackStorage {
  let length = 0;
  const never = () => {
    throw new StoreError("io", "a pack without outside bases was to be completed");
  };
  return {
    append(bytes) {
      file.seekSync(length, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      length += bytes.length;
      return Promise.resolve();
    },
    read: (offset, count) => readExactly(file, offset, count),
    overwrite: never,
    truncate: never,
  };
}
