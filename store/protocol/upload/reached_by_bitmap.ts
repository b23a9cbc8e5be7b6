/** What a clone needs, told by a bitmap: all that it covers at once, and the few commits above that it does not know. */
import type { NewSha1 } from "../../object/hash.ts";
import type { OidSet } from "../../object/oid_set.ts";
import { type Bits, hasBit } from "../../pack/ewah.ts";
import type { ObjectReader, Oid } from "../../types.ts";
import type { CommitGraph, CommitNode } from "../commit_graph.ts";
import { type PackBitmap, readBitmap } from "./bitmap.ts";
import { EVERYTHING, type Filter } from "./filter.ts";
import type { StreamSource } from "./pack_stream.ts";

export interface ReachedByBitmap {
  /** Commits that the tips reach and the bitmap does not cover; the trees of these are to be walked. */
  readonly sent: readonly CommitNode[];
  readonly border: readonly CommitNode[];
  /** Adds what the bitmap covers, in the order of its pack. */
  addTo(chosen: OidSet): void;
}

/**
 * What the tips reach; `undefined` where no bitmap helps: there is none, the graph is cut (it tells of whole histories),
 * or the filter asks for what it does not know.
 */
export async function reachedByBitmap(
  tips: readonly Oid[],
  { reader, graph, filter = EVERYTHING, newSha1 }: {
    readonly reader: ObjectReader & StreamSource;
    readonly graph: CommitGraph;
    readonly filter?: Filter | undefined;
    readonly newSha1?: NewSha1 | undefined;
  },
): Promise<ReachedByBitmap | undefined> {
  const blobs = filter.blobsBelow === Infinity;
  if (newSha1 === undefined || !graph.isWhole || filter.treesAbove !== Infinity) return undefined;
  if (!blobs && filter.blobsBelow !== 0) return undefined;
  const bitmap = findBitmap(reader, newSha1);
  if (bitmap === undefined) return undefined;

  const { index } = bitmap.pack;
  const ranks = [...bitmap.pack.inPackOrder()];
  const places = new Uint32Array(ranks.length);
  for (let place = 0; place < ranks.length; place++) places[ranks[place]] = place;
  const bits: Bits = new Uint32Array(bitmap.blobs.length);
  const sent: CommitNode[] = [];
  const seen = new Set<Oid>();
  const stack = [...tips];
  let covered = false;
  for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
    if (seen.has(oid)) continue;
    seen.add(oid);
    const rank = index.rankOf(oid);
    if (rank !== undefined && hasBit(bits, places[rank])) continue;
    const reached = bitmap.reachedFrom(oid);
    if (reached !== undefined) {
      covered = true;
      for (let i = 0; i < bits.length; i++) bits[i] |= reached[i];
      continue;
    }
    const node = await graph.require(oid);
    sent.push(node);
    stack.push(...node.parents);
  }
  if (!covered) return undefined;
  return {
    sent,
    border: [],
    addTo(chosen) {
      for (let place = 0; place < ranks.length; place++) {
        if (!hasBit(bits, place) || (!blobs && hasBit(bitmap.blobs, place))) continue;
        chosen.add(index.ids, ranks[place] * 20);
      }
    },
  };
}

function findBitmap(source: StreamSource, newSha1: NewSha1): PackBitmap | undefined {
  for (const pack of source.packReaders?.() ?? []) {
    const file = source.bitmapFile?.(pack);
    const bitmap = file === undefined ? undefined : readBitmap(file, pack, newSha1);
    if (bitmap !== undefined) return bitmap;
  }
  return undefined;
}
