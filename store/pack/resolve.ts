/**
 * The second pass: deltas, depth first from each base, so that a base is inflated once and held only while it has
 * children left. Hot when a pack is indexed: small contents are held along the path, large ones lie in two buffers and
 * are made again where they had to give way. Benchmarks: tests/bench/pack_bench.ts, tests/bench/receive_memory.ts.
 */
import { StoreError } from "../error.ts";
import { groupChildren, none } from "./children.ts";
import { applyDelta, deltaApplier, deltaSizes } from "./delta.ts";
import { entryType, kindOfType } from "./entry.ts";
import type { PackEntries } from "./entries.ts";
import { smallBytes } from "./two_buffers.ts";
import type { TwoBuffers } from "./two_buffers.ts";
import type { PackLimits, PackObject, Pause } from "./types.ts";

export interface ResolveOptions {
  readonly limits: PackLimits;
  readonly data: EntryData;
  readonly buffers: TwoBuffers;
  /** Called once for each delta resolved; the 20 bytes that name the object. The content is lent. */
  readonly onResolved: (entry: number, object: PackObject) => Uint8Array;
  /** An object from outside the pack, by its 20 bytes, which is then appended to it (a thin pack); its new entry. */
  readonly appendBase: (id: Uint8Array) => Promise<number | undefined>;
  readonly pause: Pause;
}

/** Inflated data of entries: of an object its content, of a delta the delta. */
export interface EntryData {
  /** Of the inflated data, in bytes. */
  sizeOf(entry: number): number;
  whole(entry: number, room: (size: number) => Uint8Array<ArrayBuffer>): Uint8Array;
  /** In pieces; see `EntryInflater.through`. */
  through(entry: number, take: (window: Uint8Array) => number): void;
}

/** @throws {StoreError} `malformed` where a base is missing or a delta damaged, `limit` */
export async function resolveDeltas(entries: PackEntries, options: ResolveOptions): Promise<void> {
  const { limits, data, buffers, onResolved, pause } = options;
  if (entries.unresolved() === 0) return;
  const children = groupChildren(entries);
  await pause();
  let work = 0;
  let paused = 0;
  let resolved = 0;
  let held = 0;
  const inPack = entries.count;

  for (let entry = 0; entry < inPack; entry++) {
    if ((entries.types[entry] as number) >= entryType.offsetDelta) continue;
    const waiting = children.takeFirst(entry);
    if (waiting !== none) await descend(entry, waiting);
    else if ((entry & 4095) === 0) await pause();
  }
  // What is left hangs, directly or not, on bases outside the pack. What each sets free is resolved with it.
  for (const place of entries.unresolved() > 0 ? children.awaited() : []) {
    if (!children.awaits(place)) continue;
    const base = await options.appendBase(entries.baseIds.slice(place * 20, place * 20 + 20));
    const waiting = base === undefined ? none : children.takeFirst(base);
    if (base !== undefined && waiting !== none) await descend(base, waiting);
  }
  const missing = entries.unresolved();
  if (missing > 0) {
    throw new StoreError("malformed", `${missing} deltas of the pack have no base (missing, or in a circle)`);
  }

  /** Resolves all that is built on `root`, whose first child is given. */
  async function descend(root: number, first: number): Promise<void> {
    const kind = kindOfType(entries.types[root] as number);
    const stack: Frame[] = [{ entry: root, content: undefined, held: 0, next: first }];
    while (stack.length > 0) {
      const level = stack.length - 1;
      const frame = stack[level] as Frame;
      const child = frame.next;
      if (child === none) {
        drop(frame);
        stack.pop();
        continue;
      }
      frame.next = children.nextOf(child);
      if (stack.length > limits.deltaDepth) {
        throw new StoreError("limit", `a chain of more than ${limits.deltaDepth} deltas`);
      }
      const content = apply(contentAt(stack, level), child);
      const id = onResolved(child, { kind, content });
      entries.setObject(child, kind, id);
      const below = children.takeFirst(child);
      if (below !== none) {
        const lower: Frame = { entry: child, content: undefined, held: 0, next: below };
        give(lower, content);
        stack.push(lower);
        for (let at = 0; at < stack.length - 1 && held > heldBytes; at++) drop(stack[at] as Frame);
      }
      // By number for the small, by bytes for the large.
      if ((++resolved & 63) === 0 || work - paused > 1_000_000) {
        paused = work;
        await pause();
      }
    }
  }

  function give(frame: Frame, content: Uint8Array): void {
    frame.content = content;
    if (content.length > smallBytes) buffers.hold(content, () => frame.content = undefined);
    else held += frame.held = content.length;
  }

  function drop(frame: Frame): void {
    held -= frame.held;
    frame.held = 0;
    frame.content = undefined;
  }

  function apply(base: Uint8Array, child: number): Uint8Array {
    const room = (size: number): Uint8Array<ArrayBuffer> => {
      if (size > limits.objectBytes) {
        throw new StoreError(
          "limit",
          `a delta makes an object of ${size} bytes, more than ${limits.objectBytes}`,
        );
      }
      spend(size);
      return buffers.room(size, base);
    };
    if (data.sizeOf(child) > smallBytes) {
      const applier = deltaApplier(base, room);
      data.through(child, applier.push);
      return applier.finish();
    }
    const delta = data.whole(child, (size) => new Uint8Array(size + 1));
    const { result } = deltaSizes(delta);
    return applyDelta(base, delta, room(result).subarray(0, result));
  }

  function spend(bytes: number): void {
    work += bytes;
    if (work > limits.deltaWork) {
      throw new StoreError("limit", `the pack's deltas make more than ${limits.deltaWork} bytes`);
    }
  }

  /** A frame's content, made again from the nearest one above that still has its own. */
  function contentAt(stack: readonly Frame[], level: number): Uint8Array {
    const frame = stack[level] as Frame;
    if (frame.content !== undefined) return frame.content;
    let from = level;
    while (from > 0 && stack[from]?.content === undefined) from--;
    const start = stack[from] as Frame;
    let content = start.content;
    if (content === undefined) {
      // Counted too: a tree of large objects may ask for its root again and again.
      if (from < level || stack.length > 1) spend(data.sizeOf(start.entry));
      content = data.whole(start.entry, (size) => buffers.room(size, undefined));
      give(start, content);
    }
    for (let at = from + 1; at <= level; at++) {
      content = apply(content, (stack[at] as Frame).entry);
    }
    if (from < level) give(frame, content);
    return content;
  }
}

interface Frame {
  readonly entry: number;
  content: Uint8Array | undefined;
  /** Bytes of the content, where it is a small one. */
  held: number;
  next: number;
}

/** Small contents held along one path from a base: beyond this the ones nearest the base go, and are made again. */
const heldBytes = 16 * 1024 * 1024;
