import { DeviceError } from "../../store/mod.ts";
import type { Device } from "../../store/mod.ts";
import type { GrowingFile } from "../../store/repository/device/device.ts";

export interface Faults {
  /** Called before each operation that changes the device, with its number (from 1). Throws to make it fail. */
  readonly before?: (operation: number, what: string) => void;
  /** How many bytes of an append are written before it fails by what `before` threw. */
  readonly half?: boolean;
}

export interface FaultyDevice extends Device {
  /** How many operations there were that change something. */
  readonly operations: number;
}

/** A device of which every operation that changes something can be made to fail. */
export function faultyDevice(inner: Device, faults: Faults): FaultyDevice {
  let operations = 0;
  const step = (what: string) => {
    operations++;
    faults.before?.(operations, what);
  };
  const later = async <T>(what: string, act: () => Promise<T>): Promise<T> => {
    step(what);
    return await act();
  };
  return {
    description: inner.description,
    get operations() {
      return operations;
    },
    read: (path) => inner.read(path),
    map: (path) => inner.map(path),
    look: (path) => inner.look(path),
    list: (folder) => inner.list(folder),
    async create(path, access) {
      step(`create ${path}`);
      return faultyFile(await inner.create(path, access), path, step, faults.half === true);
    },
    rename: (from, to) => later(`rename ${from} ${to}`, () => inner.rename(from, to)),
    remove: (path) => later(`remove ${path}`, () => inner.remove(path)),
    touch(path, changed) {
      step(`touch ${path}`);
      inner.touch(path, changed);
    },
    makeFolder: (path) => later(`makeFolder ${path}`, () => inner.makeFolder(path)),
    removeFolder: (path) => later(`removeFolder ${path}`, () => inner.removeFolder(path)),
    sync: (path) => later(`sync ${path}`, () => inner.sync(path)),
  };
}

function faultyFile(
  file: GrowingFile,
  path: string,
  step: (what: string) => void,
  half: boolean,
): GrowingFile {
  return {
    async append(bytes) {
      try {
        step(`append ${path}`);
      } catch (error) {
        if (half) await file.append(bytes.subarray(0, bytes.length >> 1));
        throw error;
      }
      await file.append(bytes);
    },
    read: (offset, length) => file.read(offset, length),
    overwrite(offset, bytes) {
      step(`overwrite ${path}`);
      file.overwrite(offset, bytes);
    },
    rewind: (length) => file.rewind(length),
    async sync() {
      step(`sync ${path}`);
      await file.sync();
    },
    close: () => file.close(),
  };
}

/** Stands for the end of the process: thrown at an operation, and at every one after it. */
export class Death extends Error {}

export function diesAt(operation: number): Faults {
  return {
    half: true,
    before(number) {
      if (number >= operation) throw new Death();
    },
  };
}

/** A disk that is full from one operation on, until there is room again. */
export function fullFrom(operation: number): Faults & { makeRoom(): void } {
  let full = true;
  return {
    half: true,
    makeRoom() {
      full = false;
    },
    before(number, what) {
      if (full && number >= operation && /^(append|create|makeFolder|overwrite)/.test(what)) {
        throw new DeviceError("no-space", `${what}: no space left on device`);
      }
    },
  };
}
