import {
  deflate,
  Z_BUF_ERROR,
  Z_NO_FLUSH,
  Z_OK,
  Z_STREAM_END,
  zlibInflate,
  zlibInflateInit2,
  ZStream,
} from "pako";
import { concatBytes } from "./bytes.ts";
import { crc32 } from "./crc32.ts";
import type { Inflated, Inflater, Zlib } from "./zlib.ts";

/** zlib in plain JavaScript: loads in a browser. */
export const pakoZlib: Zlib = {
  inflate: (input, maximum) => pakoInflater(maximum).push(input),
  inflater: pakoInflater,
  deflate: (content) => deflate(content),
  crc32,
};

/** An inflater for a stream in pieces; output is collected in blocks, so memory goes with what was really inflated. */
export function pakoInflater(maximum: number): Inflater {
  const stream = new ZStream();
  zlibInflateInit2(stream, 15);
  const full: Uint8Array[] = [];
  let total = 0;
  stream.output = new Uint8Array(Math.min(maximum + 1, 65536));
  stream.next_out = 0;
  stream.avail_out = stream.output.length;

  return {
    push(input): Inflated {
      stream.input = input;
      stream.next_in = 0;
      stream.avail_in = input.length;
      for (;;) {
        const status = zlibInflate(stream, Z_NO_FLUSH);
        if (total + stream.next_out > maximum) return { state: "bad", message: `more than ${maximum} bytes` };
        if (status === Z_STREAM_END) {
          full.push(stream.output.subarray(0, stream.next_out));
          return { state: "done", output: concatBytes(full), consumed: stream.next_in };
        }
        // Z_BUF_ERROR: no progress for want of input or room, which is no fault.
        if (status !== Z_OK && status !== Z_BUF_ERROR) {
          return { state: "bad", message: stream.msg === "" ? `zlib status ${status}` : stream.msg };
        }
        if (stream.avail_out > 0) return { state: "more" };
        full.push(stream.output);
        total += stream.output.length;
        stream.output = new Uint8Array(Math.min(Math.max(maximum + 1 - total, 1), 65536));
        stream.next_out = 0;
        stream.avail_out = stream.output.length;
      }
    },
  };
}
