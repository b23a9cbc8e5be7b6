import { StoreError } from "../types.ts";
import type { GitObject, Oid, PackDamage, StoredEntry } from "../types.ts";
import type { PackIndex } from "../pack/index_file.ts";
import type { PackReader } from "../pack/read_pack.ts";
import type { Device } from "./device/device.ts";
import { ioError } from "./files.ts";
import { freshFor } from "./loose_heap.ts";
import { isDamage, openPack } from "./open_pack.ts";
import type { Pack } from "./open_pack.ts";
import type { StoreTools } from "./tools.ts";

/**
 * The packs of a folder, each found by its index. What is asked of the packs known so far costs no look at the folder: to
 * be tried first, and for many objects; `read` and `has` look for packs that came later when they find nothing.
 *
 * A damaged pack hides nothing: an object of it that cannot be read is not there, and the next pack is asked.
 */
export interface PackedHeap {
  read(oid: Oid): Promise<GitObject | undefined>;
  has(oid: Oid): Promise<boolean>;
  readKnown(oid: Oid): GitObject | undefined;
  hasKnown(oid: Oid): boolean;
  /** The entry as it lies in a pack, where its bytes are those that were indexed. */
  entryKnown(oid: Oid): StoredEntry | undefined;
  /** Why an object that a pack should have cannot be read. */
  faultOf(oid: Oid): StoreError | undefined;
  /** As `LooseHeap.freshen`, for the pack that has it. */
  freshen(oid: Oid): void;
  /** The name of the pack that it would be read from. */
  packOf(oid: Oid): string | undefined;
  /** In bytes, of the object; without making it. */
  sizeKnown(oid: Oid): number | undefined;
  /** Readers of the packs known in which nothing was found wrong. */
  wholeReaders(): readonly PackReader<Oid>[];
  /** The reachability bitmaps that a collection, or git, left beside a pack. */
  bitmapFile(reader: PackReader<Oid>): Uint8Array | undefined;
  /** The packs known, those that are whole first. */
  packs(): readonly KnownPack[];
  damage(): readonly PackDamage[];
  /** Looks for packs that came or went, where any may have. */
  refresh(): Promise<void>;
  rescan(): Promise<void>;
  /** From now on these packs are not looked at, until the function it gives is called: their files are gone then. */
  forget(bases: ReadonlySet<string>): () => void;
  /** Closes what went a while ago, and lets the disk have its room back. */
  closeRetired(): void;
  close(): void;
}

export interface KnownPack {
  /** `pack-` and 40 digits, without an ending. */
  readonly base: string;
  /** Tells its file from another of the same name. */
  readonly id: string;
  /** `undefined` where it could not be read, nor made again from the pack. */
  readonly index: PackIndex<Oid> | undefined;
  /** Tells of its entries; what it reads is not compared with ids, as `readAt` does. */
  readonly reader: PackReader<Oid> | undefined;
  /** Whether anything was found wrong with it so far. */
  readonly damaged: boolean;
  /** Whether a file of reachability bitmaps lies beside it. */
  hasBitmap(): boolean;
  /** The object of this pack alone; `undefined` where it is damaged. */
  readAt(rank: number): GitObject | undefined;
}

