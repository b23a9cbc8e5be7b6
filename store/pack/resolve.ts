/**
 * The second pass: deltas, depth first from each base, so that a base is inflated once and held only while it has
 * children left. Hot when a pack is indexed. Benchmark: tests/bench/pack_bench.ts.
 */
import { StoreError } from "../error.ts";
import type { PackLimits, PackObject, Pause } from "./types.ts";
import { idToBytes, toHex } from "./id.ts";
import { applyDelta, deltaSizes } from "./delta.ts";
import { entryType, kindOfType } from "./entry.ts";
import type { PackEntries } from "./entries.ts";

export interface ResolveOptions {
  readonly limits: PackLimits;
  /** An entry's inflated data: an object's content, or a delta. */
  readonly dataOf: (entry: number) => Uint8Array;
  /** Called once for each delta resolved; the 20 bytes that name the object. */
  readonly onResolved: (entry: number, object: PackObject) => Uint8Array;
  /** An object from outside the pack, by its 20 bytes, which is then appended to it (a thin pack); its new entry. */
  readonly appendBase: (oid: Uint8Array) => Promise<number | undefined>;
  readonly pause: Pause;
}

/** @throws {StoreError} `malformed` where a base is missing or a delta damaged, `limit` */
export async function resolveDeltas(entries: PackEntries, options: ResolveOptions): Promise<void> {
  const { limits, dataOf, onResolved, pause } = options;
  const children = groupChildren(entries);
  let work = 0;
  let paused = 0;
  let resolved = 0;
  const inPack = entries.count;

  for (let entry = 0; entry < inPack; entry++) {
    if (isDelta(entries, entry)) continue;
    const waiting = takeChildren(entry);
    if (waiting !== undefined) await descend(entry, waiting);
  }
  // What is left hangs, directly or not, on bases outside the pack. Each found may set others free.
  for (let found = true; found && children.byOid.size > 0;) {
    found = false;
    for (const [key] of [...children.byOid]) {
      if (!children.byOid.has(key)) continue;
      const base = await options.appendBase(idToBytes(key));
      if (base === undefined) continue;
      found = true;
      const waiting = takeChildren(base);
      if (waiting !== undefined) await descend(base, waiting);
    }
  }
  const missing = entries.unresolved();
  if (missing > 0) {
    throw new StoreError("malformed", `${missing} deltas of the pack have no base (missing, or in a circle)`);
  }

  /** Resolves all that is built on `root`, whose children are given. */
  async function descend(root: number, first: number[]): Promise<void> {
    const kind = kindOfType(entries.types[root] ?? 0);
    const stack: Frame[] = [{ entry: root, content: dataOf(root), children: first, next: 0 }];
    let held = stack[0]?.content?.length ?? 0;
    while (stack.length > 0) {
      const level = stack.length - 1;
      const frame = stack[level] as Frame;
      const child = frame.children[frame.next++];
      if (child === undefined) {
        held -= frame.content?.length ?? 0;
        stack.pop();
        continue;
      }
      if (stack.length > limits.deltaDepth) {
        throw new StoreError("limit", `a chain of more than ${limits.deltaDepth} deltas`);
      }
      const content = apply(contentAt(stack, level), child);
      const oid = onResolved(child, { kind, content });
      entries.setObject(child, kind, oid);
      const below = takeChildren(child);
      if (below !== undefined) {
        stack.push({ entry: child, content, children: below, next: 0 });
        held += content.length;
        held -= trim(stack, held);
      }
      // By number for the small, by bytes for the large.
      if ((++resolved & 63) === 0 || work - paused > 1_000_000) {
        paused = work;
        await pause();
      }
    }
  }

  function apply(base: Uint8Array, child: number): Uint8Array {
    const delta = dataOf(child);
    const { result } = deltaSizes(delta);
    if (result > limits.objectBytes) {
      throw new StoreError(
        "limit",
        `a delta makes an object of ${result} bytes, more than ${limits.objectBytes}`,
      );
    }
    work += result;
    if (work > limits.deltaWork) {
      throw new StoreError("limit", `the pack's deltas make more than ${limits.deltaWork} bytes`);
    }
    return applyDelta(base, delta);
  }

  /** A frame's content, made again from the nearest one above that still has its own. */
  function contentAt(stack: readonly Frame[], level: number): Uint8Array {
    let from = level;
    while (from > 0 && stack[from]?.content === undefined) from--;
    let content = stack[from]?.content ?? dataOf(stack[from]?.entry ?? 0);
    for (let at = from + 1; at <= level; at++) content = apply(content, stack[at]?.entry ?? 0);
    return content;
  }

  function takeChildren(entry: number): number[] | undefined {
    // Taken once: a resolved delta no longer looks like one, and its children are done.
    const byOffset = children.byEntry.get(entry);
    if (byOffset !== undefined) children.byEntry.delete(entry);
    if (children.byOid.size === 0) return byOffset;
    const key = toHex(entries.oid(entry));
    const byOid = children.byOid.get(key);
    if (byOid === undefined) return byOffset;
    children.byOid.delete(key);
    return byOffset === undefined ? byOid : [...byOffset, ...byOid];
  }
}

interface Frame {
  readonly entry: number;
  content: Uint8Array | undefined;
  readonly children: readonly number[];
  next: number;
}

/** Contents held along one path from a base: beyond this the ones nearest the base go, and are made again. */
const heldBytes = 96 * 1024 * 1024;

function trim(stack: readonly Frame[], held: number): number {
  let freed = 0;
  for (let at = 0; at < stack.length - 1 && held - freed > heldBytes; at++) {
    const frame = stack[at] as Frame;
    freed += frame.content?.length ?? 0;
    frame.content = undefined;
  }
  return freed;
}

function isDelta(entries: PackEntries, entry: number): boolean {
  const type = entries.types[entry];
  return type === entryType.offsetDelta || type === entryType.refDelta;
}

interface Children {
  readonly byEntry: Map<number, number[]>;
  /** Keyed by the base's id. */
  readonly byOid: Map<string, number[]>;
}

function groupChildren(entries: PackEntries): Children {
  const byEntry = new Map<number, number[]>();
  const byOid = new Map<string, number[]>();
  for (let entry = 0; entry < entries.count; entry++) {
    if (entries.types[entry] === entryType.offsetDelta) {
      const base = entries.entryAt(entries.baseOffsets[entry] ?? 0);
      if (base === undefined || base >= entry) {
        throw new StoreError("malformed", `the delta at ${entries.offsets[entry]} has no base where it says`);
      }
      add(byEntry, base, entry);
    } else if (entries.types[entry] === entryType.refDelta) {
      add(byOid, toHex(entries.baseOids[entry] ?? new Uint8Array()), entry);
    }
  }
  return { byEntry, byOid };
}

function add<K>(map: Map<K, number[]>, key: K, entry: number): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [entry]);
  else list.push(entry);
}
