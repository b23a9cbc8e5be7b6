import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { GitObject, Oid, PackLimits, PackSummary, Quarantine } from "../types.ts";
import { fsckObject } from "../object/fsck.ts";
import { type SpecialFiles, specialFiles } from "../object/fsck_special.ts";
import { hashObject } from "../object/hash.ts";
import { objectLinks } from "../object/links.ts";
import { oidFromBytes, toHex } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { kindOfType } from "../pack/entry.ts";
import type { PackIndex } from "../pack/index_file.ts";
import { indexPack } from "../pack/index_pack.ts";
import type { IndexedPack } from "../pack/index_pack.ts";
import type { Device } from "./device/device.ts";
import { DeviceError } from "./device/device.ts";
import { createFile, ioError, makeFolders, randomSuffix, removeTree } from "./files.ts";
import { refuseCollision } from "./loose_heap.ts";
import type { LooseHeap } from "./loose_heap.ts";
import { packStorage } from "./pack_storage.ts";
import { packedHeap } from "./packed_heap.ts";
import type { PackedHeap } from "./packed_heap.ts";
import { quarantinePrefix } from "./sweep.ts";
import type { Reliance } from "./reliance.ts";
import type { StoreTools } from "./tools.ts";

/** Packs of fewer objects are stored loose (git's `receive.unpackLimit`): else every push would leave a pack. */
const unpackLimit = 100;
/** Bytes of their objects, beyond which they stay packs all the same: those are not made, nor deflated, again. */
const unpackBytes = 16 << 20;

export interface Heaps {
  readonly device: Device;
  readonly tools: StoreTools;
  readonly loose: LooseHeap;
  readonly packed: PackedHeap;
  readonly reliance: Reliance;
  /** Of both, whatever is repacked meanwhile. */
  readonly read: (oid: Oid) => Promise<GitObject | undefined>;
  readonly has: (oid: Oid) => Promise<boolean>;
  /**
   * For putting packs in their place and taking them away, one after the other: a pack that arrives may have the name of
   * one that goes.
   */
  readonly inTurn: <T>(act: () => Promise<T>) => Promise<T>;
}

interface ArrivedPack {
  readonly name: string;
  /** By the object's place among the ids as sorted: its kind, or 0 for a base that was added to a thin pack. */
  readonly types: Uint8Array;
  readonly index: PackIndex<Oid>;
}

export async function openQuarantine(heaps: Heaps): Promise<Quarantine> {
  const { device, tools } = heaps;
  const folder = `objects/${quarantinePrefix}${randomSuffix()}`;
  try {
    await makeFolders(device, `${folder}/pack`);
  } catch (error) {
    await removeTree(device, folder).catch((left) => {
      // The fault that came first is the one to tell; what is left is swept at the next start.
      if (!(left instanceof DeviceError)) throw left;
    });
    throw ioError("cannot make a quarantine", error);
  }
  const arrived = packedHeap(device, `${folder}/pack`, tools);
  const packs: ArrivedPack[] = [];
  const endReliance = heaps.reliance.begin();
  let open = true;

  async function discard(): Promise<void> {
    if (!open) return;
    open = false;
    arrived.close();
    packs.length = 0;
    endReliance();
    try {
      await removeTree(device, folder);
    } catch (error) {
      throw ioError("cannot remove a quarantine", error);
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
      for (const pack of packs) yield* receivedOids(pack);
    },
    kindOf(oid) {
      for (const { index, types } of packs) {
        const type = types[index.rankOf(oid) ?? types.length] ?? 0;
        if (type !== 0) return kindOfType(type);
      }
      return undefined;
    },

    kindAt(bytes, at) {
      for (const { index, types } of packs) {
        const type = types[index.rankAt(bytes, at) ?? types.length] ?? 0;
        if (type !== 0) return kindOfType(type);
      }
      return undefined;
    },

    *bases() {
      for (const { index, types } of packs) {
        for (const [rank, type] of types.entries()) if (type === 0) yield index.oidAt(rank);
      }
    },

    async receivePack(chunks, limits): Promise<Result<PackSummary, StoreError>> {
      if (!open) return { ok: false, error: new StoreError("io", "the quarantine is closed") };
      try {
        const special = specialFiles();
        const { name, pack } = await writePack(heaps, `${folder}/pack`, chunks, limits, special);
        if (pack.count > 0) {
          await arrived.rescan();
          await special.check(async (oid) => arrived.readKnown(oid) ?? await heaps.read(oid));
          const taken = await arrivedPack(name, pack, arrived, tools);
          await refuseCollisions(taken, arrived, heaps);
          packs.push(taken);
        }
        return { ok: true, value: { objects: pack.received, bytes: pack.bytes } };
      } catch (error) {
        try {
          for (const { name } of await device.list(`${folder}/pack`)) {
            if (!packs.some((pack) => name.startsWith(pack.name))) {
              await device.remove(`${folder}/pack/${name}`);
            }
          }
          await arrived.rescan();
        } catch (left) {
          // The fault that came first is the one to tell; what is left goes with the quarantine.
          if (!(left instanceof DeviceError) && !(left instanceof StoreError)) throw left;
        }
        if (error instanceof StoreError) return { ok: false, error };
        // A missing permission of the runtime, or a mistake of ours, is no matter of the pack.
        if (error instanceof TypeError || (error instanceof Error && error.name === "NotCapable")) {
          throw error;
        }
        return { ok: false, error: ioError("cannot take the pack in", error) };
      }
    },

    async migrate() {
      if (!open) return;
      try {
        for (const pack of packs) {
          if (isSmall(pack, arrived)) await unpack([...receivedOids(pack)], arrived, heaps);
          else await movePack(heaps, `${folder}/pack`, pack.name);
        }
        await heaps.loose.sync();
        // Found where they are now: not twice in memory.
        arrived.close();
        packs.length = 0;
        await heaps.packed.rescan();
      } catch (error) {
        throw error instanceof StoreError ? error : ioError("cannot admit what arrived", error);
      }
      await discard();
    },
    discard,
  };
}

