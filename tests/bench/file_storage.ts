import type { PackStorage } from "../../store/pack/index_pack.ts";

/** A file that a pack is put into while it is indexed. */
export function fileStorage(file: Deno.FsFile): PackStorage {
  let length = 0;
  const piece = new Uint8Array(65536);
  const writeAt = (offset: number, bytes: Uint8Array) => {
    file.seekSync(offset, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  };
  return {
    append(bytes) {
      writeAt(length, bytes);
      length += bytes.length;
      return Promise.resolve();
    },
    read(offset, count) {
      const bytes = count <= piece.length ? piece.subarray(0, count) : new Uint8Array(count);
      file.seekSync(offset, Deno.SeekMode.Start);
      for (let at = 0; at < count;) at += file.readSync(bytes.subarray(at)) ?? count;
      return bytes;
    },
    overwrite: writeAt,
    truncate(to) {
      file.truncateSync(to);
      length = to;
    },
  };
}
