import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { GitObject, Oid, PackLimits, PackSummary, Quarantine } from "../types.ts";
import { fsckObject } from "../object/fsck.ts";
import { hashObject } from "../object/hash.ts";
import { objectLinks } from "../object/links.ts";
import { oidFromBytes } from "../object/oid.ts";
import { toHex } from "../object/oid.ts";
import { kindOfType } from "../pack/entry.ts";
import { decodePackIndex } from "../pack/index_file.ts";
import type { PackIndex } from "../pack/index_file.ts";
import { indexPack } from "../pack/index_pack.ts";
import type { IndexedPack, PackStorage } from "../pack/index_pack.ts";
import { nodeZlib } from "../zlib/node.ts";
import { breather } from "./breather.ts";
import { createFile, ioError, randomSuffix, removeIfThere, syncPath } from "./files.ts";
import { refuseCollision } from "./loose_heap.ts";
import type { LooseHeap } from "./loose_heap.ts";
import { packedHeap, readExactly } from "./packed_heap.ts";
import type { PackedHeap } from "./packed_heap.ts";
import { newSha1 } from "./sha1.ts";

/** Quarantines are named as git names them, so that `git prune` knows them for litter. */
export const quarantinePrefix = "tmp_objdir-incoming-";

/** Packs of fewer objects are stored loose (git's `receive.unpackLimit`): else every push would leave a pack. */
const unpackLimit = 100;

export interface Heaps {
  readonly objects: string;
  readonly loose: LooseHeap;
  readonly packed: PackedHeap;
  /** Of both, whatever is repacked meanwhile. */
  readonly read: (oid: Oid) => Promise<GitObject | undefined>;
  readonly has: (oid: Oid) => Promise<boolean>;
}

interface ArrivedPack {
  readonly name: string;
  /** By the object's place among the ids as sorted: its kind, or 0 for a base that was added to a thin pack. */
  readonly types: Uint8Array;
  readonly index: PackIndex<Oid>;
  readonly received: readonly Oid[];
  readonly count: number;
}

