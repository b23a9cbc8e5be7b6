import { StoreError } from "../types.ts";
import type { GitObject, Oid } from "../types.ts";
import { equalBytes } from "../object/bytes.ts";
import { hashObject, objectOid } from "../object/hash.ts";
import { decodePackIndex } from "../pack/index_file.ts";
import type { PackIndex } from "../pack/index_file.ts";
import { packWindows } from "../pack/pack_windows.ts";
import { readPack } from "../pack/read_pack.ts";
import type { PackReader } from "../pack/read_pack.ts";
import type { Device, MappedFile } from "./device/device.ts";
import { DeviceError } from "./device/device.ts";
import type { StoreTools } from "./tools.ts";

export interface Pack {
  readonly base: string;
  /** Tells it from another file of the same name. */
  readonly id: string;
  readonly index: PackIndex<Oid> | undefined;
  readonly reader: PackReader<Oid> | undefined;
  /** A file of it could not be opened or read: that may pass. */
  readonly unopened: boolean;
  /** Ranks of the objects that were found damaged. */
  readonly bad: Set<number>;
  fault: string | undefined;
  freshened: number;
  /** @throws {StoreError} `corrupt` */
  read(rank: number, oid: Oid): GitObject;
  fail(rank: number, error: Error): void;
  close(): void;
}

export type Note = (pack: { readonly base: string; readonly id: string }, reason: string) => void;

/** One pack with its index, looked over; `undefined` where its files are gone. What is wrong with it is in `fault`, and noted. */
export async function openPack(
  device: Device,
  folder: string,
  base: string,
  id: string,
  tools: StoreTools,
  note: Note,
): Promise<Pack | undefined> {
  const faults: string[] = [];
  let unopened = false;
  let file: MappedFile | undefined;
  try {
    file = device.map(`${folder}/${base}.pack`);
    // Repacked away between the look and now.
    if (file === undefined) return undefined;
  } catch (error) {
    if (!isDamage(error)) throw error;
    faults.push(error.message);
    unopened = true;
  }
  let index: PackIndex<Oid> | undefined;
  try {
    const bytes = device.read(`${folder}/${base}.idx`);
    if (bytes === undefined) {
      file?.close();
      return undefined;
    }
    index = checkedIndex(bytes, tools);
  } catch (error) {
    if (!isDamage(error) && !(error instanceof StoreError)) throw error;
    faults.push(`its index: ${error.message}`);
    if (error instanceof DeviceError) unopened = true;
  }
  if (file !== undefined) {
    if (index === undefined) {
      const made = await indexAnew(file, tools);
      if (made instanceof Error) faults.push(`it cannot be indexed anew: ${made.message}`);
      else index = made;
    } else {
      const fault = endsFault(file, index);
      if (fault !== undefined) faults.push(fault);
    }
  }
  const opened = file;
  const oidOf = tools.oidOf ?? ((kind, content) => objectOid(kind, content, tools.newSha1));
  const reader = opened === undefined || index === undefined ? undefined : readPack<Oid>({
    name: `${base}.pack`,
    index,
    size: opened.size,
    map: windowed(opened),
    zlib: tools.zlib,
  });
  let closed = false;
  const pack: Pack = {
    base,
    id,
    index,
    reader,
    unopened,
    bad: new Set(),
    fault: faults.length === 0 ? undefined : faults.join("; "),
    freshened: 0,
    read(rank, oid) {
      if (reader === undefined) throw new StoreError("corrupt", `${base}.pack cannot be read`);
      const object = reader.read(rank);
      if (oidOf(object.kind, object.content) !== oid) {
        throw new StoreError(
          "corrupt",
          `object ${oid} is damaged in ${base}.pack: its content has another id`,
        );
      }
      return object;
    },
    fail(rank, error) {
      // What fails because it was closed says nothing of the pack.
      if (closed) return;
      pack.bad.add(rank);
      pack.fault ??= error.message;
      note(pack, pack.fault);
    },
    close() {
      closed = true;
      opened?.close();
    },
  };
  if (pack.fault !== undefined) note(pack, pack.fault);
  return pack;
}

/** Whether an error says that something stored is not as it was written. */
export function isDamage(error: unknown): error is Error {
  // A file system that cannot read a sector says "failed": to us that is damage like any other.
  return (error instanceof StoreError && error.code === "corrupt") || error instanceof DeviceError;
}

/** @throws {StoreError} */
function checkedIndex(bytes: Uint8Array, { newSha1 }: StoreTools): PackIndex<Oid> {
  const index = decodePackIndex<Oid>(bytes);
  const sha1 = newSha1();
  sha1.update(bytes.subarray(0, bytes.length - 20));
  if (!equalBytes(sha1.digest(), bytes.subarray(bytes.length - 20))) {
    throw new StoreError("corrupt", "its checksum does not fit");
  }
  return index;
}

/** What the pack's first and last bytes say, where that is not what the index says. */
function endsFault(file: MappedFile, index: PackIndex<Oid>): string | undefined {
  try {
    const header = file.read(0, 12);
    const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
    if (header.length < 12 || view.getUint32(0) !== 0x5041434b || view.getUint32(8) !== index.count) {
      return "its header is not what was indexed";
    }
    if (!equalBytes(file.read(Math.max(0, file.size - 20), 20), index.packChecksum)) {
      return "its checksum is not what was indexed";
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    return error.message;
  }
  return undefined;
}

/** The index of a pack that is whole, kept in memory alone. */
async function indexAnew(file: MappedFile, tools: StoreTools): Promise<PackIndex<Oid> | Error> {
  try {
    // Seldom needed, and much to load.
    const { indexPack } = await import("../pack/index_pack.ts");
    const { index } = await indexPack(chunksOf(file), {
      // It is ours: what is in it was within the bounds of its time.
      limits: {
        packBytes: file.size,
        objectBytes: 2 ** 30,
        objects: 2 ** 32,
        deltaDepth: 4096,
        deltaWork: Number.MAX_SAFE_INTEGER,
      },
      zlib: tools.zlib,
      newSha1: tools.newSha1,
      identify: (kind, content) => hashObject(kind, content, tools.newSha1),
      storage: {
        append: () => Promise.resolve(),
        read: (offset, length) => file.read(offset, length),
        overwrite: () => refuseChange(),
        truncate: () => refuseChange(),
      },
      pause: tools.breather(),
    });
    return decodePackIndex<Oid>(index);
  } catch (error) {
    if (!isDamage(error) && !(error instanceof StoreError)) throw error;
    return error;
  }
}

function refuseChange(): never {
  throw new StoreError("corrupt", "it lacks bases of its deltas");
}

function* chunksOf(file: MappedFile): Iterable<Uint8Array> {
  for (let at = 0; at < file.size; at += 1 << 20) yield file.read(at, Math.min(1 << 20, file.size - at));
}

/** Through windows; a read that comes too short tells of a file that was cut. */
function windowed(file: MappedFile): (offset: number, length: number) => Uint8Array {
  const map = packWindows((offset, length) => file.read(offset, length), file.size);
  return (offset, length) => {
    const bytes = map(offset, length);
    if (bytes.length === length) return bytes;
    throw new StoreError("corrupt", "the file is shorter than its index says");
  };
}
