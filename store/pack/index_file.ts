import { StoreError } from "../error.ts";
import { equalBytes } from "../zlib/bytes.ts";
import { compareIds, idFromBytes, writeId } from "./id.ts";
import type { NewSha1, Pause } from "./types.ts";

/** What an index says of each object of a pack; `oids` holds 20 bytes an object. */
export interface IndexedObjects {
  readonly count: number;
  readonly oids: Uint8Array;
  readonly crcs: ArrayLike<number>;
  readonly offsets: ArrayLike<number>;
}

export interface EncodePackIndexOptions {
  /** Offsets from here on go to the table of 64-bit offsets. Default 2^31. */
  readonly largeFrom?: number | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * An index file of version 2 (gitformat-pack, "pack-*.idx files"), byte for byte as `git index-pack` writes it.
 * @throws {StoreError} `malformed` where an object stands in the pack twice
 */
export async function encodePackIndex(
  objects: IndexedObjects,
  packChecksum: Uint8Array,
  newSha1: NewSha1,
  options: EncodePackIndexOptions = {},
): Promise<Uint8Array> {
  const { count, oids, crcs, offsets } = objects;
  const { largeFrom = 0x80000000, pause } = options;
  const order = await sortedById(objects, pause);
  let large = 0;
  for (let i = 0; i < count; i++) if ((offsets[i] ?? 0) >= largeFrom) large++;
  const bytes = new Uint8Array(8 + 1024 + count * 28 + large * 8 + 40);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic);
  view.setUint32(4, 2);
  const fanOut = new Uint32Array(256);
  const oidsAt = 8 + 1024;
  const crcsAt = oidsAt + count * 20;
  const offsetsAt = crcsAt + count * 4;
  let largeAt = offsetsAt + count * 4;
  let largeCount = 0;
  for (let rank = 0; rank < count; rank++) {
    if ((rank & 4095) === 0) await pause?.();
    const i = order[rank] ?? 0;
    const oid = oids.subarray(i * 20, i * 20 + 20);
    const to = oidsAt + rank * 20;
    bytes.set(oid, to);
    if (rank > 0 && equalBytes(oid, bytes.subarray(to - 20, to))) {
      throw new StoreError("malformed", `object ${idFromBytes(oid)} stands in the pack twice`);
    }
    fanOut[oid[0] ?? 0] = rank + 1;
    view.setUint32(crcsAt + rank * 4, crcs[i] ?? 0);
    const offset = offsets[i] ?? 0;
    if (offset < largeFrom) {
      view.setUint32(offsetsAt + rank * 4, offset);
    } else {
      view.setUint32(offsetsAt + rank * 4, 0x80000000 + largeCount++);
      view.setBigUint64(largeAt, BigInt(offset));
      largeAt += 8;
    }
  }
  let below = 0;
  for (let first = 0; first < 256; first++) {
    below = Math.max(below, fanOut[first] ?? 0);
    view.setUint32(8 + first * 4, below);
  }
  bytes.set(packChecksum, largeAt);
  const sha1 = newSha1();
  for (let at = 0; at < largeAt + 20; at += 1 << 18) {
    sha1.update(bytes.subarray(at, Math.min(at + (1 << 18), largeAt + 20)));
    await pause?.();
  }
  bytes.set(sha1.digest(), largeAt + 20);
  return bytes;
}

/** An index that was read: where a pack's objects lie. */
export interface PackIndex<Id extends string = string> {
  readonly count: number;
  /** The ids in their order, 20 bytes each. */
  readonly ids: Uint8Array;
  /** Where the object starts in the pack. */
  find(oid: Id): number | undefined;
  /** The object's place in the order of ids, by which the others are asked. */
  rankOf(oid: Id): number | undefined;
  /** The same for an id's 20 bytes, which stand at `at`. */
  rankAt(bytes: Uint8Array, at: number): number | undefined;
  oidAt(rank: number): Id;
  offsetAt(rank: number): number;
  crcAt(rank: number): number;
  /** The pack's own checksum, as the index has it. */
  readonly packChecksum: Uint8Array;
}

