import type { Buffer } from "node:buffer";
import * as zlib from "node:zlib";
import { crc32 } from "./crc32.ts";
import { pakoInflater } from "./pako.ts";
import type { Zlib } from "./zlib.ts";

/** The runtime's zlib. */
export const nodeZlib: Zlib = {
  inflate(input, maximum) {
    try {
      // The types know nothing of `info`, which adds the engine and with it the count of consumed bytes.
      const options: object = {
        info: true,
        maxOutputLength: maximum + 1,
        chunkSize: Math.max(64, Math.min(maximum + 1, input.length * 4, 1 << 20)),
      };
      const outcome: unknown = zlib.inflateSync(input, options);
      const { buffer, engine } = outcome as { buffer: Buffer; engine: { bytesWritten: number } };
      if (buffer.length > maximum) return { state: "bad", message: `more than ${maximum} bytes` };
      const output = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
      return { state: "done", output, consumed: engine.bytesWritten };
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "Z_BUF_ERROR") return { state: "more" };
      if (code === "ERR_BUFFER_TOO_LARGE") return { state: "bad", message: `more than ${maximum} bytes` };
      if (typeof code === "string" && code.startsWith("Z_")) {
        return { state: "bad", message: error instanceof Error ? error.message : code };
      }
      throw error;
    }
  },
  // The runtime's own inflater is synchronous only for streams that are there whole.
  inflater: pakoInflater,
  crc32: nativeCrc32(),
  deflate: (content) => new Uint8Array(zlib.deflateSync(content)),
};

/** The runtime has one, which its types do not know yet. */
function nativeCrc32(): Zlib["crc32"] {
  const native: unknown = Reflect.get(zlib, "crc32");
  return typeof native === "function" ? native as Zlib["crc32"] : crc32;
}