export function packedHeap(
  device: Device,
  folder: string,
  tools: StoreTools,
  onDamage: (damage: PackDamage) => void = () => {},
): PackedHeap {
  let packs: Pack[] = [];
  /** Gone from the folder, and still open for those who are at reading them. */
  let retired: Pack[] = [];
  let scannedAs: string | undefined;
  let scanning: Promise<void> = Promise.resolve();
  const forgotten = new Set<string>();
  /** By the pack's name, and by which file it was: one that is replaced is told anew. */
  const told = new Map<string, string>();

  function note(pack: { readonly base: string; readonly id: string }, reason: string): void {
    if (told.get(pack.base) === pack.id) return;
    told.set(pack.base, pack.id);
    onDamage({ pack: pack.base, reason });
  }

  async function scan(): Promise<void> {
    try {
      // A pack that went after the folder was listed has its objects in one that came just before it went.
      for (let left = mostScans; left > 0 && !await scanOnce(); left--);
    } catch (error) {
      throw error instanceof StoreError ? error : ioError(`cannot look through ${folder}`, error);
    }
  }

  /** Whether the folder stayed as it was all the while. */
  async function scanOnce(): Promise<boolean> {
    // Noted before the look: what comes during it is seen the next time.
    const stamp = folderStamp(device, folder, tools.clock);
    const changed = device.look(folder)?.changed;
    const names = new Set((await device.list(folder)).map((entry) => entry.name));
    const before = new Map(packs.map((pack) => [pack.base, pack]));
    const kept: Pack[] = [];
    const opened: Pack[] = [];
    let went = false;
    for (const name of names) {
      const base = name.slice(0, -4);
      if (!/^pack-[0-9a-f]{40}\.idx$/.test(name) || !names.has(`${base}.pack`)) continue;
      const id = device.look(`${folder}/${base}.pack`)?.id;
      const known = before.get(base);
      if (known !== undefined && known.id === id && !known.unopened) {
        kept.push(known);
      } else if (!forgotten.has(base)) {
        const pack = id === undefined ? undefined : await openPack(device, folder, base, id, tools, note);
        if (pack === undefined) went = true;
        else opened.push(pack);
      }
    }
    const after = [...opened, ...kept].filter((pack) => {
      if (!forgotten.has(pack.base)) return true;
      pack.close();
      return false;
    });
    retire(packs.filter((pack) => !after.includes(pack)));
    packs = after.sort((a, b) => Number(a.fault !== undefined) - Number(b.fault !== undefined));
    scannedAs = stamp;
    return !went && device.look(folder)?.changed === changed;
  }

  function retire(gone: readonly Pack[]): void {
    retired.push(...gone);
    while (retired.length > mostRetired) retired.shift()?.close();
  }

  function rescan(): Promise<void> {
    // One after the other: what came before it was asked for is seen by each.
    const turn = scanning.then(scan);
    scanning = turn.catch(() => {});
    return turn;
  }

  /** Whether there was anything to look at. */
  async function refresh(): Promise<boolean> {
    if (scannedAs !== undefined && scannedAs === folderStamp(device, folder, tools.clock)) return false;
    await rescan();
    return true;
  }

  /** What the first pack that has it whole gives. */
  function fromPacks<T>(oid: Oid, take: (pack: Pack, rank: number) => T): T | undefined {
    for (const pack of packs) {
      const rank = pack.index?.rankOf(oid);
      if (rank === undefined || pack.bad.has(rank)) continue;
      try {
        return take(pack, rank);
      } catch (error) {
        if (!isDamage(error)) throw error;
        pack.fail(rank, error);
      }
    }
    return undefined;
  }

  const hasKnown = (oid: Oid) => fromPacks(oid, () => true) === true;
  const readKnown = (oid: Oid) => fromPacks(oid, (pack, rank) => pack.read(rank, oid));

  return {
    rescan,
    hasKnown,
    readKnown,
    has: async (oid) => hasKnown(oid) || (await refresh() && hasKnown(oid)),
    read: async (oid) => readKnown(oid) ?? (await refresh() ? readKnown(oid) : undefined),
    entryKnown: (oid) => fromPacks(oid, (pack, rank) => pack.reader?.entryAt(rank)),
    faultOf(oid) {
      const pack = packs.find(({ index, bad }) => bad.has(index?.rankOf(oid) ?? -1));
      return pack === undefined
        ? undefined
        : new StoreError("corrupt", `object ${oid} is damaged in ${pack.base}.pack`);
    },
    freshen(oid) {
      const now = tools.clock();
      fromPacks(oid, (pack) => {
        if (pack.freshened > now - freshFor) return;
        pack.freshened = now;
        device.touch(`${folder}/${pack.base}.pack`, now);
      });
    },
    packOf: (oid) => fromPacks(oid, ({ base }) => base),
    sizeKnown: (oid) => fromPacks(oid, (pack, rank) => pack.reader?.weigh(rank).size),
    bitmapFile(reader) {
      const pack = packs.find((each) => each.reader === reader);
      return pack === undefined ? undefined : device.read(`${folder}/${pack.base}.bitmap`);
    },
    wholeReaders: () =>
      packs.flatMap(({ reader, fault }) => reader === undefined || fault !== undefined ? [] : [reader]),
    packs: () =>
      packs.map((pack) => ({
        base: pack.base,
        id: pack.id,
        index: pack.index,
        reader: pack.reader,
        damaged: pack.fault !== undefined,
        hasBitmap: () => device.look(`${folder}/${pack.base}.bitmap`) !== undefined,
        readAt(rank) {
          const oid = pack.index?.oidAt(rank);
          if (oid === undefined || pack.bad.has(rank)) return undefined;
          try {
            return pack.read(rank, oid);
          } catch (error) {
            if (!isDamage(error)) throw error;
            pack.fail(rank, error);
            return undefined;
          }
        },
      })),
    damage: () =>
      packs.flatMap(({ base, fault }) => fault === undefined ? [] : [{ pack: base, reason: fault }]),
    async refresh() {
      await refresh();
    },
    forget(bases) {
      for (const base of bases) forgotten.add(base);
      retire(packs.filter(({ base }) => bases.has(base)));
      packs = packs.filter(({ base }) => !bases.has(base));
      return () => {
        for (const base of bases) forgotten.delete(base);
        // What is there now under one of the names is to be found.
        scannedAs = undefined;
      };
    },
    closeRetired() {
      for (const pack of retired) pack.close();
      retired = [];
    },
    close() {
      for (const pack of [...packs, ...retired]) pack.close();
      packs = [];
      retired = [];
      scannedAs = undefined;
    },
  };
}

/** Packs that are gone and still open, at most: a matter of disk room and open files. */
const mostRetired = 64;

/** How often the folder is looked through until nothing changes in it meanwhile. */
const mostScans = 20;

function folderStamp(device: Device, folder: string, clock: () => number): string {
  const look = device.look(folder);
  if (look === undefined) return "absent";
  // The clock of file times ticks coarsely: what was changed just now may change again under the same time. Asked for
  // after the look: however long we are held up between the two, a tick that is over now was over when it is listed.
  const unsettled = Math.abs(clock() - look.changed) < 50;
  return `${look.id} ${look.changed}${unsettled ? ` ${performance.now()}` : ""}`;
}
