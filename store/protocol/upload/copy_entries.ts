/**
 * Entries on their way from one pack into another as they lie there. Hot when a clone is served: of a pack that is wanted
 * as good as whole, long stretches go out untouched, since a delta names its base by the distance, and that stays the same
 * as long as nothing between the two is left out. Each entry is compared with its CRC. Benchmark: tests/bench/clone_bench.ts.
 */
import type { OidSet } from "../../object/oid_set.ts";
import { decodeEntryHeader, encodeDeltaHeader, type EntryHeader, entryType } from "../../pack/entry.ts";
import type { PackReader } from "../../pack/read_pack.ts";
import type { Oid, Pause } from "../../types.ts";
import { StoreError } from "../../types.ts";
import type { Zlib } from "../../zlib/zlib.ts";
import { concatBytes } from "../../zlib/bytes.ts";

/** What was copied so far: where each object's entry starts in the new pack, by its number in the set; 0 for none. */
export interface Copied {
  readonly offsets: Float64Array;
  /** Where the next entry will start. */
  end: number;
}

/**
 * Copies those entries of a pack that are wanted and not there yet, deltas only where their bases are there. What is
 * damaged, or cannot be read any more, is left to others.
 */
export async function* copyEntries(
  pack: PackReader<Oid>,
  { wanted, copied, zlib, pause }: {
    readonly wanted: OidSet;
    readonly copied: Copied;
    readonly zlib: Zlib;
    readonly pause: Pause | undefined;
  },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { index, size } = pack;
  const ranks = Uint32Array.from(pack.inPackOrder());
  const starts = Float64Array.from(ranks, (rank) => index.offsetAt(rank));
  /** By place in this pack: where the copy starts, 0 where there is none. */
  const copies = new Float64Array(ranks.length);
  let parts: Uint8Array[] = [];
  let bytes = 0;
  const put = (part: Uint8Array) => {
    parts.push(part);
    bytes += part.length;
    copied.end += part.length;
  };
  const takeChunk = () => {
    const chunk = parts.length === 1 ? parts[0] as Uint8Array : concatBytes(parts);
    parts = [];
    bytes = 0;
    return chunk;
  };

  let window: Uint8Array = nothing;
  let windowAt = 0;
  for (let place = 0; place < ranks.length; place++) {
    const rank = ranks[place] as number;
    const number = wanted.numberOf(index.ids, rank * 20);
    if (number < 0 || copied.offsets[number] !== 0) continue;
    await pause?.();
    const start = starts[place] as number;
    const end = place + 1 < starts.length ? starts[place + 1] as number : size - 20;
    if (start < windowAt || end > windowAt + window.length) {
      const read = readWindow(pack, start, Math.max(end - start, Math.min(WINDOW, size - 20 - start)));
      if (read === undefined) break;
      window = read;
      windowAt = start;
    }
    const entry = window.subarray(start - windowAt, end - windowAt);
    if (zlib.crc32(entry, 0) !== index.crcAt(rank)) continue;
    const header = headerOf(entry);
    if (header === undefined) continue;
    if (header.type === entryType.offsetDelta) {
      const base = placeOf(starts, start - header.distance);
      const baseCopy = base < 0 ? 0 : copies[base] as number;
      if (baseCopy === 0) continue;
      copies[place] = copied.offsets[number] = copied.end;
      const distance = copied.end - baseCopy;
      if (distance === header.distance) put(entry);
      else {
        put(encodeDeltaHeader(header.size, distance));
        put(entry.subarray(header.length));
      }
    } else {
      // A base that is named by its id has to be there before, or two packs' deltas could go round in a circle.
      const base = header.type === entryType.refDelta ? wanted.numberOf(entry, header.baseAt) : undefined;
      if (base !== undefined && (base < 0 || copied.offsets[base] === 0)) continue;
      copies[place] = copied.offsets[number] = copied.end;
      put(entry);
    }
    if (bytes >= CHUNK) yield takeChunk();
  }
  if (bytes > 0) yield takeChunk();
}

/** A copy of its own, since what lies behind a reader may be used again; `undefined` where nothing can be read. */
function readWindow(pack: PackReader<Oid>, at: number, length: number): Uint8Array | undefined {
  try {
    const window = new Uint8Array(length);
    for (let done = 0; done < length; done += PIECE) {
      window.set(pack.map(at + done, Math.min(PIECE, length - done)), done);
    }
    return window;
  } catch (error) {
    // A pack that was replaced, or that the disk gives no more: its objects are found elsewhere, or missed there.
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function headerOf(entry: Uint8Array): EntryHeader | undefined {
  try {
    return decodeEntryHeader(entry, 0, entry.length);
  } catch (error) {
    if (error instanceof StoreError) return undefined; // Whoever reads the object itself tells what is wrong with it.
    throw error;
  }
}

/** The place of the entry that starts there; -1 for none. */
function placeOf(starts: Float64Array, offset: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const at = starts[middle] as number;
    if (at === offset) return middle;
    if (at < offset) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

const nothing = new Uint8Array(0);
/** Read at once, and looked at in place. */
const WINDOW = 1 << 20;
const PIECE = 32768;
const CHUNK = 65535;
