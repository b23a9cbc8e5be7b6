import { StoreError } from "../types.ts";
import type { Oid, Pause } from "../types.ts";
import { hashObject } from "../object/hash.ts";
import { toHex } from "../object/oid.ts";
import { indexPack } from "../pack/index_pack.ts";
import type { IndexedPack } from "../pack/index_pack.ts";
import type { PackItem } from "../pack/find_deltas.ts";
import { packObjects } from "../pack/pack_objects.ts";
import { createFile, randomSuffix } from "./files.ts";
import { packStorage } from "./pack_storage.ts";
import type { Heaps } from "./quarantine.ts";

/** Our own packs: what is in them was within the bounds of its time. */
const ownPackLimits = {
  packBytes: Number.MAX_SAFE_INTEGER,
  objectBytes: 2 ** 30,
  objects: 2 ** 32,
  deltaDepth: 4096,
  deltaWork: Number.MAX_SAFE_INTEGER,
};

/**
 * Makes a pack of these objects, durable and in its place when it returns; gives its name without an ending. Every object
 * of it was read back, and has the id it should have. Stored deltas are used again, and new ones looked for where wanted.
 * @throws {StoreError} `Unpackable` for an object that cannot be read
 */
export async function makePack(
  heaps: Heaps,
  items: readonly PackItem<Oid>[],
  options: { readonly searchDeltas: boolean; readonly pause: Pause },
): Promise<string> {
  const { searchDeltas, pause } = options;
  const { device, tools } = heaps;
  const folder = "objects/pack";
  const suffix = randomSuffix();
  const temporary = { pack: `${folder}/tmp_pack_${suffix}`, idx: `${folder}/tmp_idx_${suffix}` };
  try {
    const file = await device.create(temporary.pack, "fixed");
    let made: IndexedPack;
    try {
      const chunks = packObjects(items, sourceOf(heaps), {
        zlib: tools.zlib,
        newSha1: tools.newSha1,
        window: searchDeltas ? 10 : 0,
        packOf: (oid) => heaps.packed.packOf(oid),
        pause,
      });
      made = await indexPack(chunks, {
        limits: ownPackLimits,
        zlib: tools.zlib,
        newSha1: tools.newSha1,
        identify: (kind, content) => hashObject(kind, content, tools.newSha1),
        storage: packStorage(file),
        pause,
      });
      await file.sync();
    } finally {
      file.close();
    }
    const base = `pack-${toHex(made.checksum)}`;
    await createFile(device, temporary.idx, made.index, { access: "fixed", sync: true });
    await heaps.inTurn(async () => {
      await device.rename(temporary.idx, `${folder}/${base}.idx`);
      await device.rename(temporary.pack, `${folder}/${base}.pack`);
      await device.sync(folder);
    });
    await heaps.packed.rescan();
    const index = heaps.packed.packs().find((pack) => pack.base === base)?.index;
    let whole = index?.count === items.length;
    for (const { id } of items) {
      await pause();
      whole &&= index?.rankOf(id) !== undefined;
    }
    if (!whole) throw new StoreError("corrupt", `${base}.pack does not hold what it was made of`);
    return base;
  } finally {
    for (const path of [temporary.idx, temporary.pack]) await device.remove(path);
  }
}

/** An object that was to be packed and cannot be read. */
export class Unpackable extends StoreError {
  constructor(readonly oid: Oid, cause: unknown) {
    super("corrupt", `object ${oid} cannot be packed`, { cause });
  }
}

function sourceOf({ packed, read }: Heaps) {
  return {
    storedEntry: (oid: Oid) => packed.entryKnown(oid),
    async read(oid: Oid) {
      try {
        const object = await read(oid);
        if (object !== undefined) return object;
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== "corrupt") throw error;
        throw new Unpackable(oid, error);
      }
      throw new Unpackable(oid, undefined);
    },
  };
}
