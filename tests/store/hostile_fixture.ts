/** Packs put together by hand, entry by entry, so that nothing about them need be right. */
import { createHash } from "node:crypto";
import { deflateSync } from "node:zlib";
import { concatBytes, utf8 } from "../../store/object/bytes.ts";

export type Bytes = Uint8Array<ArrayBufferLike>;

/** Numbers of gitformat-pack(5). */
export const TYPE = { commit: 1, tree: 2, blob: 3, tag: 4, ofsDelta: 6, refDelta: 7 } as const;

export interface HandMadeEntry {
  readonly type: number;
  /** Inflated: content, or a delta. */
  readonly data: Bytes;
  /** What the header declares; the data's length where it is left out. */
  readonly size?: number;
  /** What stands in the place of the deflated data. */
  readonly stream?: Bytes;
  /** The 20 bytes that name a ref delta's base, in hexadecimal. */
  readonly base?: string;
  /** The distance to an offset delta's base; else the entry of that number, from 0. */
  readonly distance?: number;
  readonly baseEntry?: number;
}

export function handMadePack(
  entries: readonly HandMadeEntry[],
  options: { readonly count?: number; readonly version?: number; readonly checksum?: Bytes } = {},
): Bytes {
  const head = new Uint8Array(12);
  head.set(utf8("PACK"));
  new DataView(head.buffer).setUint32(4, options.version ?? 2);
  new DataView(head.buffer).setUint32(8, options.count ?? entries.length);
  const parts: Bytes[] = [head];
  const offsets: number[] = [];
  let length = 12;
  for (const entry of entries) {
    offsets.push(length);
    const bytes = concatBytes([
      sizeHeader(entry.type, entry.size ?? entry.data.length),
      entry.type === TYPE.refDelta ? fromHex(entry.base ?? "") : new Uint8Array(),
      entry.type === TYPE.ofsDelta
        ? distanceOf(entry.distance ?? length - (offsets[entry.baseEntry ?? 0] ?? 0))
        : new Uint8Array(),
      entry.stream ?? new Uint8Array(deflateSync(entry.data)),
    ]);
    parts.push(bytes);
    length += bytes.length;
  }
  const body = concatBytes(parts);
  return concatBytes([body, options.checksum ?? sealOf(body)]);
}

/** Changes bytes of a pack and makes its checksum fit again. */
export function resealed(pack: Bytes, change: (bytes: Bytes) => void): Bytes {
  const body = pack.slice(0, -20);
  change(body);
  return concatBytes([body, sealOf(body)]);
}

export function sealOf(body: Bytes): Bytes {
  return new Uint8Array(createHash("sha1").update(body).digest());
}

/** A delta: the two sizes, then instructions. */
export function deltaOf(baseSize: number, resultSize: number, ...instructions: Bytes[]): Bytes {
  return concatBytes([varint(baseSize), varint(resultSize), ...instructions]);
}

export function copy(offset: number, size: number): Bytes {
  const bytes = [0x80];
  for (let i = 0; i < 4; i++) {
    const byte = Math.floor(offset / 256 ** i) % 256;
    if (byte !== 0) bytes[0] |= 1 << i, bytes.push(byte);
  }
  for (let i = 0; i < 3; i++) {
    const byte = Math.floor(size / 256 ** i) % 256;
    if (byte !== 0) bytes[0] |= 0x10 << i, bytes.push(byte);
  }
  return new Uint8Array(bytes);
}

export function insert(bytes: Bytes): Bytes {
  return concatBytes([new Uint8Array([bytes.length]), bytes]);
}

export function idOf(kind: string, content: Bytes): string {
  return createHash("sha1").update(`${kind} ${content.length}\0`).update(content).digest("hex");
}

export function sizeHeader(type: number, size: number): Bytes {
  const bytes = [(type << 4) | (size % 16)];
  for (let rest = Math.floor(size / 16); rest > 0; rest = Math.floor(rest / 128)) {
    bytes[bytes.length - 1] |= 0x80;
    bytes.push(rest % 128);
  }
  return new Uint8Array(bytes);
}

function distanceOf(distance: number): Bytes {
  const bytes = [distance % 128];
  for (let rest = Math.floor(distance / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift(0x80 | (--rest % 128));
  }
  return new Uint8Array(bytes);
}

export function varint(value: number): Bytes {
  const bytes = [];
  for (let rest = value;; rest = Math.floor(rest / 128)) {
    if (rest < 128) return new Uint8Array([...bytes, rest]);
    bytes.push(0x80 | (rest % 128));
  }
}

export function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => parseInt(digits, 16));
}
