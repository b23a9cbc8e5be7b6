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
import type { Inflated, Inflater, InflateStep, Zlib } from "./zlib.ts";

/** zlib in plain JavaScript: loads in a browser. */
export const pakoZlib: Zlib = {
  inflate,
  inflater: pakoInflater,
  deflate: (content) => deflate(content),
  crc32,
};

function inflate(input: Uint8Array, maximum: number): Inflated {
  const inflater = pakoInflater();
  // Blocks, so that memory goes with what was really inflated.
  const blocks: Uint8Array[] = [];
  let total = 0;
  let consumed = 0;
  for (;;) {
    const block = new Uint8Array(Math.min(maximum + 1 - total, 65536));
    const step = inflater.push(input.subarray(consumed), block);
    if (step.state === "bad") return step;
    consumed += step.consumed;
    total += step.produced;
    if (total > maximum) return { state: "bad", message: `more than ${maximum} bytes` };
    blocks.push(block.subarray(0, step.produced));
    if (step.state === "done") return { state: "done", output: concatBytes(blocks), consumed };
    if (step.state === "more") return { state: "more" };
  }
}

export function pakoInflater(): Inflater {
  let stream = started();
  return {
    reset() {
      stream = started();
    },
    push(input, output): InflateStep {
      stream.input = input;
      stream.next_in = 0;
      stream.avail_in = input.length;
      stream.output = output;
      stream.next_out = 0;
      stream.avail_out = output.length;
      const status = zlibInflate(stream, Z_NO_FLUSH);
      // Z_BUF_ERROR: no progress for want of input or room, which is no fault.
      if (status !== Z_OK && status !== Z_BUF_ERROR && status !== Z_STREAM_END) {
        return { state: "bad", message: stream.msg === "" ? `zlib status ${status}` : stream.msg };
      }
      const state = stream.avail_out === 0 ? "full" : status === Z_STREAM_END ? "done" : "more";
      return { state, consumed: stream.next_in, produced: stream.next_out };
    },
  };
}

function started(): ZStream {
  const stream = new ZStream();
  zlibInflateInit2(stream, 15);
  return stream;
}
