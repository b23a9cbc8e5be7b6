/**
 * Collection: loose objects and small packs become one pack, and what nothing needs any more goes.
 *
 * What everybody relies on is that whatever is in the repository is whole: all that an object refers to is there too. So
 *  1. what is needed is found by walking from the refs; what is young, or found by a writer meanwhile, is kept with all
 *     that it refers to;
 *  2. a new pack is made of what is needed, and durable before anything is removed. The old packs and loose files that it
 *     stands for go afterwards: readers find every object all the time, in one place or the other;
 *  3. what is not needed is gathered in one pack of its own first, and that pack is removed at one stroke: never is there
 *     an object whose parts have gone before it, wherever the process is killed;
 *  4. last, where everything is in one pack, bitmaps of what its commits reach are put beside it. They tell nothing new:
 *     nothing is lost where they are missing.
 */
import { StoreError } from "../types.ts";
import type { CollectionReport, CollectOptions, Oid, ShallowCommits } from "../types.ts";
import { OidSet } from "../object/oid_set.ts";
import { isConsolidationDue, packsToRoll } from "./collection_plan.ts";
import type { PackCensus } from "./collection_plan.ts";
import { ioError, removeTree } from "./files.ts";
import { makeBitmap } from "./make_bitmap.ts";
import { makePack, Unpackable } from "./make_pack.ts";
import { newMarking } from "./marking.ts";
import type { Marking } from "./marking.ts";
import type { PackItem } from "../pack/find_deltas.ts";
import type { PackIndex } from "../pack/index_file.ts";
import type { KnownPack } from "./packed_heap.ts";
import type { Heaps } from "./quarantine.ts";
import type { PackableRefs } from "./refs.ts";
import type { Reliance } from "./reliance.ts";

export interface CollectionRoots {
  readonly refs: PackableRefs;
  readonly shallow: ShallowCommits;
  readonly reliance: Reliance;
}

/** @throws {StoreError} `io`, `corrupt` */
export async function collect(
  heaps: Heaps,
  roots: CollectionRoots,
  options: CollectOptions,
): Promise<CollectionReport> {
  const end = roots.reliance.begin();
  try {
    return await new Collection(heaps, roots, options).run();
  } catch (error) {
    throw error instanceof StoreError || error instanceof TypeError
      ? error
      : ioError("cannot collect objects", error);
  } finally {
    end();
  }
}

class Collection {
  readonly #heaps: Heaps;
  readonly #roots: CollectionRoots;
  readonly #options: CollectOptions;
  readonly #pause: () => Promise<void>;
  /** What refs and unfinished transactions lead to. */
  readonly #needed: Marking;
  /** What is kept beside it: young, or counted on by a writer. */
  readonly #resting: Marking;
  readonly #unreadable = new Set<Oid>();
  /** Loose objects of which a pack that stays has a good copy. */
  readonly #elsewhere = new OidSet();
  /** The packs that were there when it began, by name: what comes later is not looked at. */
  #before: ReadonlySet<string> = new Set();
  #shallow: ReadonlySet<Oid> = new Set();
  #removed = 0;
  /** Whether another program came to count on garbage, as the time of a file says. */
  #touched = false;

