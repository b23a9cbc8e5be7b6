/** Deltas on what the client has: of a zone with a changed line, the line goes over the wire. */
import type { OidSet } from "../../object/oid_set.ts";
import { createDelta } from "../../pack/create_delta.ts";
import type { FoundDelta, FoundDeltas } from "../../pack/find_deltas.ts";
import type { PackSource } from "../../pack/write_pack.ts";
import type { Oid, Pause } from "../../types.ts";
import type { Zlib } from "../../zlib/zlib.ts";

/**
 * Makes a delta on its predecessor for what no pack holds as a delta that the client can use, where that is much shorter.
 * @throws {StoreError} `corrupt`
 */
export async function thinDeltas(
  wanted: OidSet,
  source: PackSource<Oid>,
  { zlib, isSent, predecessors = new Map(), hasBase, pause }: {
    readonly zlib: Zlib;
    /** What is in the pack already, by number. */
    readonly isSent: (number: number) => boolean;
    readonly predecessors?: ReadonlyMap<number, Oid> | undefined;
    readonly hasBase?: ((oid: Oid) => boolean) | undefined;
    readonly pause?: Pause | undefined;
  },
): Promise<FoundDeltas<Oid>> {
  const found = new Map<Oid, FoundDelta<Oid>>();
  let kept = 0;
  for (const [number, base] of predecessors) {
    if (kept > KEPT_BYTES) break;
    if (isSent(number)) continue;
    await pause?.();
    const oid = wanted.oidAt(number);
    if (wanted.hasOid(base) || hasBase?.(base) !== true) continue;
    const entry = source.storedEntry?.(oid);
    if (entry?.kind === "delta" && (wanted.hasOid(entry.base) || hasBase(entry.base))) continue;
    const [from, to] = [await source.read(base), await source.read(oid)];
    if (from === undefined || to === undefined || from.kind !== to.kind) continue;
    const lengths = [from.content.length, to.content.length];
    if (Math.min(...lengths) < SHORTEST || Math.max(...lengths) > LONGEST) continue;
    const delta = createDelta(from.content, to.content, { maxSize: to.content.length >> 1 });
    if (delta === undefined) continue;
    const deflated = zlib.deflate(delta);
    // What lies deflated already may be shorter still.
    if (entry !== undefined && deflated.length + 20 >= entry.deflated.length) continue;
    found.set(oid, { base, size: delta.length, deflated });
    kept += deflated.length;
  }
  return { of: (oid) => found.get(oid), count: found.size };
}

/** A shorter object is as short whole. */
const SHORTEST = 64;
/** The search takes some times an object's size in memory. */
const LONGEST = 64 << 20;
/** Deltas wait in memory until the pack is written. */
const KEPT_BYTES = 16 << 20;
