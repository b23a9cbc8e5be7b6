import { findDeltas } from "./find_deltas.ts";
import type { FindDeltasOptions, PackItem } from "./find_deltas.ts";
import type { NewSha1, PackedEntry } from "./types.ts";
import { writePack } from "./write_pack.ts";
import type { PackSource } from "./write_pack.ts";

export interface PackObjectsOptions<Id extends string = string>
  extends Omit<FindDeltasOptions<Id>, "reused"> {
  readonly newSha1: NewSha1;
  /** Whether deltas may name their base by its place in the pack. Default: true. */
  readonly offsetDeltas?: boolean | undefined;
  /** Whether deltas that are stored go out as they are, where their base does too. Default: true. */
  readonly reuse?: boolean | undefined;
}

/**
 * A pack of these objects, chunk by chunk as it is taken: stored deltas are used again, for the rest the search of
 * `findDeltas` looks for some. In their order, but a base stands before the deltas on it. With `thinBases` the pack is
 * thin where that is shorter. Memory: the window, the cache of deltas, and some two hundred bytes an object.
 * @throws {StoreError} `missing`, `corrupt`, `malformed` where an object is asked for twice
 */
export async function* packObjects<Id extends string>(
  items: readonly PackItem<Id>[],
  source: PackSource<Id>,
  options: PackObjectsOptions<Id>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { zlib, newSha1, pause, depth, thinBases = [], reuse = true, offsetDeltas = true } = options;
  const ids = items.map((item) => item.id);
  const inPack = new Set(ids);
  const outside = new Set(thinBases.map((item) => item.id).filter((id) => !inPack.has(id)));
  const usable = (id: Id) => inPack.has(id) || outside.has(id);
  const storedEntry = (id: Id): PackedEntry<Id> | undefined => {
    const entry = source.storedEntry?.(id);
    return entry?.kind === "delta" && (!reuse || !usable(entry.base)) ? undefined : entry;
  };
  const bases = reuse ? await storedBases(ids, storedEntry, pause) : new Map<Id, Id>();
  const deltas = await findDeltas(items, (id) => source.read(id), {
    ...options,
    thinBases: thinBases.filter((item) => outside.has(item.id)),
    reused: (id) => bases.get(id),
  });
  yield* writePack(ids, { read: (id) => source.read(id), storedEntry }, {
    zlib,
    newSha1,
    offsetDeltas,
    depth,
    deltas,
    hasBase: (id) => outside.has(id),
    pause,
  });
}

async function storedBases<Id extends string>(
  ids: readonly Id[],
  storedEntry: (id: Id) => PackedEntry<Id> | undefined,
  pause: (() => Promise<void>) | undefined,
): Promise<Map<Id, Id>> {
  const bases = new Map<Id, Id>();
  for (const id of ids) {
    await pause?.();
    const entry = storedEntry(id);
    if (entry?.kind === "delta") bases.set(id, entry.base);
  }
  return bases;
}
