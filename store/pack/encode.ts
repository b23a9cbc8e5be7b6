import { StoreError } from "../error.ts";
import type { NewSha1, PackObject } from "./types.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { encodeEntryHeader } from "./entry.ts";

/**
 * A pack of whole objects (no deltas), chunk by chunk as they are taken.
 * @throws {StoreError} `malformed` where there are not exactly `count` objects, or one is too large for an entry
 */
export async function* encodePack(
  objects: AsyncIterable<PackObject> | Iterable<PackObject>,
  count: number,
  tools: { readonly zlib: Zlib; readonly newSha1: NewSha1 },
): AsyncIterable<Uint8Array> {
  const sha1 = tools.newSha1();
  const header = packHeader(count);
  sha1.update(header);
  yield header;
  let seen = 0;
  for await (const { kind, content } of objects) {
    if (++seen > count) break;
    for (const part of [encodeEntryHeader(kind, content.length), tools.zlib.deflate(content)]) {
      sha1.update(part);
      yield part;
    }
  }
  if (seen !== count) throw new StoreError("malformed", `a pack of ${count} objects was given ${seen}`);
  yield sha1.digest();
}

/** `PACK`, version 2, the count of objects. */
export function packHeader(count: number): Uint8Array {
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x5041434b);
  view.setUint32(4, 2);
  view.setUint32(8, count);
  return bytes;
}
