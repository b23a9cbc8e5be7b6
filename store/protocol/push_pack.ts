import { breather } from "../repository/breather.ts";
import { type PackSource, writePack } from "../pack/write_pack.ts";
import type { ObjectReader, Oid } from "../types.ts";
import { CommitGraph } from "./commit_graph.ts";
import { selectObjects } from "./selection.ts";
import type { PackTools } from "./upload_pack.ts";

export interface PackToPush {
  readonly repository: ObjectReader & PackSource<Oid>;
  readonly wants: readonly Oid[];
  /** What the server has, with all that it reaches. */
  readonly common: ReadonlySet<Oid>;
  /** Commits whose parents are not here. */
  readonly shallow: ReadonlySet<Oid>;
  readonly offsetDeltas: boolean;
  /** Whether deltas may be against what the server has and the pack does not. */
  readonly thin: boolean;
}

/** The pack of what the server lacks, chunk by chunk. */
export async function* pushedPack(pack: PackToPush, tools: PackTools): AsyncGenerator<Uint8Array> {
  const pause = tools.newPause?.() ?? breather();
  const { repository: reader, wants, common } = pack;
  const graph = new CommitGraph(reader, pause, pack.shallow);
  const { oids } = await selectObjects({ reader, graph, wants, common, pause });
  yield* writePack(oids, reader, { ...tools, offsetDeltas: pack.offsetDeltas, pause });
}