/** @throws {StoreError} `corrupt` */
export function decodePackIndex<Id extends string = string>(bytes: Uint8Array): PackIndex<Id> {
  const damaged = (why: string) => new StoreError("corrupt", `a pack index is damaged: ${why}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8 + 1024 + 40 || view.getUint32(0) !== magic || view.getUint32(4) !== 2) {
    throw damaged("not a version 2 index");
  }
  const fanOut = (first: number) => (first < 0 ? 0 : view.getUint32(8 + first * 4));
  for (let first = 1; first < 256; first++) {
    if (fanOut(first) < fanOut(first - 1)) throw damaged("its fan-out falls");
  }
  const count = fanOut(255);
  const oidsAt = 8 + 1024;
  const crcsAt = oidsAt + count * 20;
  const offsetsAt = crcsAt + count * 4;
  const largeAt = offsetsAt + count * 4;
  const largeBytes = bytes.length - 40 - largeAt;
  if (largeBytes < 0 || largeBytes % 8 !== 0 || largeBytes > count * 8) {
    throw damaged("its size does not fit");
  }

  const offsetAt = (rank: number) => {
    const offset = view.getUint32(offsetsAt + rank * 4);
    if (offset < 0x80000000) return offset;
    const at = (offset - 0x80000000) * 8;
    if (at + 8 > largeBytes) throw damaged("an offset beyond its table");
    return Number(view.getBigUint64(largeAt + at));
  };
  const rankAt = (id: Uint8Array, at: number) => {
    const first = id[at] ?? 0;
    let low = fanOut(first - 1);
    let high = fanOut(first);
    while (low < high) {
      const middle = (low + high) >>> 1;
      const difference = compareIds(bytes, oidsAt + middle * 20, id, at);
      if (difference === 0) return middle;
      if (difference < 0) low = middle + 1;
      else high = middle;
    }
    return undefined;
  };
  const wanted = new Uint8Array(20);
  const rankOf = (oid: Id) => {
    writeId(oid, wanted, 0);
    return rankAt(wanted, 0);
  };
  return {
    count,
    ids: bytes.subarray(oidsAt, crcsAt),
    rankOf,
    rankAt,
    find(oid) {
      const rank = rankOf(oid);
      return rank === undefined ? undefined : offsetAt(rank);
    },
    oidAt: (rank) => idFromBytes<Id>(bytes, oidsAt + rank * 20),
    offsetAt,
    crcAt: (rank) => view.getUint32(crcsAt + rank * 4),
    packChecksum: bytes.subarray(bytes.length - 40, bytes.length - 20),
  };
}

const magic = 0xff744f63;

/** Into piles by the first two bytes, then each pile by itself: short steps, with pauses between them. */
async function sortedById({ count, oids }: IndexedObjects, pause: Pause | undefined): Promise<Uint32Array> {
  const order = new Uint32Array(count);
  const ends = new Uint32Array(65536);
  const pileOf = (i: number) => ((oids[i * 20] as number) << 8) | (oids[i * 20 + 1] as number);
  for (let i = 0; i < count; i++) ends[pileOf(i)] = (ends[pileOf(i)] as number) + 1;
  let total = 0;
  for (let pile = 0; pile < 65536; pile++) ends[pile] = total += ends[pile] as number;
  await pause?.();
  // From the end, so that equals keep their order; afterwards `ends` has where each pile starts.
  for (let i = count - 1; i >= 0; i--) order[ends[pileOf(i)] = (ends[pileOf(i)] as number) - 1] = i;
  for (let pile = 0; pile < 65536; pile++) {
    if ((pile & 1023) === 0) await pause?.();
    const start = ends[pile] as number;
    const end = pile === 65535 ? count : ends[pile + 1] as number;
    if (end - start > 1) {
      order.subarray(start, end).sort((a, b) => compareIds(oids, a * 20, oids, b * 20));
    }
  }
  return order;
}