/** Of a pack that was written all but its index, which is on disk too: of a million objects, each matters. */
interface WrittenPack {
  readonly name: string;
  readonly pack: Omit<IndexedPack, "index">;
}

async function writePack(
  { device, tools, read }: Heaps,
  folder: string,
  chunks: AsyncIterable<Uint8Array>,
  limits: PackLimits,
  special: SpecialFiles,
): Promise<WrittenPack> {
  const temporary = `${folder}/tmp_pack_${randomSuffix()}`;
  const file = await device.create(temporary, "fixed");
  let indexed: IndexedPack;
  try {
    indexed = await indexPack(chunks, {
      limits,
      zlib: tools.zlib,
      newSha1: tools.newSha1,
      identify: (kind, content) => hashObject(kind, content, tools.newReceivedSha1),
      storage: packStorage(file),
      external: (oid) => read(oidFromBytes(oid)),
      onObject(object, oid) {
        const fault = fsckObject(object, special.note);
        if (fault !== undefined) {
          throw new StoreError("fsck", `${object.kind} ${oidFromBytes(oid)}: ${fault.id}: ${fault.message}`);
        }
      },
      pause: tools.breather(),
    });
  } finally {
    file.close();
  }
  const { index, ...pack } = indexed;
  const name = `pack-${toHex(pack.checksum)}`;
  if (pack.count === 0) {
    await device.remove(temporary);
  } else {
    await device.rename(temporary, `${folder}/${name}.pack`);
    await createFile(device, `${folder}/${name}.idx`, index, { access: "fixed", sync: false });
  }
  return { name, pack };
}

async function arrivedPack(
  name: string,
  pack: WrittenPack["pack"],
  arrived: PackedHeap,
  tools: StoreTools,
): Promise<ArrivedPack> {
  const index = arrived.packs().find(({ base }) => base === name)?.index;
  if (index === undefined) throw new StoreError("io", `${name} cannot be read back`);
  const pause = tools.breather();
  const types = new Uint8Array(index.count);
  for (let entry = 0; entry < pack.received; entry++) {
    const rank = index.rankOf(oidFromBytes(pack.oids, entry * 20));
    if (rank !== undefined) types[rank] = pack.types[entry] ?? 0;
    await pause();
  }
  return { name, types, index };
}

function* receivedOids({ index, types }: ArrivedPack): Iterable<Oid> {
  for (let rank = 0; rank < index.count; rank++) if (types[rank] !== 0) yield index.oidAt(rank);
}

/** Two contents of one id: the newcomer is refused, whoever made it. A damaged one is not there: it is replaced. */
async function refuseCollisions(pack: ArrivedPack, arrived: PackedHeap, heaps: Heaps): Promise<void> {
  const pause = heaps.tools.breather();
  const compare = async (oid: Oid) => {
    const present = await heaps.read(oid).catch((error) => {
      if (error instanceof StoreError && error.code === "corrupt") return undefined;
      throw error;
    });
    const object = present === undefined ? undefined : arrived.readKnown(oid);
    if (present !== undefined && object !== undefined) refuseCollision(oid, present, object);
  };
  if (pack.index.count < unpackLimit) {
    for (const oid of receivedOids(pack)) await compare(oid);
    return;
  }
  // For many objects one listing of the loose ones and one of the packs cost less than a look for each. In this order:
  // what a repack moves meanwhile is then seen in at least one of them.
  const listed = new OidSet();
  for await (const oid of heaps.loose.list()) listed.addOid(oid);
  await heaps.packed.refresh();
  for (const oid of receivedOids(pack)) {
    if (listed.hasOid(oid) || heaps.packed.hasKnown(oid)) await compare(oid);
    await pause();
  }
}

function isSmall(pack: ArrivedPack, arrived: PackedHeap): boolean {
  if (pack.index.count >= unpackLimit) return false;
  let bytes = 0;
  for (const oid of receivedOids(pack)) bytes += arrived.sizeKnown(oid) ?? 0;
  return bytes <= unpackBytes;
}

/** Each object after those it points to: killed half-way, the repository still has no object without its parts. */
async function unpack(received: readonly Oid[], arrived: PackedHeap, heaps: Heaps): Promise<void> {
  const left = new Set(received);
  const write = async (oid: Oid): Promise<void> => {
    if (!left.delete(oid)) return;
    const object = arrived.readKnown(oid);
    if (object === undefined) throw new StoreError("corrupt", `object ${oid} is gone from its quarantine`);
    // No deeper than there are objects, which are fewer than `unpackLimit`.
    for (const link of objectLinks(object)) await write(link.oid);
    // Before the look for one that is there: no collection then takes that away.
    heaps.reliance.note(oid);
    await heaps.loose.write(oid, object);
  };
  for (const oid of received) await write(oid);
}

/** The pack last: an index without one is not looked at, and is known for litter. */
async function movePack({ device, inTurn }: Heaps, from: string, name: string): Promise<void> {
  for (const ending of ["pack", "idx"]) await device.sync(`${from}/${name}.${ending}`);
  await inTurn(async () => {
    for (const ending of ["idx", "pack"]) {
      await device.rename(`${from}/${name}.${ending}`, `objects/pack/${name}.${ending}`);
    }
    await device.sync("objects/pack");
  });
}
