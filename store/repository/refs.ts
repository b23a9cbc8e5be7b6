import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { Oid, RefMove, RefMoveError, Refs } from "../types.ts";
import { utf8 } from "../object/bytes.ts";
import { parseOid } from "../object/oid.ts";
import { isDeviceError } from "./device/device.ts";
import type { Device } from "./device/device.ts";
import { createFile, ioError, makeFolders } from "./files.ts";
import { takeLock } from "./lock.ts";
import { compareNames, decodePackedRefs, encodePackedRefs } from "./packed_refs.ts";
import type { PackedRef } from "./packed_refs.ts";
import { isRefName } from "./ref_name.ts";

export interface PackableRefs extends Refs {
  /** Moves loose refs into `packed-refs`, where there are more than so many. @throws {StoreError} `io` */
  pack(moreThan: number): Promise<void>;
}

/**
 * Refs in git's files format (gitrepository-layout): a loose file hides the line in `packed-refs`. Every writer, git
 * itself included, holds `NAME.lock` while it compares and swaps.
 */
export function openRefs(device: Device, hasObject: (oid: Oid) => Promise<boolean>): PackableRefs {
  return {
    get: (name) =>
      readingRefs(() => name === "HEAD" || isRefName(name) ? resolveRef(device, name) : undefined),

    async list(prefix = "refs/") {
      const names = new Set<string>();
      for await (const name of looseNames(device, folderOf(prefix))) names.add(name);
      // After the loose ones: a ref that is packed meanwhile is put there first and taken away here afterwards.
      const packed = readPackedRefs(device);
      for (const name of packed.keys()) names.add(name);
      const wanted = [...names].filter((name) => name.startsWith(prefix)).sort(compareNames);
      const refs = new Map<string, Oid>();
      for (const name of wanted) {
        const oid = resolveRef(device, name, packed);
        if (oid !== undefined) refs.set(name, oid);
      }
      return refs;
    },

    head: () =>
      readingRefs(() => {
        const content = readRefFile(device, "HEAD");
        if (content === undefined) throw new StoreError("corrupt", "there is no HEAD");
        return content.to;
      }),

    async move(move) {
      if (!isRefName(move.name)) {
        return refused(move, "bad-name", `${JSON.stringify(move.name)} is not a valid ref name`);
      }
      if (move.new !== undefined && !await hasObject(move.new)) {
        return refused(move, "missing-object", `${move.name}: object ${move.new} is not here`);
      }
      try {
        return await withLock(device, move, (lockGone) => swap(device, move, lockGone));
      } catch (error) {
        throw error instanceof StoreError ? error : ioError(`cannot move ${move.name}`, error);
      }
    },

    async pack(moreThan) {
      try {
        await packRefs(device, moreThan);
      } catch (error) {
        throw error instanceof StoreError ? error : ioError("cannot pack the refs", error);
      }
    },
  };
}

type Outcome = Result<void, RefMoveError>;

function refused(move: RefMove, code: RefMoveError["code"], message: string): Outcome {
  return { ok: false, error: { code, name: move.name, message } };
}

/** What git waits for a loose ref's lock by default (core.filesRefLockTimeout), in milliseconds. */
const lockPatience = 100;

