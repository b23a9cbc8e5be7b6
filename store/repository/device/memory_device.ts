import { DeviceError } from "./device.ts";
import type { Device, DeviceEntry, GrowingFile, MappedFile } from "./device.ts";

/** A device in memory: a store without a file system, and for tests one whose power can be cut. */
export interface MemoryDevice extends Device {
  /**
   * What a disk would hold if the power went now: bytes and names that were not synced are lost, which is the worst that
   * a file system may do.
   */
  afterPowerLoss(): MemoryDevice;
  /** Every file with its bytes, by path; folders have a path that ends in `/` and no bytes. */
  files(): Iterable<{ readonly path: string; readonly bytes: Uint8Array }>;
}

export interface MemoryDeviceOptions {
  /** Milliseconds since 1970, for the times of files. */
  readonly clock?: () => number;
}

export function memoryDevice(options: MemoryDeviceOptions = {}): MemoryDevice {
  return deviceOf(newFolder(), options.clock ?? Date.now);
}

interface FileNode {
  readonly kind: "file";
  bytes: Uint8Array;
  length: number;
  /** As last synced. */
  durable: Uint8Array;
  changed: number;
  readonly id: number;
}

interface FolderNode {
  readonly kind: "folder";
  entries: Map<string, Node>;
  durable: Map<string, Node>;
  changed: number;
  /** Counts changes, as a clock may stand still between two. */
  version: number;
  readonly id: number;
}

type Node = FileNode | FolderNode;

let nodes = 0;

function newFolder(entries = new Map<string, Node>()): FolderNode {
  return { kind: "folder", entries, durable: new Map(entries), changed: 0, version: 0, id: ++nodes };
}

function newFile(bytes: Uint8Array, changed: number): FileNode {
  return { kind: "file", bytes, length: bytes.length, durable: bytes.slice(), changed, id: ++nodes };
}

function deviceOf(root: FolderNode, clock: () => number): MemoryDevice {
  function find(path: string): Node | undefined {
    let node: Node | undefined = root;
    for (const part of path === "" ? [] : path.split("/")) {
      if (node?.kind !== "folder") return undefined;
      node = node.entries.get(part);
    }
    return node;
  }

  /** The folder above a path, and its name there. */
  function place(path: string): { readonly folder: FolderNode; readonly name: string } {
    const cut = path.lastIndexOf("/");
    const folder = find(cut < 0 ? "" : path.slice(0, cut));
    if (folder === undefined) throw new DeviceError("absent", `${path}: no folder for it`);
    if (folder.kind === "file") {
      throw new DeviceError("not-a-folder", `${path}: a file where a folder is needed`);
    }
    return { folder, name: path.slice(cut + 1) };
  }

  function setEntry(folder: FolderNode, name: string, node: Node | undefined): void {
    if (node === undefined) folder.entries.delete(name);
    else folder.entries.set(name, node);
    folder.changed = clock();
    folder.version++;
  }

  const file = (path: string) => {
    const node = find(path);
    return node?.kind === "file" ? node : undefined;
  };
  /** As a device on disk would fail: with a rejection. */
  // deno-lint-ignore require-await
  const later = async <T>(act: () => T): Promise<T> => act();

  return {
    description: "memory",
    read(path) {
      const node = file(path);
      return node?.bytes.slice(0, node.length);
    },
    map(path) {
      const node = file(path);
      return node === undefined ? undefined : mapped(node);
    },
    create: (path) =>
      later(() => {
        const { folder, name } = place(path);
        if (folder.entries.has(name)) throw new DeviceError("exists", `${path} is there already`);
        const node = newFile(new Uint8Array(), clock());
        setEntry(folder, name, node);
        return growing(node, clock);
      }),
    rename: (from, to) =>
      later(() => {
        const node = find(from);
        if (node === undefined) throw new DeviceError("absent", `${from} is not there`);
        const source = place(from);
        const target = place(to);
        if (target.folder.entries.get(target.name)?.kind === "folder") {
          throw new DeviceError("exists", `${to} is a folder`);
        }
        setEntry(source.folder, source.name, undefined);
        setEntry(target.folder, target.name, node);
      }),
    remove: (path) =>
      later(() => {
        if (file(path) === undefined) {
          if (find(path) === undefined) return false;
          throw new DeviceError("failed", `${path} is a folder`);
        }
        const { folder, name } = place(path);
        setEntry(folder, name, undefined);
        return true;
      }),
    list: (path) =>
      later((): readonly DeviceEntry[] => {
        const node = find(path);
        if (node?.kind !== "folder") return [];
        return Array.from(node.entries, ([name, { kind }]) => ({ name, isFolder: kind === "folder" }));
      }),
    look(path) {
      const node = find(path);
      if (node === undefined) return undefined;
      return node.kind === "file"
        ? { isFolder: false, size: node.length, changed: node.changed, id: `${node.id}` }
        : { isFolder: true, size: 0, changed: node.changed, id: `${node.id}.${node.version}` };
    },
    touch(path, changed) {
      const node = find(path);
      if (node !== undefined) node.changed = changed;
    },
    makeFolder: (path) =>
      later(() => {
        const { folder, name } = place(path);
        const present = folder.entries.get(name);
        if (present?.kind === "file") throw new DeviceError("exists", `${path} is a file`);
        if (present !== undefined) return false;
        setEntry(folder, name, newFolder());
        return true;
      }),
    removeFolder: (path) =>
      later(() => {
        const node = find(path);
        if (node?.kind !== "folder" || node.entries.size > 0) return false;
        const { folder, name } = place(path);
        setEntry(folder, name, undefined);
        return true;
      }),
    sync: (path) =>
      later(() => {
        const node = find(path);
        if (node === undefined) throw new DeviceError("absent", `${path} is not there`);
        if (node.kind === "file") node.durable = node.bytes.slice(0, node.length);
        else node.durable = new Map(node.entries);
      }),
    afterPowerLoss: () => deviceOf(durableCopy(root), clock),
    files: () => filesBelow(root, ""),
  };
}

