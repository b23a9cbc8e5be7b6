import type { Fault, Name } from "../dns/mod.ts";
import type { ObjectReader, Oid } from "../store/mod.ts";
import type { TreeFiles } from "./gate/tree_files.ts";
import { treeFiles } from "./transaction/objects.ts";
import { planTree } from "./transaction/plan_tree.ts";
import { NOTHING_SERVED } from "./transaction/served_state.ts";

export interface Checked {
  /** Errors and warnings by file, line and column. */
  readonly faults: readonly Fault[];
  /** The zones found, good or not. */
  readonly zones: readonly Name[];
}

/** What a first start or a first push with these files would say: a folder's content by path, or a commit. */
export async function checkFiles(
  source: ReadonlyMap<string, Uint8Array> | { readonly objects: ObjectReader; readonly commit: Oid },
): Promise<Checked> {
  const files = "objects" in source ? await treeFiles(source.objects, source.commit) : filesInMemory(source);
  const plan = await planTree(NOTHING_SERVED, {
    files,
    machineLayer: () => Promise.resolve(new Map()),
    machineTouched: new Set(),
    lastGood: () => Promise.resolve(undefined),
  }, new Map());
  return { faults: plan.faults, zones: plan.steps.map((step) => step.origin) };
}

/** Files that are in no repository: their paths stand for the ids of their content. */
function filesInMemory(content: ReadonlyMap<string, Uint8Array>): TreeFiles {
  const paths = [...content.keys()];
  const idOf = (at: number) => at.toString(16).padStart(40, "0") as Oid;
  return {
    entries: new Map(paths.map((path, at) => [path, { mode: "100644", oid: idOf(at) }])),
    read: (oid) => Promise.resolve(content.get(paths[parseInt(oid, 16)]) ?? new Uint8Array()),
  };
}