/** `body` says when the lock is gone: from then on a file of its name is another writer's. */
async function withLock(
  device: Device,
  move: RefMove,
  body: (lockGone: () => void) => Promise<Outcome>,
): Promise<Outcome> {
  const inTheWay = await conflict(device, move);
  if (inTheWay !== undefined) return inTheWay;
  const lock = `${move.name}.lock`;
  const content = utf8(`${move.new ?? move.old ?? ""}\n`);
  for (let waited = 0;; waited += 10) {
    try {
      // A deletion by another writer may remove an empty folder between the two steps: then again.
      await makeFolders(device, move.name.slice(0, move.name.lastIndexOf("/")));
      await createFile(device, lock, content, { access: "changing", sync: move.new !== undefined });
      break;
    } catch (error) {
      if (isDeviceError(error, "not-a-folder")) {
        return refused(move, "conflict", `${move.name}: a ref stands where a folder is needed`);
      }
      if (!isDeviceError(error, "exists", "absent")) throw error;
      if (waited >= lockPatience) {
        if (await conflict(device, move) !== undefined) {
          return refused(move, "conflict", `${move.name}: another ref stands in its way`);
        }
        return refused(move, "locked", `${move.name} is locked by another writer (${move.name}.lock)`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  let held = true;
  try {
    return await body(() => held = false);
  } finally {
    if (held) await device.remove(lock);
  }
}

/** Under the lock: compare, then swap. */
async function swap(device: Device, move: RefMove, lockGone: () => void): Promise<Outcome> {
  const inTheWay = await conflict(device, move);
  if (inTheWay !== undefined) return inTheWay;
  const loose = readRefFile(device, move.name);
  if (loose?.to !== undefined) return refused(move, "conflict", `${move.name} is a symbolic ref`);
  const actual = loose?.oid ?? readPackedRefs(device).get(move.name)?.oid;
  if (actual !== move.old) {
    const message = `${move.name} is at ${actual ?? "nothing"}, not at ${move.old ?? "nothing"}`;
    return { ok: false, error: { code: "stale", name: move.name, actual, message } };
  }
  const folder = move.name.slice(0, move.name.lastIndexOf("/"));
  if (move.new === undefined) {
    // Both places under the lock of `packed-refs`: nobody packs meanwhile what is about to go.
    const free = await withPackedLock(device, async () => {
      const packed = readPackedRefs(device);
      // First, so that a kill leaves the loose value.
      if (packed.delete(move.name)) await writePackedRefs(device, packed);
      await device.remove(move.name);
      await device.sync(folder);
    });
    if (!free) {
      return refused(move, "locked", "packed-refs is locked by another writer (packed-refs.lock)");
    }
    await device.remove(`${move.name}.lock`);
    lockGone();
    await removeEmptyFolders(device, move.name);
    return { ok: true, value: undefined };
  }
  await removeEmptyTree(device, move.name);
  await device.rename(`${move.name}.lock`, move.name);
  lockGone();
  await device.sync(folder);
  return { ok: true, value: undefined };
}

/** `refs/heads/a` and `refs/heads/a/b` cannot both be: one is a file where the other needs a folder. */
async function conflict(device: Device, move: RefMove): Promise<Outcome | undefined> {
  if (move.new === undefined) return undefined;
  const packed = readPackedRefs(device);
  const parts = move.name.split("/");
  for (let count = 2; count < parts.length; count++) {
    const above = parts.slice(0, count).join("/");
    if (packed.has(above) || readRefFile(device, above) !== undefined) {
      return refused(move, "conflict", `${move.name}: the ref ${above} stands in its way`);
    }
  }
  for (const name of packed.keys()) {
    if (name.startsWith(`${move.name}/`)) {
      return refused(move, "conflict", `${move.name}: the ref ${name} stands in its way`);
    }
  }
  if (device.look(move.name)?.isFolder !== true) return undefined;
  for await (const name of looseNames(device, move.name)) {
    if (name === move.name) continue;
    return refused(move, "conflict", `${move.name}: the ref ${name} stands in its way`);
  }
  return undefined;
}

/** Does something to `packed-refs` that nobody else may at the time; `false` where another writer holds it. */
async function withPackedLock(device: Device, body: () => Promise<void>): Promise<boolean> {
  if (!await takeLock(device, "packed-refs.lock")) return false;
  try {
    await body();
  } finally {
    await device.remove("packed-refs.lock");
  }
  return true;
}

/** Under its lock. The name of the new file is the one that git itself gives it before it is renamed. */
async function writePackedRefs(device: Device, packed: ReadonlyMap<string, PackedRef>): Promise<void> {
  const next = "packed-refs.new";
  await device.remove(next);
  await createFile(device, next, utf8(encodePackedRefs(packed)), { access: "changing", sync: true });
  await device.rename(next, "packed-refs");
  await device.sync("");
}

/** Into `packed-refs` first, durably; then each loose file goes that still has the value that was packed. */
async function packRefs(device: Device, moreThan: number): Promise<void> {
  if ((await Array.fromAsync(looseNames(device, "refs"))).length <= moreThan) return;
  const packed = new Map<string, Oid>();
  await withPackedLock(device, async () => {
    for await (const name of looseNames(device, "refs")) {
      const oid = readRefFile(device, name)?.oid;
      if (oid !== undefined) packed.set(name, oid);
    }
    const all = readPackedRefs(device);
    for (const [name, oid] of packed) all.set(name, { oid, peeled: undefined });
    await writePackedRefs(device, all);
  });
  for (const [name, oid] of packed) {
    // One that somebody is at moving stays loose; with one that went its folder may have gone.
    const taken = await takeLock(device, `${name}.lock`, 0).catch((error) => {
      if (isDeviceError(error, "absent", "not-a-folder")) return false;
      throw error;
    });
    if (!taken) continue;
    try {
      if (readRefFile(device, name)?.oid === oid) await device.remove(name);
    } finally {
      await device.remove(`${name}.lock`);
    }
  }
}

interface RefContent {
  readonly oid: Oid | undefined;
  readonly to: string | undefined;
}

/** Reading is done at once; a fault of it is told as a rejection all the same. */
// deno-lint-ignore require-await
async function readingRefs<T>(read: () => T): Promise<T> {
  try {
    return read();
  } catch (error) {
    throw error instanceof StoreError ? error : ioError("cannot read the refs", error);
  }
}

function resolveRef(device: Device, name: string, packed?: ReadonlyMap<string, PackedRef>): Oid | undefined {
  let at = name;
  // Five steps, as in git (SYMREF_MAXDEPTH).
  for (let step = 0; step < 5; step++) {
    const loose = readRefFile(device, at);
    if (loose === undefined) return (packed?.get(at) ?? readPackedRefs(device).get(at))?.oid;
    if (loose.to === undefined) return loose.oid;
    at = loose.to;
  }
  throw new StoreError("corrupt", `${name} is a symbolic ref that leads nowhere`);
}

function readRefFile(device: Device, name: string): RefContent | undefined {
  const bytes = device.read(name);
  if (bytes === undefined) return undefined;
  const text = new TextDecoder().decode(bytes.subarray(0, 4096)).trimEnd();
  if (text.startsWith("ref:")) {
    const to = text.slice(4).trim();
    if (isRefName(to)) return { oid: undefined, to };
  }
  const oid = parseOid(text.slice(0, 40));
  if (oid === undefined || /\S/.test(text.charAt(40))) {
    throw new StoreError("corrupt", `the ref ${name} is damaged`);
  }
  return { oid, to: undefined };
}

function readPackedRefs(device: Device): Map<string, PackedRef> {
  const bytes = device.read("packed-refs");
  return bytes === undefined ? new Map() : decodePackedRefs(new TextDecoder().decode(bytes));
}

async function* looseNames(device: Device, folder: string): AsyncIterable<string> {
  for (const entry of await device.list(folder)) {
    const name = `${folder}/${entry.name}`;
    // Locks and litter are no refs; nor is anything whose name could not be one.
    if (entry.isFolder) {
      if (isRefName(`${name}/x`)) yield* looseNames(device, name);
    } else if (isRefName(name)) {
      yield name;
    }
  }
}

/** The deepest folder that all names with this prefix lie in. */
function folderOf(prefix: string): string {
  const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf("/")));
  return isRefName(`${folder}/x`) ? folder : "refs";
}

/** Empty folders may stand where a ref is to be written: what is left of deleted refs. */
async function removeEmptyTree(device: Device, path: string): Promise<void> {
  if (device.look(path)?.isFolder !== true) return;
  for (const entry of await device.list(path)) {
    if (entry.isFolder) await removeEmptyTree(device, `${path}/${entry.name}`);
  }
  await device.removeFolder(path);
}

async function removeEmptyFolders(device: Device, name: string): Promise<void> {
  const parts = name.split("/");
  for (let count = parts.length - 1; count > 2; count--) {
    // One that is not empty, or gone already, leaves nothing to tidy above it.
    if (!await device.removeFolder(parts.slice(0, count).join("/"))) return;
  }
}