export async function openQuarantine(heaps: Heaps): Promise<Quarantine> {
  const folder = `${heaps.objects}/${quarantinePrefix}${randomSuffix()}`;
  try {
    await Deno.mkdir(`${folder}/pack`, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw ioError("cannot make a quarantine", error);
  }
  const arrived = packedHeap(`${folder}/pack`);
  const packs: ArrivedPack[] = [];
  let open = true;

  async function discard(): Promise<void> {
    if (!open) return;
    open = false;
    arrived.close();
    packs.length = 0;
    try {
      await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw ioError("cannot remove a quarantine", error);
    }
  }

  return {
    async read(oid) {
      return (open ? arrived.readKnown(oid) : undefined) ?? await heaps.read(oid);
    },
    async has(oid) {
      return (open && arrived.hasKnown(oid)) || await heaps.has(oid);
    },
    *oids() {
      for (const pack of packs) yield* pack.received;
    },
    kindOf(oid) {
      for (const { index, types } of packs) {
        const type = types[index.rankOf(oid) ?? types.length] ?? 0;
        if (type !== 0) return kindOfType(type);
      }
      return undefined;
    },

    async receivePack(chunks, limits): Promise<Result<PackSummary, StoreError>> {
      if (!open) return { ok: false, error: new StoreError("io", "the quarantine is closed") };
      const temporary = `${folder}/pack/tmp_pack_${randomSuffix()}`;
      let name: string | undefined;
      try {
        const pack = await writePack(temporary, chunks, limits, heaps.read);
        const received = oidsOf(pack);
        if (pack.count > 0) {
          name = `pack-${toHex(pack.checksum)}`;
          await Deno.rename(temporary, `${folder}/pack/${name}.pack`);
          await createFile(`${folder}/pack/${name}.idx`, pack.index, { mode: 0o444, sync: false });
          await arrived.rescan();
          await refuseCollisions(received, arrived, heaps);
          packs.push(arrivedPack(name, pack, received));
        }
        return { ok: true, value: { objects: pack.received, bytes: pack.bytes } };
      } catch (error) {
        await removeIfThere(temporary);
        if (name !== undefined) {
          for (const ending of ["idx", "pack"]) await removeIfThere(`${folder}/pack/${name}.${ending}`);
          await arrived.rescan();
        }
        if (error instanceof StoreError) return { ok: false, error };
        if (error instanceof Deno.errors.NotCapable || error instanceof TypeError) throw error;
        return { ok: false, error: ioError("cannot take the pack in", error) };
      }
    },

    async migrate() {
      if (!open) return;
      try {
        for (const pack of packs) {
          if (pack.count < unpackLimit) await unpack(pack.received, arrived, heaps.loose);
          else await movePack(`${folder}/pack`, `${heaps.objects}/pack`, pack.name);
        }
        await heaps.loose.sync();
        await heaps.packed.rescan();
      } catch (error) {
        throw error instanceof StoreError ? error : ioError("cannot admit what arrived", error);
      }
      await discard();
    },
    discard,
  };
}

async function writePack(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  limits: PackLimits,
  inRepository: (oid: Oid) => Promise<GitObject | undefined>,
): Promise<IndexedPack> {
  using file = Deno.openSync(path, { read: true, write: true, createNew: true, mode: 0o444 });
  return await indexPack(chunks, {
    limits,
    zlib: nodeZlib,
    newSha1,
    identify: (kind, content) => hashObject(kind, content, newSha1),
    storage: fileStorage(file),
    external: (oid) => inRepository(oidFromBytes(oid)),
    onObject(object, oid) {
      const fault = fsckObject(object);
      if (fault !== undefined) {
        throw new StoreError("fsck", `${object.kind} ${oidFromBytes(oid)}: ${fault.id}: ${fault.message}`);
      }
    },
    pause: breather(),
  });
}

function fileStorage(file: Deno.FsFile): PackStorage {
  let length = 0;
  const writeAt = (offset: number, bytes: Uint8Array) => {
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  };
  return {
    append(bytes) {
      writeAt(length, bytes);
      length += bytes.length;
      return Promise.resolve();
    },
    read: (offset, count) => readExactly(file, offset, count),
    overwrite: writeAt,
    truncate(to) {
      file.truncateSync(to);
      length = to;
    },
  };
}

function oidsOf(pack: IndexedPack): Oid[] {
  return Array.from({ length: pack.received }, (_, i) => oidFromBytes(pack.oids, i * 20));
}

function arrivedPack(name: string, pack: IndexedPack, received: readonly Oid[]): ArrivedPack {
  const index = decodePackIndex<Oid>(pack.index);
  const types = new Uint8Array(index.count);
  received.forEach((oid, entry) => {
    const rank = index.rankOf(oid);
    if (rank !== undefined) types[rank] = pack.types[entry] ?? 0;
  });
  return { name, types, index, received, count: pack.count };
}

/** Two contents of one id: the newcomer is refused, whoever made it. */
async function refuseCollisions(received: readonly Oid[], arrived: PackedHeap, heaps: Heaps): Promise<void> {
  const pause = breather();
  const compare = async (oid: Oid) => {
    const present = await heaps.read(oid);
    const object = present === undefined ? undefined : arrived.readKnown(oid);
    if (present !== undefined && object !== undefined) refuseCollision(oid, present, object);
  };
  if (received.length < unpackLimit) {
    for (const oid of received) await compare(oid);
    return;
  }
  // For many objects one listing of the loose ones and one of the packs cost less than a look for each. In this order:
  // what a repack moves meanwhile is then seen in at least one of them.
  const listed = new Set<Oid>();
  for await (const oid of heaps.loose.list()) listed.add(oid);
  await heaps.packed.refresh();
  for (const oid of received) {
    if (listed.has(oid) || heaps.packed.hasKnown(oid)) await compare(oid);
    await pause();
  }
}

/** Each object after those it points to: killed half-way, the repository still has no object without its parts. */
async function unpack(received: readonly Oid[], arrived: PackedHeap, loose: LooseHeap): Promise<void> {
  const left = new Set(received);
  const write = async (oid: Oid): Promise<void> => {
    if (!left.delete(oid)) return;
    const object = arrived.readKnown(oid);
    if (object === undefined) throw new StoreError("corrupt", `object ${oid} is gone from its quarantine`);
    // No deeper than there are objects, which are fewer than `unpackLimit`.
    for (const link of objectLinks(object)) await write(link.oid);
    await loose.write(oid, object);
  };
  for (const oid of received) await write(oid);
}

/** The index last: a pack without one is not looked at. */
async function movePack(from: string, to: string, name: string): Promise<void> {
  for (const ending of ["pack", "idx"]) {
    await syncPath(`${from}/${name}.${ending}`);
    await Deno.rename(`${from}/${name}.${ending}`, `${to}/${name}.${ending}`);
  }
  await syncPath(to);
}
