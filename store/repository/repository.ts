import { StoreError } from "../types.ts";
import type { GitObject, Oid, PackDamage, Repository } from "../types.ts";
import { textOf, utf8 } from "../object/bytes.ts";
import { objectOid } from "../object/hash.ts";
import { isCollectionDue, stockOf } from "./collection_due.ts";
import type { Device } from "./device/device.ts";
import { createFile, ioError, makeFolders } from "./files.ts";
import { looseHeap, refuseCollision } from "./loose_heap.ts";
import { packedHeap } from "./packed_heap.ts";
import type { Heaps } from "./quarantine.ts";
import { isRefName } from "./ref_name.ts";
import { openRefs } from "./refs.ts";
import { newReliance } from "./reliance.ts";
import { openShallow } from "./shallow.ts";
import type { StoreTools } from "./tools.ts";

export interface OpenOptions {
  /**
   * Says that the caller alone writes here (it holds the data folder's lock): what a killed run left half done,
   * quarantines, temporary files and locks, is removed. Without it nothing is touched.
   */
  readonly owner?: boolean;
  /** Told once of each pack that is found broken, at opening or later. */
  readonly onDamage?: (damage: PackDamage) => void;
}

export interface InitOptions extends OpenOptions {
  /** The ref that HEAD stands for. Default `refs/heads/main`. */
  readonly head?: string;
}

/**
 * Makes a bare repository on a device as `git init --bare` does, or opens the one that is there.
 * @throws {StoreError} `io`, and as `openRepositoryOn`
 */
export async function initRepositoryOn(
  device: Device,
  tools: StoreTools,
  options: InitOptions = {},
): Promise<Repository> {
  const head = options.head ?? "refs/heads/main";
  if (!isRefName(head)) throw new StoreError("malformed", `${JSON.stringify(head)} is not a valid ref name`);
  try {
    if (device.look("HEAD") === undefined) {
      for (const folder of ["objects/info", "objects/pack", "refs/heads", "refs/tags"]) {
        await makeFolders(device, folder);
      }
      await writeOnce(device, "config", bareConfig);
      await writeOnce(device, "description", "Zones served by Bailiwick.\n");
      for (const folder of ["objects", "refs"]) await device.sync(folder);
      // Last: what has no HEAD is no repository, so a kill before this leaves one that is made again.
      await writeOnce(device, "HEAD", `ref: ${head}\n`);
      await device.sync("");
    }
  } catch (error) {
    throw ioError(`cannot make a repository at ${device.description}`, error);
  }
  return await openRepositoryOn(device, tools, options);
}

/**
 * Opens the repository on a device: a folder, or memory.
 * @throws {StoreError} `malformed` where it is of a kind that is not understood, `io`
 */
export async function openRepositoryOn(
  device: Device,
  tools: StoreTools,
  options: OpenOptions = {},
): Promise<Repository> {
  refuseUnknownFormat(device);
  // What a program that only reads does without is loaded when it is needed: it is most of what there is to load.
  if (options.owner === true) await (await import("./sweep.ts")).sweep(device);
  const loose = looseHeap(device, "objects", tools);
  const packed = packedHeap(device, "objects/pack", tools, options.onDamage);
  // Who wants to hear of damage wants it now, and who owns the repository has the time.
  if (options.owner === true || options.onDamage !== undefined) await packed.rescan();
  const reliance = newReliance();
  const refs = openRefs(device, has);
  const shallow = openShallow(device);
  const heaps = { device, tools, loose, packed, reliance, read, has, inTurn: turns() };
  const roots = { refs, shallow, reliance };
  let collecting: Promise<unknown> | undefined;
  /** What the last collection had to leave: what is in its time of grace is no reason for another. */
  let left = { looseObjects: 0, packs: 0, unmappedObjects: 0 };

  /** Whoever asks counts on what is found, so a collection must not take it for old. */
  async function has(oid: Oid): Promise<boolean> {
    // Packs again at the end, and only then is their folder looked at: a repack may have moved the object meanwhile.
    return found(oid) || (await packed.has(oid) && found(oid));
  }

  /** Without a wait: a collection sees this note, or we do not see the object. */
  function found(oid: Oid): boolean {
    if (packed.hasKnown(oid)) packed.freshen(oid);
    else if (loose.has(oid)) loose.freshen(oid);
    else return false;
    reliance.note(oid);
    return true;
  }

  async function read(oid: Oid): Promise<GitObject | undefined> {
    const known = packed.readKnown(oid);
    if (known !== undefined) return known;
    let fault: StoreError | undefined;
    const found = await loose.read(oid).catch((error) => {
      if (!(error instanceof StoreError) || error.code !== "corrupt") throw error;
      fault = error;
      return undefined;
    }) ?? await packed.read(oid);
    if (found !== undefined) return found;
    fault ??= packed.faultOf(oid);
    if (fault !== undefined) throw fault;
    return undefined;
  }

  return {
    path: device.description,
    refs,
    shallow,
    read,
    has,
    storedEntry: (oid) => packed.entryKnown(oid),
    async write(kind, content) {
      const object = { kind, content };
      const oid = objectOid(kind, content, tools.newSha1);
      // Before the look, so that no collection takes away what it finds.
      reliance.note(oid);
      const present = await packed.read(oid);
      if (present === undefined) {
        await loose.write(oid, object);
      } else {
        refuseCollision(oid, present, object);
        packed.freshen(oid);
      }
      return oid;
    },
    sync: () => loose.sync(),
    quarantine: async () => (await import("./quarantine.ts")).openQuarantine(heaps),
    packReaders: () => packed.wholeReaders(),
    bitmapFile: (reader) => packed.bitmapFile(reader),
    damage: () => packed.damage(),
    async collect(collectOptions) {
      // One at a time: a second would find what the first is about to remove.
      while (collecting !== undefined) await collecting;
      const turn = import("./collection.ts").then(({ collect }) => collect(heaps, roots, collectOptions));
      collecting = turn.catch(() => {});
      try {
        const report = await turn;
        left = await stockOf(heaps);
        return report;
      } finally {
        collecting = undefined;
      }
    },
    collectionDue: async (thresholds) => isCollectionDue(await stockOf(heaps), left, thresholds),
    close: () => packed.close(),
  };
}

/** Runs what it is given one after the other. */
function turns(): Heaps["inTurn"] {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const turn = last.then(act);
    last = turn.catch(() => {});
    return turn;
  };
}

const bareConfig = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n";

async function writeOnce(device: Device, path: string, text: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await device.remove(temporary);
  await createFile(device, temporary, utf8(text), { access: "changing", sync: true });
  await device.rename(temporary, path);
}

function refuseUnknownFormat(device: Device): void {
  const config = textOf(device.read("config") ?? new Uint8Array()).toLowerCase();
  const version = /^\s*repositoryformatversion\s*=\s*(\d+)/m.exec(config)?.[1] ?? "0";
  const unknown = Number(version) > 1
    ? `format version ${version}`
    : /^\s*objectformat\s*=\s*"?(?!sha1)/m.test(config)
    ? "object ids other than SHA-1"
    : /^\s*refstorage\s*=\s*"?(?!files)/m.test(config)
    ? "refs in another form than files"
    : /^\s*partialclone\s*=/m.test(config)
    ? "objects that are left with a promisor"
    : device.look("objects/info/alternates") !== undefined
    ? "objects borrowed from another repository (alternates)"
    : undefined;
  if (unknown !== undefined) {
    throw new StoreError("malformed", `${device.description} uses ${unknown}, which is not supported`);
  }
}
