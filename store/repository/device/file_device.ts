/**
 * A device on the file system, below one folder. Small files are read at once, without handing each to another thread and
 * back, which takes ten times what reading it does. Benchmark: tests/bench/transfer_bench.ts.
 */
import { DeviceError } from "./device.ts";
import type { Device, DeviceEntry, DeviceErrorCode, FileLook, GrowingFile, MappedFile } from "./device.ts";

export function fileDevice(root: string): Device {
  const at = (path: string) => path === "" ? root : `${root}/${path}`;
  return {
    description: root,

    read: (path) =>
      attempt<Uint8Array | undefined>(path, () => {
        using file = Deno.openSync(at(path), { read: true });
        return readAll(file);
      }, nothing),

    map: (path) =>
      attempt<MappedFile | undefined>(path, () => {
        const file = Deno.openSync(at(path), { read: true });
        try {
          return mappedFile(path, file);
        } catch (error) {
          file.close();
          throw error;
        }
      }, nothing),

    create: (path, access) =>
      attemptLater(path, async () => {
        const mode = access === "fixed" ? 0o444 : 0o666;
        return growingFile(
          path,
          await Deno.open(at(path), { read: true, write: true, createNew: true, mode }),
        );
      }),

    rename: (from, to) => attemptLater(to, () => Deno.rename(at(from), at(to))),

    remove: (path) =>
      attemptLater(path, async () => {
        await Deno.remove(at(path));
        return true;
      }, { whenAbsent: false }),

    list: (folder) =>
      attemptLater<readonly DeviceEntry[]>(folder, () =>
        Array.fromAsync(
          Deno.readDir(at(folder)),
          ({ name, isDirectory }) => ({ name, isFolder: isDirectory }),
        ), { whenAbsent: [] }),

    look: (path) => attempt<FileLook | undefined>(path, () => lookOf(Deno.statSync(at(path))), nothing),

    touch(path, changed) {
      // With the time of last access, which nobody asks for.
      const touch = () => Deno.utimeSync(at(path), changed / 1000, changed / 1000);
      attempt(path, () => {
        try {
          touch();
        } catch (error) {
          // Who may only read builds nothing upon what he finds, and need not keep it from being collected.
          if (!mayOnlyRead(error)) throw error;
        }
      }, nothing);
    },

    makeFolder: (path) =>
      attemptLater(path, async () => {
        try {
          await Deno.mkdir(at(path));
          return true;
        } catch (error) {
          if (
            error instanceof Deno.errors.AlreadyExists && (await Deno.stat(at(path))).isDirectory
          ) return false;
          throw error;
        }
      }),

    removeFolder: (path) =>
      attemptLater(path, async () => {
        try {
          await Deno.remove(at(path));
          return true;
        } catch (error) {
          if (codeOf(error) === "ENOTEMPTY" || codeOf(error) === "EEXIST") return false;
          throw error;
        }
      }, { whenAbsent: false }),

    sync: (path) =>
      attemptLater(path, async () => {
        using file = await Deno.open(at(path), { read: true });
        await file.sync();
      }),
  };
}

const nothing = { whenAbsent: undefined };

function readAll(file: Deno.FsFile): Uint8Array | undefined {
  let length = 0;
  while (length < scratch.length) {
    const count = readSome(file, scratch.subarray(length));
    if (count === undefined) return undefined;
    if (count === 0) return scratch.slice(0, length);
    length += count;
  }
  // Room for all of it at once: the index of a million objects, joined from parts, would be there twice.
  let whole = new Uint8Array(Math.max(file.statSync().size, length) + 1);
  whole.set(scratch);
  for (;;) {
    const count = readSome(file, whole.subarray(length)) ?? 0;
    if (count === 0) return whole.subarray(0, length);
    length += count;
    if (length < whole.length) continue;
    const larger = new Uint8Array(whole.length * 2);
    larger.set(whole);
    whole = larger;
  }
}

const scratch = new Uint8Array(16384);

/** 0 at the end; `undefined` where this is a folder. */
function readSome(file: Deno.FsFile, into: Uint8Array): number | undefined {
  try {
    return file.readSync(into) ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.IsADirectory || codeOf(error) === "EISDIR") return undefined;
    throw error;
  }
}

function mappedFile(path: string, file: Deno.FsFile): MappedFile {
  return {
    size: file.statSync().size,
    read: (offset, length) => attempt(path, () => readRange(file, offset, length)),
    close: () => file.close(),
  };
}

function growingFile(path: string, file: Deno.FsFile): GrowingFile {
  let length = 0;
  const lent = new Uint8Array(lentBytes);
  const writeAt = (offset: number, bytes: Uint8Array) =>
    attempt(path, () => {
      file.seekSync(offset, Deno.SeekMode.Start);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    });
  return {
    append(bytes) {
      try {
        writeAt(length, bytes);
      } catch (error) {
        return Promise.reject(error);
      }
      length += bytes.length;
      return Promise.resolve();
    },
    read: (offset, count) => attempt(path, () => readRange(file, offset, count, lent)),
    overwrite: writeAt,
    rewind(to) {
      length = to;
    },
    sync: () => attemptLater(path, () => file.sync()),
    close: () => file.close(),
  };
}

/** Reads of a growing file up to this size are given in one buffer, over and over: a pack has hundreds of thousands. */
const lentBytes = 65536;

/** The position is the file's own, so nothing may wait between the two steps. */
function readRange(file: Deno.FsFile, offset: number, length: number, lent?: Uint8Array): Uint8Array {
  const bytes = lent !== undefined && length <= lent.length
    ? lent.subarray(0, length)
    : new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  let at = 0;
  while (at < length) {
    const count = file.readSync(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  return at === length ? bytes : bytes.subarray(0, at);
}

function lookOf(info: Deno.FileInfo): FileLook {
  return {
    isFolder: info.isDirectory,
    size: info.size,
    changed: info.mtime?.getTime() ?? 0,
    id: `${info.ino}`,
  };
}

interface WhenAbsent<T> {
  readonly whenAbsent: T;
}

function attempt<T>(path: string, act: () => T, otherwise?: WhenAbsent<T>): T {
  try {
    return act();
  } catch (error) {
    return settle(path, error, otherwise);
  }
}

async function attemptLater<T>(path: string, act: () => Promise<T>, otherwise?: WhenAbsent<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    return settle(path, error, otherwise);
  }
}

function settle<T>(path: string, error: unknown, otherwise: WhenAbsent<T> | undefined): T {
  // A missing permission of the runtime, or a mistake of ours, is no matter of files.
  if (error instanceof Deno.errors.NotCapable || !(error instanceof Error)) throw error;
  const code = errorCode(error);
  if (code === undefined) throw error;
  if (otherwise !== undefined && (code === "absent" || code === "not-a-folder")) return otherwise.whenAbsent;
  throw new DeviceError(code, `${path}: ${error.message}`, { cause: error });
}

function errorCode(error: Error): DeviceErrorCode | undefined {
  if (error instanceof DeviceError) return error.code;
  const code = codeOf(error);
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") return "no-space";
  if (error instanceof Deno.errors.NotFound) return "absent";
  if (error instanceof Deno.errors.AlreadyExists) return "exists";
  if (error instanceof Deno.errors.NotADirectory) return "not-a-folder";
  return code !== undefined || Object.values(Deno.errors).some((known) => error instanceof known)
    ? "failed"
    : undefined;
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function mayOnlyRead(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.PermissionDenied ||
    (error instanceof Error && "code" in error && error.code === "EROFS");
}
