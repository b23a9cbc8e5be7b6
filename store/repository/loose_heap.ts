import { StoreError } from "../types.ts";
import type { GitObject, Oid } from "../types.ts";
import { equalBytes } from "../object/bytes.ts";
import { objectOid } from "../object/hash.ts";
import { decodeLoose, encodeLoose } from "../object/loose.ts";
import type { Device } from "./device/device.ts";
import { isDeviceError } from "./device/device.ts";
import { createFile, ioError, randomSuffix } from "./files.ts";
import type { StoreTools } from "./tools.ts";

/** Loose objects: one compressed file an object, `objects/ab/cdef…` (gitrepository-layout). */
export interface LooseHeap {
  read(oid: Oid): Promise<GitObject | undefined>;
  has(oid: Oid): boolean;
  /** A file that is there and damaged is replaced. @throws {StoreError} `corrupt` for another content of the same id */
  write(oid: Oid, object: GitObject): Promise<void>;
  list(): AsyncIterable<Oid>;
  /** When it was written or last found by a writer, in milliseconds since 1970. */
  changed(oid: Oid): number | undefined;
  /** Notes that a writer found the object and counts on it, so that no collection takes it for old. */
  freshen(oid: Oid): void;
  /** Takes the file away; says whether it was there. */
  remove(oid: Oid): Promise<boolean>;
  /** About how many there are, from one folder in 256. */
  estimate(): Promise<number>;
  /** Makes what was written durable: first the files, then the folders that name them. */
  sync(): Promise<void>;
}

export function looseHeap(device: Device, objects: string, tools: StoreTools): LooseHeap {
  const unsyncedFiles = new Set<string>();
  const unsyncedFolders = new Set<string>();
  let syncing = Promise.resolve();
  const pathOf = (oid: Oid) => loosePath(objects, oid);

  async function syncNow(): Promise<void> {
    for (const pending of [unsyncedFiles, unsyncedFolders]) {
      const paths = [...pending];
      // Taken out first: what is written meanwhile is put in again, and waits for the next time.
      pending.clear();
      try {
        for (let at = 0; at < paths.length; at += 16) {
          await Promise.all(paths.slice(at, at + 16).map((path) => syncIfThere(device, path)));
        }
      } catch (error) {
        for (const path of paths) pending.add(path);
        throw ioError("cannot make objects durable", error);
      }
    }
  }

  // deno-lint-ignore require-await -- what is done at once is told as a promise, its faults too
  async function read(oid: Oid): Promise<GitObject | undefined> {
    let compressed: Uint8Array | undefined;
    try {
      compressed = device.read(pathOf(oid));
    } catch (error) {
      throw ioError(`cannot read object ${oid}`, error);
    }
    if (compressed === undefined) return undefined;
    const object = decode(compressed, oid, tools);
    // Let go at once, and not when its garbage happens to be collected.
    if (compressed.length >= NOT_KEPT && compressed.buffer instanceof ArrayBuffer) {
      compressed.buffer.transfer(0);
    }
    return object;
  }

  async function create(folder: string, path: string, bytes: Uint8Array): Promise<void> {
    await device.makeFolder(folder);
    // A name that `git gc` knows for litter. Renamed only when whole, so that a kill leaves no half object.
    const temporary = `${folder}/tmp_obj_${randomSuffix()}`;
    await createFile(device, temporary, bytes, { access: "fixed", sync: false });
    try {
      await device.rename(temporary, path);
    } catch (error) {
      await device.remove(temporary);
      throw error;
    }
  }

  return {
    read,
    has: (oid) => device.look(pathOf(oid)) !== undefined,

    async write(oid, object) {
      const present = await read(oid).catch((error) => {
        if (error instanceof StoreError && error.code === "corrupt") return "damaged" as const;
        throw error;
      });
      if (present !== undefined && present !== "damaged") {
        refuseCollision(oid, present, object);
        this.freshen(oid);
        return;
      }
      const folder = `${objects}/${oid.slice(0, 2)}`;
      const bytes = tools.zlib.deflate(encodeLoose(object));
      try {
        await create(folder, pathOf(oid), bytes).catch((error) => {
          // A collection that found the folder empty took it away.
          if (!isDeviceError(error, "absent")) throw error;
          return create(folder, pathOf(oid), bytes);
        });
      } catch (error) {
        throw ioError(`cannot write object ${oid}`, error);
      }
      unsyncedFiles.add(pathOf(oid));
      unsyncedFolders.add(folder).add(objects);
    },

    async *list() {
      for (const folder of await listed(device, objects)) {
        if (!/^[0-9a-f]{2}$/.test(folder)) continue;
        for (const file of await listed(device, `${objects}/${folder}`)) {
          if (/^[0-9a-f]{38}$/.test(file)) yield `${folder}${file}` as Oid;
        }
      }
    },

    changed: (oid) => device.look(pathOf(oid))?.changed,

    freshen(oid) {
      const changed = device.look(pathOf(oid))?.changed;
      const now = tools.clock();
      if (changed !== undefined && changed < now - freshFor) device.touch(pathOf(oid), now);
    },

    remove: (oid) => device.remove(pathOf(oid)),

    async estimate() {
      // As git does it: ids are spread evenly, and this folder is as good as any.
      return (await listed(device, `${objects}/17`)).length * 256;
    },

    sync() {
      // One after the other: who comes second must not return before what the first took on is durable.
      const turn = syncing.then(syncNow);
      syncing = turn.catch(() => {});
      return turn;
    },
  };
}

const NOT_KEPT = 1 << 20;

/** An object found again within so many milliseconds needs no new note of it. */
export const freshFor = 60_000;

export function loosePath(objects: string, oid: Oid): string {
  return `${objects}/${oid.slice(0, 2)}/${oid.slice(2)}`;
}

/** @throws {StoreError} `corrupt` where the two differ: two contents with one SHA-1 */
export function refuseCollision(oid: Oid, present: GitObject, arriving: GitObject): void {
  if (present.kind === arriving.kind && equalBytes(present.content, arriving.content)) return;
  throw new StoreError("corrupt", `object ${oid} is there already with another content (SHA-1 collision)`);
}

async function listed(device: Device, folder: string): Promise<string[]> {
  try {
    return (await device.list(folder)).map(({ name }) => name);
  } catch (error) {
    throw ioError(`cannot list ${folder}`, error);
  }
}

/** What is not there any more was packed meanwhile, by someone who made that durable before. */
async function syncIfThere(device: Device, path: string): Promise<void> {
  try {
    await device.sync(path);
  } catch (error) {
    if (!isDeviceError(error, "absent")) throw error;
  }
}

/** The largest object that is read; beyond it a declared size is taken for damage. */
const largestObject = 1 << 30;

/** With its header. Up to here inflating takes no inflater of its own; what seems bad is tried again as a larger one. */
const ordinaryObject = 65535;

function decode(compressed: Uint8Array, oid: Oid, { zlib, newSha1 }: StoreTools): GitObject {
  const damaged = (why: string) => new StoreError("corrupt", `loose object ${oid} is damaged: ${why}`);
  const quick = zlib.inflate(compressed, ordinaryObject);
  const inflated = quick.state === "bad" ? zlib.inflate(compressed, largestObject) : quick;
  if (inflated.state !== "done") {
    throw damaged(inflated.state === "bad" ? inflated.message : "it is cut short");
  }
  let object: GitObject;
  try {
    object = decodeLoose(inflated.output);
  } catch (error) {
    throw error instanceof StoreError ? damaged(error.message) : error;
  }
  if (objectOid(object.kind, object.content, newSha1) !== oid) throw damaged("its content has another id");
  return object;
}
