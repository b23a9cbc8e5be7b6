import { StoreError } from "../types.ts";
import type { GitObject, Oid } from "../types.ts";
import { equalBytes } from "../object/bytes.ts";
import { objectOid } from "../object/hash.ts";
import { decodeLoose, encodeLoose } from "../object/loose.ts";
import { nodeZlib } from "../zlib/node.ts";
import {
  createFile,
  existsNow,
  ioError,
  listFolder,
  randomSuffix,
  readSmallFileIfThere,
  removeIfThere,
} from "./files.ts";
import { syncPath } from "./files.ts";
import { newSha1 } from "./sha1.ts";

/** Loose objects: one compressed file an object, `objects/ab/cdef…` (gitrepository-layout). */
export interface LooseHeap {
  read(oid: Oid): Promise<GitObject | undefined>;
  has(oid: Oid): boolean;
  /** A file that is there and damaged is replaced. @throws {StoreError} `corrupt` for another content of the same id */
  write(oid: Oid, object: GitObject): Promise<void>;
  list(): AsyncIterable<Oid>;
  /** Makes what was written durable: first the files, then the folders that name them. */
  sync(): Promise<void>;
}

export function looseHeap(objects: string): LooseHeap {
  const unsyncedFiles = new Set<string>();
  const unsyncedFolders = new Set<string>();
  let syncing = Promise.resolve();

  async function syncNow(): Promise<void> {
    for (const pending of [unsyncedFiles, unsyncedFolders]) {
      const paths = [...pending];
      // Taken out first: what is written meanwhile is put in again, and waits for the next time.
      pending.clear();
      try {
        for (let at = 0; at < paths.length; at += 16) {
          await Promise.all(paths.slice(at, at + 16).map(syncPath));
        }
      } catch (error) {
        for (const path of paths) pending.add(path);
        throw ioError("cannot make objects durable", error);
      }
    }
  }

  return {
    read: (oid) => readLoose(loosePath(objects, oid), oid),
    has: (oid) => existsNow(loosePath(objects, oid)),

    async write(oid, object) {
      const path = loosePath(objects, oid);
      const present = await readLoose(path, oid).catch((error) => {
        if (error instanceof StoreError && error.code === "corrupt") return "damaged" as const;
        throw error;
      });
      if (present !== undefined && present !== "damaged") {
        refuseCollision(oid, present, object);
        return;
      }
      const folder = `${objects}/${oid.slice(0, 2)}`;
      try {
        await Deno.mkdir(folder, { recursive: true });
        // A name that `git gc` knows for litter. Renamed only when whole, so that a kill leaves no half object.
        const temporary = `${folder}/tmp_obj_${randomSuffix()}`;
        try {
          await createFile(temporary, nodeZlib.deflate(encodeLoose(object)), { mode: 0o444, sync: false });
          await Deno.rename(temporary, path);
        } catch (error) {
          await removeIfThere(temporary);
          throw error;
        }
      } catch (error) {
        throw ioError(`cannot write object ${oid}`, error);
      }
      unsyncedFiles.add(path);
      unsyncedFolders.add(folder).add(objects);
    },

    async *list() {
      for (const folder of await listFolder(objects)) {
        if (!/^[0-9a-f]{2}$/.test(folder.name)) continue;
        for (const file of await listFolder(`${objects}/${folder.name}`)) {
          if (/^[0-9a-f]{38}$/.test(file.name)) yield `${folder.name}${file.name}` as Oid;
        }
      }
    },

    sync() {
      // One after the other: who comes second must not return before what the first took on is durable.
      const turn = syncing.then(syncNow);
      syncing = turn.catch(() => {});
      return turn;
    },
  };
}

export function loosePath(objects: string, oid: Oid): string {
  return `${objects}/${oid.slice(0, 2)}/${oid.slice(2)}`;
}

/** @throws {StoreError} `corrupt` where the two differ: two contents with one SHA-1 */
export function refuseCollision(oid: Oid, present: GitObject, arriving: GitObject): void {
  if (present.kind === arriving.kind && equalBytes(present.content, arriving.content)) return;
  throw new StoreError("corrupt", `object ${oid} is there already with another content (SHA-1 collision)`);
}

/** The largest object that is read; beyond it a declared size is taken for damage. */
const largestObject = 1 << 30;

/** With its header. Up to here inflating takes no inflater of its own; what seems bad is tried again as a larger one. */
const ordinaryObject = 65535;

async function readLoose(path: string, oid: Oid): Promise<GitObject | undefined> {
  const compressed = await readSmallFileIfThere(path);
  if (compressed === undefined) return undefined;
  const damaged = (why: string) => new StoreError("corrupt", `loose object ${oid} is damaged: ${why}`);
  const quick = nodeZlib.inflate(compressed, ordinaryObject);
  const inflated = quick.state === "bad" ? nodeZlib.inflate(compressed, largestObject) : quick;
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
