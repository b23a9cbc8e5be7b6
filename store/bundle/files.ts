import { StoreError } from "../types.ts";
import { ioError } from "../repository/files.ts";

/** A bundle is a file of its own, wherever its maker wants it: no repository and no device lies around it. */

/** The file's bytes; `undefined` where there is no such file (a folder of that name is none). */
export async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw ioError(`cannot read ${path}`, error);
  }
}

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

export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Reads at a place of the file. The position is the file's own, so nothing may wait between the two steps. */
export function readExactly(file: Deno.FsFile, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  for (let at = 0; at < length;) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) throw new StoreError("corrupt", "the file is shorter than it was");
    at += count;
  }
  return bytes;
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory ||
    error instanceof Deno.errors.IsADirectory;
}