  constructor(heaps: Heaps, roots: CollectionRoots, options: CollectOptions) {
    this.#heaps = heaps;
    this.#roots = roots;
    this.#options = options;
    const pause = options.pause ?? heaps.tools.breather();
    this.#pause = () => {
      options.signal?.throwIfAborted();
      return pause();
    };
    const common = {
      read: heaps.read,
      has: (oid: Oid) => heaps.packed.hasKnown(oid) || heaps.loose.has(oid) || heaps.packed.has(oid),
      shallow: { has: (oid: Oid) => this.#shallow.has(oid) } as ReadonlySet<Oid>,
      pause: this.#pause,
    };
    this.#needed = newMarking({
      ...common,
      onProgress: (done) => options.onProgress?.({ stage: "marking", done }),
    });
    this.#resting = newMarking({ ...common, beyond: this.#needed });
  }

  async run(): Promise<CollectionReport> {
    const report: Writable<CollectionReport> = {
      packed: 0,
      dropped: 0,
      removedPacks: 0,
      removedLoose: 0,
      putAside: [],
      unreadable: [],
      aborted: false,
    };
    try {
      await this.#collect(report);
    } catch (error) {
      if (this.#options.signal?.aborted !== true) throw error;
      report.aborted = true;
    }
    report.unreadable = [...this.#unreadable].slice(0, 100);
    return report;
  }

  async #collect(report: Writable<CollectionReport>): Promise<void> {
    const { packed } = this.#heaps;
    packed.closeRetired();
    // The loose ones before the packs: what somebody packs meanwhile is then seen in at least one of them.
    const loose = new OidSet();
    for await (const oid of this.#heaps.loose.list()) loose.addOid(oid);
    await packed.rescan();
    this.#before = new Set(packed.packs().map(({ base }) => base));
    this.#shallow = await this.#roots.shallow.list();

    this.#missing(await this.#needed.add(await this.#rootOids()));
    await this.#markResting(loose);
    const census = await this.#census();

    const candidates = [...loose.oids()];
    const looseCount = this.#neededIn(candidates);
    const full = this.#options.full === "when due"
      ? this.#shallow.size === 0 && isConsolidationDue(census, looseCount)
      : this.#options.full === true;
    const rolled = packsToRoll(census, looseCount, full);
    const main = await this.#packNeeded(loose, rolled);
    report.packed = main?.count ?? 0;
    const garbage = await this.#packGarbage(loose, rolled);
    const made = [main, garbage].flatMap((pack) => pack ?? []);

    // From here on a reader finds everything in the packs that were made.
    await this.#removePacks(rolled, made, report);
    await this.#removeLoose(candidates, made, report);
    if (garbage !== undefined && !this.#touched) report.dropped = await this.#drop(garbage);
    await this.#dropMarks();
    await this.#roots.refs.pack(mostLooseRefs);
    if (full) await this.#mapReachable();
  }

  #missing(oids: Iterable<Oid>): void {
    for (const oid of oids) this.#unreadable.add(oid);
  }

  #progress(stage: "packing" | "removing", done: number): void {
    this.#options.onProgress?.({ stage, done });
  }

  async #rootOids(): Promise<Oid[]> {
    const { refs } = this.#roots;
    const head = await refs.get("HEAD");
    const kept = await this.#options.keep?.() ?? [];
    return [...(await refs.list()).values(), ...(head === undefined ? [] : [head]), ...kept];
  }

  /** What is in its time of grace, and what writers count on. It need not be whole: who wrote it may still be at it. */
  async #markResting(loose: OidSet): Promise<void> {
    const young: Oid[] = [];
    for (const oid of loose.oids()) {
      await this.#pause();
      if (!this.#needed.has(oid) && this.#isYoung(this.#heaps.loose.changed(oid))) young.push(oid);
    }
    for (const pack of this.#packs()) {
      if (!this.#isHeld(pack) && !this.#isYoung(this.#changed(pack))) continue;
      for (const oid of idsOf(pack)) {
        await this.#pause();
        if (!this.#needed.has(oid)) young.push(oid);
      }
    }
    await this.#resting.add([...young, ...this.#roots.reliance.oids()]);
  }

  #packs(): KnownPack[] {
    return this.#heaps.packed.packs().filter(({ base }) => this.#before.has(base));
  }

  #isYoung(changed: number | undefined): boolean {
    return changed !== undefined && changed > this.#options.now - this.#options.graceMs;
  }

  #changed(pack: KnownPack): number | undefined {
    return this.#heaps.device.look(`objects/pack/${pack.base}.pack`)?.changed;
  }

  /** Others' wish that a pack stays as it is; a pack from a promisor has a meaning of its own. */
  #isHeld({ base }: KnownPack): boolean {
    return ["keep", "promisor"].some((ending) =>
      this.#heaps.device.look(`objects/pack/${base}.${ending}`) !== undefined
    );
  }

  /** Where something needed cannot be read, what it refers to is unknown: then nothing is garbage. */
  #isGarbage(oid: Oid): boolean {
    return this.#unreadable.size === 0 && !this.#needed.has(oid) && !this.#resting.has(oid);
  }

  #neededIn(oids: readonly Oid[]): number {
    return oids.filter((oid) => this.#needed.has(oid)).length;
  }

  async #census(): Promise<PackCensus[]> {
    for (;;) {
      const census: PackCensus[] = [];
      const staying: Oid[] = [];
      for (const pack of this.#packs()) {
        let resting = 0;
        const garbage: Oid[] = [];
        for (const oid of idsOf(pack)) {
          await this.#pause();
          if (this.#needed.has(oid)) continue;
          if (this.#isGarbage(oid)) garbage.push(oid);
          else resting++;
        }
        const { base, damaged } = pack;
        const count = pack.index?.count ?? 0;
        const mapped = pack.hasBitmap();
        const held = this.#isHeld(pack);
        census.push({ base, damaged, resting, garbage: garbage.length, count, mapped, held });
        if (resting > 0) staying.push(...garbage);
      }
      if (staying.length === 0) return census;
      // A pack with something in its time of grace stays with all that it has, so what that refers to must stay too.
      await this.#resting.add(staying);
    }
  }

  /** The new pack. What cannot be read is left where it is, and then nothing is garbage any more. */
  async #packNeeded(loose: OidSet, rolled: ReadonlySet<string>): Promise<MadePack | undefined> {
    for (;;) {
      const sources = this.#packs().filter(({ base }) => rolled.has(base));
      const staying = this.#packs().filter(({ base }) => !rolled.has(base));
      const items: PackItem<Oid>[] = [];
      for (const { oid, kind, group } of this.#needed.objects()) {
        await this.#pause();
        const holders = sources.filter(({ index }) => index?.rankOf(oid) !== undefined);
        if ((holders.length === 0 && !loose.hasOid(oid)) || this.#unreadable.has(oid)) continue;
        if (holders.length === 0 && holdsWhole(staying, oid)) this.#elsewhere.addOid(oid);
        else if (holders.some(({ damaged }) => damaged) && !await this.#readable(oid)) this.#missing([oid]);
        else items.push({ id: oid, kind, group, size: await this.#sizeOf(oid) });
      }
      const made = await this.#make(items, true);
      if (made !== "unreadable") return made;
    }
  }

  /** All garbage in one pack, so that it can go at one stroke. */
  async #packGarbage(loose: OidSet, rolled: ReadonlySet<string>): Promise<MadePack | undefined> {
    for (;;) {
      const garbage = new OidSet();
      for (const oid of loose.oids()) {
        if (this.#isGarbage(oid) && await this.#readable(oid)) garbage.addOid(oid);
      }
      for (const pack of this.#packs()) {
        if (!rolled.has(pack.base)) continue;
        for (const oid of idsOf(pack)) {
          await this.#pause();
          if (this.#isGarbage(oid) && await this.#readable(oid)) garbage.addOid(oid);
        }
      }
      // It is to go at once: no time is spent on making it small.
      const made = await this.#make(
        Array.from(garbage.oids(), (id) => ({ id, kind: "blob", size: 0 })),
        false,
      );
      if (made !== "unreadable") return made;
    }
  }

  async #readable(oid: Oid): Promise<boolean> {
    try {
      return await this.#heaps.read(oid) !== undefined;
    } catch (error) {
      if (error instanceof StoreError && error.code === "corrupt") return false;
      throw error;
    }
  }

  /** 0 for what cannot be read: that is found when it is packed. */
  async #sizeOf(oid: Oid): Promise<number> {
    const { packed, loose } = this.#heaps;
    return packed.sizeKnown(oid) ??
      (await loose.read(oid).catch((error) => {
        if (error instanceof StoreError && error.code === "corrupt") return undefined;
        throw error;
      }))?.content.length ?? 0;
  }

  async #make(
    items: readonly PackItem<Oid>[],
    searchDeltas: boolean,
  ): Promise<MadePack | "unreadable" | undefined> {
    if (items.length === 0) return undefined;
    let done = 0;
    try {
      const pause = () => {
        if (++done % 1024 === 0) this.#progress("packing", done);
        return this.#pause();
      };
      const base = await makePack(this.#heaps, items, { searchDeltas, pause });
      const index = this.#heaps.packed.packs().find((pack) => pack.base === base)?.index;
      if (index === undefined) throw new StoreError("corrupt", `${base}.pack cannot be read back`);
      return { base, index, count: items.length };
    } catch (error) {
      if (!(error instanceof Unpackable)) throw error;
      this.#missing([error.oid]);
      return "unreadable";
    }
  }

  /** Those of which every object is in a pack that was made. One that is damaged is put aside, not destroyed. */
  async #removePacks(
    rolled: ReadonlySet<string>,
    made: readonly MadePack[],
    report: Writable<CollectionReport>,
  ): Promise<void> {
    const whole: KnownPack[] = [];
    const broken: KnownPack[] = [];
    for (const pack of this.#packs()) {
      if (!rolled.has(pack.base) || made.some(({ base }) => base === pack.base)) continue;
      if (!await this.#isReplaced(pack, made)) continue;
      (pack.damaged ? broken : whole).push(pack);
      if (this.#isYoung(this.#changed(pack)) && this.#holdsGarbage(pack)) this.#touched = true;
    }
    if (whole.length + broken.length === 0) return;
    // What git noted of all packs together, for speed; it makes that anew.
    for (const { name, isFolder } of await this.#heaps.device.list("objects/pack")) {
      if (!name.startsWith("multi-pack-index")) continue;
      if (isFolder) await removeTree(this.#heaps.device, `objects/pack/${name}`);
      else await this.#heaps.device.remove(`objects/pack/${name}`);
    }
    for (const pack of [...whole, ...broken]) {
      await this.#pause();
      await removePack(this.#heaps, pack, pack.damaged);
      this.#progress("removing", ++this.#removed);
    }
    report.removedPacks = whole.length;
    report.putAside = broken.map(({ base }) => base);
  }

  async #isReplaced(pack: KnownPack, made: readonly MadePack[]): Promise<boolean> {
    // Of a pack without a readable index nobody knows what it held; if nothing needed is missing, it was not that.
    if (pack.index === undefined) return this.#unreadable.size === 0;
    for (const oid of idsOf(pack)) {
      await this.#pause();
      if (made.some(({ index }) => index.rankOf(oid) !== undefined)) continue;
      // Nobody needs it, and it cannot be read.
      if (!(pack.damaged && this.#isGarbage(oid))) return false;
    }
    return true;
  }

  #holdsGarbage(pack: KnownPack): boolean {
    for (const oid of idsOf(pack)) if (this.#isGarbage(oid)) return true;
    return false;
  }

  /** Loose files of which a pack that was made has the object; and damaged ones that nobody needs. */
  async #removeLoose(
    candidates: readonly Oid[],
    made: readonly MadePack[],
    report: Writable<CollectionReport>,
  ): Promise<void> {
    const { loose } = this.#heaps;
    for (const oid of candidates) {
      await this.#pause();
      const garbage = this.#isGarbage(oid);
      const copied = this.#elsewhere.hasOid(oid) || made.some(({ index }) => index.rankOf(oid) !== undefined);
      if (!copied && !(garbage && !await this.#readable(oid))) continue;
      // Another program found it and counts on it: its note of that is the file's time, and goes with the file.
      if (garbage && this.#isYoung(loose.changed(oid))) this.#touched = true;
      if (!await loose.remove(oid)) continue;
      report.removedLoose++;
      this.#progress("removing", ++this.#removed);
    }
  }

  /** The garbage goes, unless somebody has come to count on some of it: then all of it gets another time of grace. */
  async #drop(garbage: MadePack): Promise<number> {
    const { device, packed } = this.#heaps;
    const { reliance } = this.#roots;
    // It lists commits that are about to go, and git would look for them.
    await removeTree(device, "objects/info/commit-graphs");
    await device.remove("objects/info/commit-graph");
    const pack = packed.packs().find(({ base }) => base === garbage.base);
    if (pack === undefined) return 0;
    let known: number;
    do {
      known = reliance.size;
      let wanted = false;
      const late = [...await this.#rootOids(), ...reliance.oids()];
      await this.#resting.add(late, (oid) => {
        if (garbage.index.rankOf(oid) === undefined) return;
        wanted = true;
        return "stop";
      });
      if (wanted) return 0;
    } while (reliance.size > known);
    // No wait from the last look to where the pack is forgotten.
    await removePack(this.#heaps, pack, false);
    return garbage.count;
  }

  /** Beside the largest pack: all others are what could not be put into it, and if that matters it gets none. */
  async #mapReachable(): Promise<void> {
    if (this.#shallow.size > 0 || this.#unreadable.size > 0) return;
    const [largest] = this.#heaps.packed.packs().filter(({ damaged }) => !damaged)
      .sort((a, b) => (b.index?.count ?? 0) - (a.index?.count ?? 0));
    if (largest === undefined || largest.hasBitmap()) return;
    await makeBitmap(this.#heaps, largest, await this.#rootOids(), this.#pause);
  }

  /** A mark is for a commit that is here. One that is not may be about to come, while anything is under way. */
  async #dropMarks(): Promise<void> {
    const { shallow, reliance } = this.#roots;
    const gone: Oid[] = [];
    for (const oid of await shallow.list()) {
      if (!this.#heaps.packed.hasKnown(oid) && !this.#heaps.loose.has(oid)) gone.push(oid);
    }
    if (gone.length > 0 && reliance.underWay === 1) await shallow.update({ remove: gone });
  }
}

/** Each is a file to open when all refs are asked for; fewer are not worth the rewriting at every move. */
const mostLooseRefs = 100;

interface MadePack {
  readonly base: string;
  readonly index: PackIndex<Oid>;
  readonly count: number;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

function* idsOf({ index }: KnownPack): Iterable<Oid> {
  for (let rank = 0; rank < (index?.count ?? 0); rank++) if (index !== undefined) yield index.oidAt(rank);
}

function holdsWhole(packs: readonly KnownPack[], oid: Oid): boolean {
  return packs.some((pack) => {
    const rank = pack.index?.rankOf(oid);
    return rank !== undefined && pack.readAt(rank) !== undefined;
  });
}

/**
 * Takes a pack out of sight at once, and its files away, or aside. The pack itself goes first: what a kill leaves is then
 * an index without a pack, which is known for litter.
 */
async function removePack({ device, packed, inTurn }: Heaps, pack: KnownPack, aside: boolean): Promise<void> {
  const path = `objects/pack/${pack.base}`;
  const forgotten = packed.forget(new Set([pack.base]));
  try {
    await inTurn(async () => {
      // One of the same name has come in its place.
      if (device.look(`${path}.pack`)?.id !== pack.id) return;
      for (const ending of ["pack", "idx"]) {
        if (aside) await device.rename(`${path}.${ending}`, `${path}.${ending}.broken`);
        else await device.remove(`${path}.${ending}`);
      }
      for (const ending of ["rev", "bitmap", "mtimes"]) await device.remove(`${path}.${ending}`);
    });
  } finally {
    forgotten();
  }
}
