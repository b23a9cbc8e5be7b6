import { StoreError } from "../types.ts";

/**
 * What the heaps and refs do with files. Everything here waits for the file system, nothing blocks on it, but for loose
 * objects: there are thousands of them, a few kilobytes each, and to hand each to another thread and back takes ten times
 * what reading it does. Benchmark: tests/bench/transfer_bench.ts.
 */

/** The file's bytes; `undefined` where there is no such file (a folder of that name is none). */
export async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
}

/** As `readFileIfThere`, for files that are small nearly always: those are read at once. */
export async function readSmallFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    using file = Deno.openSync(path, { read: true });
    let length = 0;
    while (length < scratch.length) {
      const count = file.readSync(scratch.subarray(length));
      if (count === null) return scratch.slice(0, length);
      length += count;
    }
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
  return await readFileIfThere(path);
}

const scratch = new Uint8Array(16384);

/**
 * Writes a new file and makes its bytes durable before it returns. One that cannot be written whole (the disk is full)
 * is taken away again: half a lock would block every writer after. @throws {Deno.errors.AlreadyExists}
 */
export async function createFile(
  path: string,
  bytes: Uint8Array,
  options: { readonly mode: number; readonly sync: boolean },
): Promise<void> {
  using file = await Deno.open(path, { write: true, createNew: true, mode: options.mode });
  try {
    let at = 0;
    while (at < bytes.length) at += await file.write(bytes.subarray(at));
    if (options.sync) await file.sync();
  } catch (error) {
    await Deno.remove(path);
    throw error;
  }
}

/** Makes a file's bytes, or a folder's entries, durable. */
export async function syncPath(path: string): Promise<void> {
  using file = await Deno.open(path, { read: true });
  await file.sync();
}

/** Makes the folder with its parents below `root`, and each new one durable in the one above it. */
export async function makeFolders(root: string, relative: string): Promise<void> {
  let path = root;
  for (const part of relative.split("/")) {
    const above = path;
    path = `${path}/${part}`;
    try {
      await Deno.mkdir(path);
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists && (await Deno.stat(path)).isDirectory) continue;
      throw error;
    }
    await syncPath(above);
  }
}

export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

export async function listFolder(path: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(path));
  } catch (error) {
    if (isAbsent(error)) return [];
    throw ioError(`cannot list ${path}`, error);
  }
}

export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw ioError(`cannot look at ${path}`, error);
  }
}

/** As `exists`, at once. */
export function existsNow(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) return false;
    throw ioError(`cannot look at ${path}`, error);
  }
}

/** Twelve random characters for temporary names. */
export function randomSuffix(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}

export function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.IsADirectory;
}

export function ioError(doing: string, cause: unknown): StoreError {
  return new StoreError("io", `${doing}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
