import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import type { Oid, RefMove, RefMoveError, Refs } from "../types.ts";
import { utf8 } from "../object/bytes.ts";
import { parseOid } from "../object/oid.ts";
import {
  createFile,
  ioError,
  isAbsent,
  listFolder,
  makeFolders,
  readFileIfThere,
  removeIfThere,
} from "./files.ts";
import { syncPath } from "./files.ts";
import { compareNames, decodePackedRefs, encodePackedRefs } from "./packed_refs.ts";
import type { PackedRef } from "./packed_refs.ts";
import { isRefName } from "./ref_name.ts";

/**
 * Refs in git's files format (gitrepository-layout): a loose file hides the line in `packed-refs`. Every writer, git
 * itself included, holds `NAME.lock` while it compares and swaps.
 */
export function openRefs(root: string, hasObject: (oid: Oid) => Promise<boolean>): Refs {
  return {
    async get(name) {
      if (name !== "HEAD" && !isRefName(name)) return undefined;
      return await resolveRef(root, name);
    },

    async list(prefix = "refs/") {
      const packed = await readPackedRefs(root);
      const names = new Set(packed.keys());
      for await (const name of looseNames(root, folderOf(prefix))) names.add(name);
      const wanted = [...names].filter((name) => name.startsWith(prefix)).sort(compareNames);
      const refs = new Map<string, Oid>();
      for (const name of wanted) {
        const oid = await resolveRef(root, name, packed);
        if (oid !== undefined) refs.set(name, oid);
      }
      return refs;
    },

    async head() {
      const content = await readRefFile(root, "HEAD");
      if (content?.to === undefined) throw new StoreError("corrupt", "HEAD does not name a ref");
      return content.to;
    },

    async move(move) {
      if (!isRefName(move.name)) {
        return refused(move, "bad-name", `${JSON.stringify(move.name)} is not a valid ref name`);
      }
      if (move.new !== undefined && !await hasObject(move.new)) {
        return refused(move, "missing-object", `${move.name}: object ${move.new} is not here`);
      }
      try {
        return await withLock(root, move, () => swap(root, move));
      } catch (error) {
        throw error instanceof StoreError ? error : ioError(`cannot move ${move.name}`, error);
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

async function withLock(root: string, move: RefMove, body: () => Promise<Outcome>): Promise<Outcome> {
  const inTheWay = await conflict(root, move);
  if (inTheWay !== undefined) return inTheWay;
  const lock = `${root}/${move.name}.lock`;
  const content = utf8(`${move.new ?? move.old ?? ""}\n`);
  for (let waited = 0;; waited += 10) {
    try {
      // A deletion by another writer may remove an empty folder between the two steps: then again.
      await makeFolders(root, move.name.slice(0, move.name.lastIndexOf("/")));
      await createFile(lock, content, { mode: 0o666, sync: move.new !== undefined });
      break;
    } catch (error) {
      if (error instanceof Deno.errors.NotADirectory) {
        return refused(move, "conflict", `${move.name}: a ref stands where a folder is needed`);
      }
      const again = error instanceof Deno.errors.AlreadyExists || error instanceof Deno.errors.NotFound;
      if (!again) throw error;
      if (waited >= lockPatience) {
        if (await conflict(root, move) !== undefined) {
          return refused(move, "conflict", `${move.name}: another ref stands in its way`);
        }
        return refused(move, "locked", `${move.name} is locked by another writer (${move.name}.lock)`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  try {
    return await body();
  } finally {
    // Renamed away where the move was made.
    await removeIfThere(lock);
  }
}

/** Under the lock: compare, then swap. */
async function swap(root: string, move: RefMove): Promise<Outcome> {
  const inTheWay = await conflict(root, move);
  if (inTheWay !== undefined) return inTheWay;
  const loose = await readRefFile(root, move.name);
  if (loose?.to !== undefined) return refused(move, "conflict", `${move.name} is a symbolic ref`);
  const actual = loose?.oid ?? (await readPackedRefs(root)).get(move.name)?.oid;
  if (actual !== move.old) {
    const message = `${move.name} is at ${actual ?? "nothing"}, not at ${move.old ?? "nothing"}`;
    return { ok: false, error: { code: "stale", name: move.name, actual, message } };
  }
  const path = `${root}/${move.name}`;
  const folder = path.slice(0, path.lastIndexOf("/"));
  if (move.new === undefined) {
    const packed = await dropPacked(root, move);
    if (!packed.ok) return packed;
    await removeIfThere(path);
    await syncPath(folder);
    await removeIfThere(`${path}.lock`);
    await removeEmptyFolders(root, move.name);
    return { ok: true, value: undefined };
  }
  await removeEmptyTree(path);
  await Deno.rename(`${path}.lock`, path);
  await syncPath(folder);
  return { ok: true, value: undefined };
}

/** `refs/heads/a` and `refs/heads/a/b` cannot both be: one is a file where the other needs a folder. */
async function conflict(root: string, move: RefMove): Promise<Outcome | undefined> {
  if (move.new === undefined) return undefined;
  const packed = await readPackedRefs(root);
  const parts = move.name.split("/");
  for (let count = 2; count < parts.length; count++) {
    const above = parts.slice(0, count).join("/");
    if (packed.has(above) || await readRefFile(root, above) !== undefined) {
      return refused(move, "conflict", `${move.name}: the ref ${above} stands in its way`);
    }
  }
  for (const name of packed.keys()) {
    if (name.startsWith(`${move.name}/`)) {
      return refused(move, "conflict", `${move.name}: the ref ${name} stands in its way`);
    }
  }
  for await (const name of looseNames(root, move.name)) {
    if (name === move.name) continue;
    return refused(move, "conflict", `${move.name}: the ref ${name} stands in its way`);
  }
  return undefined;
}

/** Takes a ref out of `packed-refs`, under that file's own lock; first, so that a kill leaves the loose value. */
async function dropPacked(root: string, move: RefMove): Promise<Outcome> {
  if (!(await readPackedRefs(root)).has(move.name)) return { ok: true, value: undefined };
  const lock = `${root}/packed-refs.lock`;
  try {
    await createFile(lock, new Uint8Array(), { mode: 0o666, sync: false });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    return refused(move, "locked", "packed-refs is locked by another writer (packed-refs.lock)");
  }
  // The name with which git itself writes the new file before it renames it.
  const next = `${root}/packed-refs.new`;
  try {
    const packed = new Map<string, PackedRef>(await readPackedRefs(root));
    packed.delete(move.name);
    await removeIfThere(next);
    await createFile(next, utf8(encodePackedRefs(packed)), { mode: 0o666, sync: true });
    await Deno.rename(next, `${root}/packed-refs`);
    await syncPath(root);
  } finally {
    await removeIfThere(lock);
  }
  return { ok: true, value: undefined };
}

interface RefContent {
  readonly oid: Oid | undefined;
  readonly to: string | undefined;
}

async function resolveRef(
  root: string,
  name: string,
  packed?: ReadonlyMap<string, PackedRef>,
): Promise<Oid | undefined> {
  let at = name;
  // Five steps, as in git (SYMREF_MAXDEPTH).
  for (let step = 0; step < 5; step++) {
    const loose = await readRefFile(root, at);
    if (loose === undefined) return (packed ?? await readPackedRefs(root)).get(at)?.oid;
    if (loose.to === undefined) return loose.oid;
    at = loose.to;
  }
  throw new StoreError("corrupt", `${name} is a symbolic ref that leads nowhere`);
}

async function readRefFile(root: string, name: string): Promise<RefContent | undefined> {
  const bytes = await readFileIfThere(`${root}/${name}`);
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

async function readPackedRefs(root: string): Promise<Map<string, PackedRef>> {
  const bytes = await readFileIfThere(`${root}/packed-refs`);
  return bytes === undefined ? new Map() : decodePackedRefs(new TextDecoder().decode(bytes));
}

async function* looseNames(root: string, folder: string): AsyncIterable<string> {
  for (const entry of await listFolder(`${root}/${folder}`)) {
    const name = `${folder}/${entry.name}`;
    // Locks and litter are no refs; nor is anything whose name could not be one.
    if (entry.isDirectory) {
      if (isRefName(`${name}/x`)) yield* looseNames(root, name);
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
async function removeEmptyTree(path: string): Promise<void> {
  for (const entry of await listFolder(path)) {
    if (entry.isDirectory) await removeEmptyTree(`${path}/${entry.name}`);
  }
  try {
    if ((await Deno.lstat(path)).isDirectory) await Deno.remove(path);
  } catch (error) {
    if (!isAbsent(error)) throw error;
  }
}

async function removeEmptyFolders(root: string, name: string): Promise<void> {
  const parts = name.split("/");
  for (let count = parts.length - 1; count > 2; count--) {
    try {
      await Deno.remove(`${root}/${parts.slice(0, count).join("/")}`);
    } catch (error) {
      // Not empty, or gone already: nothing to tidy here or above.
      if (error instanceof Error) return;
      throw error;
    }
  }
}
