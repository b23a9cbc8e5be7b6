/** Packs made by hand, and taken in from memory. */
import { hashObject } from "../../store/object/hash.ts";
import { packHeader } from "../../store/pack/encode.ts";
import { encodeDeltaHeader, encodeEntryHeader } from "../../store/pack/entry.ts";
import { toHex } from "../../store/pack/id.ts";
import { indexPack } from "../../store/pack/index_pack.ts";
import type { IndexedPack, IndexPackOptions, PackStorage } from "../../store/pack/index_pack.ts";
import type { Identify, PackKind, PackLimits, PackObject } from "../../store/pack/types.ts";
import { newSha1 } from "../../store/repository/sha1.ts";
import { concatBytes } from "../../store/zlib/bytes.ts";
import { nodeZlib } from "../../store/zlib/node.ts";
import type { Zlib } from "../../store/zlib/zlib.ts";
import { generator } from "./pack_fixture.ts";

export const identify: Identify = (kind, content) => hashObject(kind, content, newSha1);

export interface Put {
  /** Gives where the entry starts. */
  whole(kind: PackKind, content: Uint8Array): number;
  /** On the entry that starts at a place, or on the object of an id. */
  delta(base: number | Uint8Array, delta: Uint8Array): number;
}

/** A pack of what is put, with a right header and trailer. */
export function handmadePack(fill: (put: Put) => void): Uint8Array {
  const parts: Uint8Array[] = [];
  let count = 0;
  let offset = 12;
  const add = (...more: Uint8Array[]): number => {
    const at = offset;
    for (const part of more) {
      parts.push(part);
      offset += part.length;
    }
    count++;
    return at;
  };
  fill({
    whole: (kind, content) => add(encodeEntryHeader(kind, content.length), nodeZlib.deflate(content)),
    delta: (base, delta) =>
      add(
        encodeDeltaHeader(delta.length, typeof base === "number" ? offset - base : base),
        nodeZlib.deflate(delta),
      ),
  });
  const body = concatBytes([packHeader(count), ...parts]);
  const sha1 = newSha1();
  sha1.update(body);
  return concatBytes([body, sha1.digest()]);
}

export interface TakeOptions {
  /** Of the chunks. */
  readonly size?: number;
  readonly zlib?: Zlib;
  readonly limits?: Partial<PackLimits>;
  readonly external?: IndexPackOptions["external"];
  readonly onObject?: IndexPackOptions["onObject"];
  /** Whether each chunk is overwritten once it was taken. */
  readonly scribble?: boolean;
}

/** Indexes a pack; gives what lies in the storage afterwards with it. */
export async function takePack(
  pack: Uint8Array,
  options: TakeOptions = {},
): Promise<{ readonly indexed: IndexedPack; readonly stored: Uint8Array }> {
  const { size = 65536, zlib = nodeZlib, limits, external, onObject } = options;
  const storage = memoryStorage(pack.length);
  const indexed = await indexPack(chunks(), {
    limits: {
      packBytes: 1e9,
      objectBytes: 1e8,
      objects: 1e6,
      deltaDepth: 100,
      deltaWork: 1e10,
      ...limits,
    },
    zlib,
    newSha1,
    identify,
    storage,
    ...(external === undefined ? {} : { external }),
    ...(onObject === undefined ? {} : { onObject }),
  });
  return { indexed, stored: storage.bytes() };

  function* chunks(): Iterable<Uint8Array> {
    for (let at = 0; at < pack.length; at += size) {
      const chunk = pack.slice(at, at + size);
      yield chunk;
      if (options.scribble === true) chunk.fill(0xaa);
    }
  }
}

/** Sees objects, and keeps what there is to know of them. */
export function seen(): {
  readonly objects: Map<string, { readonly kind: PackKind; readonly size: number }>;
  readonly onObject: (object: PackObject, id: Uint8Array) => void;
} {
  const objects = new Map<string, { readonly kind: PackKind; readonly size: number }>();
  return {
    objects,
    onObject: ({ kind, content }, id) => void objects.set(toHex(id), { kind, size: content.length }),
  };
}

export function memoryStorage(room = 1024): PackStorage & { bytes(): Uint8Array } {
  let all = new Uint8Array(room);
  let length = 0;
  // One buffer for all that is read, as a storage may have it.
  let piece = new Uint8Array(0);
  return {
    append(bytes) {
      if (length + bytes.length > all.length) {
        const larger = new Uint8Array((length + bytes.length) * 2);
        larger.set(all);
        all = larger;
      }
      all.set(bytes, length);
      length += bytes.length;
      return Promise.resolve();
    },
    read(offset, count) {
      if (piece.length < count) piece = new Uint8Array(count);
      piece.set(all.subarray(offset, offset + count));
      return piece.subarray(0, count);
    },
    overwrite: (offset, bytes) => all.set(bytes, offset),
    truncate(to) {
      length = to;
    },
    bytes: () => all.subarray(0, length),
  };
}

/** Bytes that do not deflate, the same in every run. */
export function noise(length: number, seed: number): Uint8Array {
  const random = generator(seed);
  return Uint8Array.from({ length }, () => random(256));
}
