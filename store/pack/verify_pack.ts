import { StoreError } from "../error.ts";
import { equalBytes } from "../zlib/bytes.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { compareIds, toHex } from "./id.ts";
import { decodePackIndex } from "./index_file.ts";
import type { PackIndex } from "./index_file.ts";
import { pieceBytes } from "./inflate_entry.ts";
import type { MapPack } from "./inflate_entry.ts";
import { readPack } from "./read_pack.ts";
import type { PackReader } from "./read_pack.ts";
import type { Identify, NewSha1, Pause } from "./types.ts";

export interface VerifyPackOptions {
  /** Of the pack, its trailer included, in bytes. */
  readonly size: number;
  readonly map: MapPack;
  /** The index file's bytes. */
  readonly index: Uint8Array;
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  readonly identify: Identify;
  /** What is larger when it is inflated is taken for damage. Default 1 GiB. */
  readonly objectBytes?: number | undefined;
  readonly pause?: Pause | undefined;
}

/** Something that is not as it should be. Damage of an entry names its object and where it starts. */
export type PackFault<Id extends string = string> =
  | { readonly part: "pack" | "index"; readonly reason: string }
  | { readonly part: "entry"; readonly id: Id; readonly offset: number; readonly reason: string };

export interface PackReport<Id extends string = string> {
  /** That the index lists. */
  readonly objects: number;
  /** None: every byte of pack and index is as it was written, and every object has its id. */
  readonly faults: readonly PackFault<Id>[];
}

/**
 * Compares all of a pack and its index: both checksums, every entry's CRC, and every object with its id. Goes on after
 * what it finds, so that the report tells which objects are whole. Throws only what `map` and `identify` throw.
 */
export async function verifyPack<Id extends string = string>(
  options: VerifyPackOptions,
): Promise<PackReport<Id>> {
  const faults: PackFault<Id>[] = [];
  const { size, map, zlib } = options;
  const checksum = await checkFrame();
  await checkIndexSum();
  const reader = open();
  if (reader === undefined) return { objects: 0, faults };
  const { index } = reader;
  if (!equalBytes(index.packChecksum, checksum)) {
    faults.push({ part: "index", reason: `it is that of another pack, ${toHex(index.packChecksum)}` });
  }
  checkOrder(index);
  for (const rank of reader.inPackOrder()) {
    await options.pause?.();
    const reason = await entryFault(reader, rank);
    if (reason === undefined) continue;
    faults.push({ part: "entry", id: index.oidAt(rank), offset: index.offsetAt(rank), reason });
  }
  return { objects: index.count, faults };

  /** The pack's trailer, compared with what stands before it. */
  async function checkFrame(): Promise<Uint8Array> {
    const fault = (reason: string) => void faults.push({ part: "pack", reason });
    if (size < 32) {
      fault(`it has ${size} bytes`);
      return new Uint8Array(20);
    }
    const start = map(0, 12).slice();
    const view = new DataView(start.buffer);
    if (view.getUint32(0) !== 0x5041434b || ![2, 3].includes(view.getUint32(4))) {
      fault("it does not start as a pack");
    }
    const listed = options.index.length >= 1032
      ? new DataView(options.index.buffer, options.index.byteOffset).getUint32(8 + 255 * 4)
      : undefined;
    if (listed !== undefined && view.getUint32(8) !== listed) {
      fault(`it declares ${view.getUint32(8)} objects, its index lists ${listed}`);
    }
    const sha1 = options.newSha1();
    for (let at = 0; at < size - 20; at += pieceBytes) {
      sha1.update(map(at, Math.min(pieceBytes, size - 20 - at)));
      await options.pause?.();
    }
    const trailer = map(size - 20, 20).slice();
    if (!equalBytes(sha1.digest(), trailer)) fault("its checksum does not fit its content");
    return trailer;
  }

  async function checkIndexSum(): Promise<void> {
    const bytes = options.index;
    const end = bytes.length - 20;
    const sha1 = options.newSha1();
    for (let at = 0; at < end; at += pieceBytes) {
      sha1.update(bytes.subarray(at, Math.min(at + pieceBytes, end)));
      await options.pause?.();
    }
    if (end < 0 || !equalBytes(sha1.digest(), bytes.subarray(end))) {
      faults.push({ part: "index", reason: "its checksum does not fit its content" });
    }
  }

  function open(): PackReader<Id> | undefined {
    try {
      const index = decodePackIndex<Id>(options.index);
      const { objectBytes } = options;
      return readPack({ name: "the pack", index, size, map, zlib, objectBytes });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      faults.push({ part: "index", reason: error.message });
      return undefined;
    }
  }

  function checkOrder({ ids, count }: PackIndex<Id>): void {
    for (let rank = 1; rank < count; rank++) {
      if (compareIds(ids, rank * 20 - 20, ids, rank * 20) < 0) continue;
      faults.push({ part: "index", reason: `its ids are not in order at ${rank}` });
      return;
    }
  }

  /** What is wrong with an entry; `undefined` where nothing is. */
  async function entryFault(reader: PackReader<Id>, rank: number): Promise<string | undefined> {
    try {
      const offset = reader.index.offsetAt(rank);
      const end = reader.endOf(rank);
      let crc = 0;
      for (let at = offset; at < end; at += pieceBytes) {
        crc = zlib.crc32(map(at, Math.min(pieceBytes, end - at)), crc);
        if (at > offset) await options.pause?.();
      }
      if (crc !== reader.index.crcAt(rank)) return "its bytes are not those that were indexed (CRC)";
      const { kind, content } = reader.read(rank);
      const id = options.identify(kind, content);
      return compareIds(id, 0, reader.index.ids, rank * 20) === 0
        ? undefined
        : `it holds another object, ${toHex(id)}`;
    } catch (error) {
      if (error instanceof StoreError && error.code === "corrupt") return error.message;
      throw error;
    }
  }
}
