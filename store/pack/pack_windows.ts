/**
 * A pack's bytes, read through windows that are kept for a while, since entries asked for one after the other lie near
 * each other. Where reads go all over a pack that is small, windows come and go without end; it is then held whole.
 * Benchmark: tests/bench/read_bench.ts.
 */
import type { MapPack } from "./inflate_entry.ts";

/** `read` gives bytes that stay as they are; `size` is the pack's. What `read` gives too short is given on too short. */
export function packWindows(read: MapPack, size: number): MapPack {
  const kept = new Map<number, Uint8Array>();
  let whole: Uint8Array | undefined;
  let tried = false;
  /** Bytes read into windows so far. */
  let spent = 0;

  function readWhole(): Uint8Array | undefined {
    try {
      const bytes = read(0, size);
      return bytes.length === size ? bytes : undefined;
    } catch (error) {
      // What cannot be read is told by the window it lies in; what lies in others stays readable.
      if (error instanceof Error) return undefined;
      throw error;
    }
  }

  return (offset, length) => {
    if (whole !== undefined) return whole.subarray(offset, offset + length);
    // Each begins at a multiple of half its size: what starts in its first half and is small lies whole in it.
    if (length > windowBytes / 2) return read(offset, length);
    const at = offset - (offset % (windowBytes / 2));
    let window = kept.get(at);
    if (window === undefined) {
      if (spent >= size / 4 && size <= mostWhole && !tried) {
        tried = true;
        whole = readWhole();
        if (whole !== undefined) {
          kept.clear();
          return whole.subarray(offset, offset + length);
        }
      }
      window = read(at, Math.max(0, Math.min(windowBytes, size - at)));
      spent += window.length;
    } else if (kept.size > keptWindows / 2) kept.delete(at);
    // Put last again: the map's order is that of use.
    kept.set(at, window);
    if (kept.size > keptWindows) {
      for (const oldest of kept.keys()) {
        kept.delete(oldest);
        break;
      }
    }
    return window.subarray(offset - at, offset - at + length);
  };
}

const windowBytes = 65536;
const keptWindows = 256;
/** Not more than the windows of a larger pack may take together, twice. */
const mostWhole = 2 * windowBytes * keptWindows;
