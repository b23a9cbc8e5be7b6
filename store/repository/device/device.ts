/**
 * What lies under the heaps and refs: files that are *appended to*, *mapped* (read by ranges) and *renamed into place*,
 * in folders that are listed and made durable. Paths are relative to the repository, parts joined by `/`.
 *
 * What takes a moment at most is done at once, so that a look at a file and the step that follows from it are not
 * interrupted; what may wait for the disk gives a promise.
 */
export interface Device {
  /** Where it is, for messages. */
  readonly description: string;
  /** All bytes of a file, small nearly always; `undefined` where there is none (a folder of that name is none). */
  read(path: string): Uint8Array | undefined;
  /** A file to be read by ranges, that stays readable when it is removed; `undefined` where there is none. */
  map(path: string): MappedFile | undefined;
  /** A new file. @throws {DeviceError} `exists`; `absent` without the folder above it */
  create(path: string, access: FileAccess): Promise<GrowingFile>;
  /** Replaces what is there. */
  rename(from: string, to: string): Promise<void>;
  /** Takes a file away; says whether there was one. */
  remove(path: string): Promise<boolean>;
  /** What is in a folder; nothing where there is none. */
  list(folder: string): Promise<readonly DeviceEntry[]>;
  look(path: string): FileLook | undefined;
  /** Sets a file's time of last change, in milliseconds since 1970; no matter where it is gone. */
  touch(path: string, changed: number): void;
  /** Makes one folder; says whether it was not there before. @throws {DeviceError} `exists` where a file is */
  makeFolder(path: string): Promise<boolean>;
  /** Takes an empty folder away; says whether it did: not where it has something in it, or is not there. */
  removeFolder(path: string): Promise<boolean>;
  /** Makes durable: a file's bytes, or which names a folder holds. */
  sync(path: string): Promise<void>;
}

/** `fixed`: never changed again once it is in its place, and made read-only where the device knows such a thing. */
export type FileAccess = "fixed" | "changing";

export interface DeviceEntry {
  readonly name: string;
  readonly isFolder: boolean;
}

export interface FileLook {
  readonly isFolder: boolean;
  /** In bytes, of a file. */
  readonly size: number;
  /** Milliseconds since 1970: of a file's bytes, of which names are in a folder. */
  readonly changed: number;
  /** Tells a file from another that took its name. */
  readonly id: string;
}

export interface MappedFile {
  readonly size: number;
  /** The bytes of a range, those there are of it where the file ends before it does. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

export interface GrowingFile {
  append(bytes: Uint8Array): Promise<void>;
  /** Reads back what was appended; lent until the next call. */
  read(offset: number, length: number): Uint8Array;
  /**
   * Changes bytes before the end. Needed for one thing: the header of a pack says how many objects there are, and that of
   * a thin pack changes when its bases are appended.
   */
  overwrite(offset: number, bytes: Uint8Array): void;
  /** The next append goes here; what stands there is overwritten by it. */
  rewind(length: number): void;
  sync(): Promise<void>;
  close(): void;
}

export type DeviceErrorCode = "absent" | "exists" | "not-a-folder" | "no-space" | "failed";

/** What went wrong with a file. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
  constructor(readonly code: DeviceErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

export function isDeviceError(error: unknown, ...codes: DeviceErrorCode[]): boolean {
  return error instanceof DeviceError && codes.includes(error.code);
}
