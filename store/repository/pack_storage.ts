import type { PackStorage } from "../pack/index_pack.ts";
import type { GrowingFile } from "./device/device.ts";

/** A pack that is indexed while it is appended to a file. */
export function packStorage(file: GrowingFile): PackStorage {
  return {
    append: (bytes) => file.append(bytes),
    read: (offset, length) => file.read(offset, length),
    overwrite: (offset, bytes) => file.overwrite(offset, bytes),
    // What stands there yet is a checksum, and what is appended in its place longer.
    truncate: (length) => file.rewind(length),
  };
}
