/**
 * Inflating entries without holding their compressed bytes: these are read in pieces, and what comes out goes into a
 * buffer that is there already, or through a window.
 */
import { StoreError } from "../error.ts";
import type { Inflater } from "../zlib/zlib.ts";
import { mostInflated } from "../zlib/zlib.ts";

/** Bytes at a place of the pack; what is given is looked at before the next call, and not changed. */
export type MapPack = (offset: number, length: number) => Uint8Array;

export interface EntryInflater {
  /**
   * Inflates what is deflated at `at` into `target`, which has room for `size` bytes and one more.
   * @throws {StoreError} `malformed` where it is damaged, or does not give just `size` bytes before `end`
   */
  into(at: number, end: number, size: number, target: Uint8Array<ArrayBuffer>): void;
  /**
   * The same, shown to `take` window by window. It says how many bytes it took (the rest comes again, with more behind
   * it), or that it wants no more.
   */
  through(at: number, end: number, size: number, take: (window: Uint8Array) => number | "enough"): void;
}

export function entryInflater(inflater: Inflater, map: MapPack): EntryInflater {
  const window = new Uint8Array(windowBytes);

  /** Runs a stream to its end; `room` is asked for before each step, `made` told of what came. */
  function run(
    at: number,
    end: number,
    size: number,
    room: () => Uint8Array<ArrayBuffer>,
    made: (bytes: number) => boolean,
  ): void {
    if (size > mostInflated(end - at)) throw unfit(`${size} bytes cannot come out of ${end - at}`);
    inflater.reset();
    let input: Uint8Array = nothing;
    let total = 0;
    for (;;) {
      if (input.length === 0 && at < end) {
        input = map(at, Math.min(pieceBytes, end - at));
        at += input.length;
      }
      const step = inflater.push(input, room());
      if (step.state === "bad") throw unfit(step.message);
      input = input.subarray(step.consumed);
      total += step.produced;
      if (total > size) throw unfit(`more than ${size} bytes`);
      if (!made(step.produced)) return;
      if (step.state === "done") {
        if (total !== size) throw unfit(`${total} bytes where ${size} are declared`);
        return;
      }
      if (step.state === "more" && at >= end) throw unfit("it is cut short");
    }
  }

  return {
    into(at, end, size, target) {
      let filled = 0;
      run(at, end, size, () => target.subarray(filled, size + 1), (bytes) => {
        filled += bytes;
        return true;
      });
    },
    through(at, end, size, take) {
      let filled = 0;
      run(at, end, size, () => window.subarray(filled), (bytes) => {
        filled += bytes;
        const taken = take(window.subarray(0, filled));
        if (taken === "enough") return false;
        window.copyWithin(0, taken, filled);
        filled -= taken;
        if (filled === window.length) throw unfit("nothing in it is understood");
        return true;
      });
      // Left over is what the one who takes did not understand; that it lacks something, it knows best.
    },
  };
}

const windowBytes = 65536;
/** Of what is deflated, at once. */
export const pieceBytes = 65536;
const nothing = new Uint8Array();

function unfit(why: string): StoreError {
  return new StoreError("malformed", `it does not inflate: ${why}`);
}