function mapped(node: FileNode): MappedFile {
  return {
    size: node.length,
    read: (offset, length) => node.bytes.slice(offset, Math.min(offset + length, node.length)),
    close() {},
  };
}

function growing(node: FileNode, clock: () => number): GrowingFile {
  let end = 0;
  const writeAt = (offset: number, bytes: Uint8Array) => {
    const length = Math.max(node.length, offset + bytes.length);
    if (length > node.bytes.length) {
      const larger = new Uint8Array(Math.max(length, node.bytes.length * 2));
      larger.set(node.bytes.subarray(0, node.length));
      node.bytes = larger;
    }
    node.bytes.set(bytes, offset);
    node.length = length;
    node.changed = clock();
  };
  return {
    append(bytes) {
      writeAt(end, bytes);
      end += bytes.length;
      return Promise.resolve();
    },
    read: (offset, length) => node.bytes.slice(offset, Math.min(offset + length, node.length)),
    overwrite: writeAt,
    rewind(length) {
      end = length;
    },
    sync() {
      node.durable = node.bytes.slice(0, node.length);
      return Promise.resolve();
    },
    close() {},
  };
}

/** A file that two folders hold (renamed, one of them not synced) becomes two, as its bytes are what they are in both. */
function durableCopy(folder: FolderNode): FolderNode {
  const entries = new Map<string, Node>();
  for (const [name, node] of folder.durable) {
    entries.set(
      name,
      node.kind === "folder" ? durableCopy(node) : newFile(node.durable.slice(), node.changed),
    );
  }
  return newFolder(entries);
}

function* filesBelow(folder: FolderNode, path: string): Iterable<{ path: string; bytes: Uint8Array }> {
  for (const [name, node] of folder.entries) {
    if (node.kind === "file") {
      yield { path: `${path}${name}`, bytes: node.bytes.slice(0, node.length) };
    } else {
      yield { path: `${path}${name}/`, bytes: new Uint8Array() };
      yield* filesBelow(node, `${path}${name}/`);
    }
  }
}
