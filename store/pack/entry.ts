import { StoreError } from "../error.ts";
import type { PackKind } from "./types.ts";

/** A pack entry's type (gitformat-pack, "Object types"). */
export const entryType = { commit: 1, tree: 2, blob: 3, tag: 4, offsetDelta: 6, refDelta: 7 } as const;

/** What stands before an entry's compressed data. */
export interface EntryHeader {
  readonly type: number;
  /** Of the inflated data: an object's, or a delta's own. */
  readonly size: number;
  /** Bytes from the entry's start to its compressed data. */
  readonly length: number;
  /** For an offset delta: how far before this entry its base starts. */
  readonly distance: number;
  /** For a ref delta: where in the bytes the base's 20 bytes stand, else -1. */
  readonly baseAt: number;
}

/** The longest header: 8 bytes of size, 20 of id. */
export const longestEntryHeader = 32;

/**
 * The header at `at`; `undefined` where the bytes end before it does.
 * @throws {StoreError} `malformed`
 */
export function decodeEntryHeader(bytes: Uint8Array, at: number, end: number): EntryHeader | undefined {
  let next = at;
  if (next >= end) return undefined;
  let byte = bytes[next++] ?? 0;
  const type = (byte >> 4) & 7;
  let size = byte & 15;
  let factor = 16;
  while (byte & 0x80) {
    if (next >= end) return undefined;
    byte = bytes[next++] ?? 0;
    size += (byte & 0x7f) * factor;
    factor *= 128;
    if (size > Number.MAX_SAFE_INTEGER || factor > 2 ** 60) {
      throw new StoreError("malformed", "a pack entry declares a size beyond all bounds");
    }
  }
  if (type === 0 || type === 5) throw new StoreError("malformed", `a pack entry of unknown type ${type}`);
  if (type === entryType.refDelta) {
    return next + 20 > end ? undefined : { type, size, length: next + 20 - at, distance: 0, baseAt: next };
  }
  if (type !== entryType.offsetDelta) return { type, size, length: next - at, distance: 0, baseAt: -1 };
  if (next >= end) return undefined;
  byte = bytes[next++] ?? 0;
  let distance = byte & 0x7f;
  while (byte & 0x80) {
    if (next >= end) return undefined;
    byte = bytes[next++] ?? 0;
    distance = (distance + 1) * 128 + (byte & 0x7f);
    if (distance > Number.MAX_SAFE_INTEGER) {
      throw new StoreError("malformed", "a delta whose base lies beyond all bounds");
    }
  }
  return { type, size, length: next - at, distance, baseAt: -1 };
}

/** The header of an undeltified entry. */
export function encodeEntryHeader(kind: PackKind, size: number): Uint8Array {
  return new Uint8Array(typeAndSize(entryType[kind], size));
}

/** The header of a delta of `size` bytes: its base by the distance to where that starts, or by the 20 bytes of its id. */
export function encodeDeltaHeader(size: number, base: number | Uint8Array): Uint8Array {
  if (typeof base !== "number") return new Uint8Array([...typeAndSize(entryType.refDelta, size), ...base]);
  // Seven bits a byte, the last ones first, and one taken off for every byte that goes on (gitformat-pack).
  const distance = [base % 128];
  for (let rest = Math.floor(base / 128); rest > 0; rest = Math.floor(rest / 128)) {
    distance.unshift(0x80 | (--rest % 128));
  }
  return new Uint8Array([...typeAndSize(entryType.offsetDelta, size), ...distance]);
}

function typeAndSize(type: number, size: number): number[] {
  const bytes: number[] = [];
  let rest = Math.floor(size / 16);
  let byte = (type << 4) | (size % 16);
  while (rest > 0) {
    bytes.push(byte | 0x80);
    byte = rest % 128;
    rest = Math.floor(rest / 128);
  }
  bytes.push(byte);
  return bytes;
}

export function kindOfType(type: number): PackKind {
  const kind = kinds[type];
  if (kind === undefined) throw new StoreError("malformed", `pack entry type ${type} is no object kind`);
  return kind;
}

const kinds: readonly (PackKind | undefined)[] = [undefined, "commit", "tree", "blob", "tag"];
