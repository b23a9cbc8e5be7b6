import type { Name } from "../../dns/mod.ts";
import type { Oid, Repository } from "../../store/mod.ts";
import type { TreeFiles } from "../gate/tree_files.ts";
import type { Log } from "../primary.ts";
import type { State } from "../state/state.ts";
import { lastSerials } from "./last_serials.ts";
import { readMachineLayer } from "./machine_layer.ts";
import { treeFiles } from "./objects.ts";
import { readGoodLayer } from "./plan_tree.ts";
import type { ServedState } from "./served_state.ts";
import { type ServedZone, withServedSerial } from "./served_zone.ts";
import { stepZone } from "./step.ts";

/** What the last run served, from the database and the commits it names: the base that the first change builds on. */
export async function loadServed(
  context: { repository: Repository; state: State; log: Log },
): Promise<ServedState> {
  const { repository, state, log } = context;
  const commits = state.served();
  const rows = state.zones();
  const { serials } = await lastSerials(repository, rows);
  const { main, machine } = await known(repository, commits);
  const trees = new Map<Oid, TreeFiles>();
  const zones = new Map<Name, ServedZone>();

  // Without the commit that programs' records came from it cannot be told what was served: everything counts as changed.
  const whole = commits.machine === undefined || machine !== undefined;
  for (const [origin, row] of whole ? rows : []) {
    const commit = row.heldAt ?? main;
    if (row.file === undefined || commit === undefined || !await repository.has(commit)) continue;
    let files = trees.get(commit);
    if (files === undefined) trees.set(commit, files = await treeFiles(repository, commit));
    const read = await readGoodLayer(files, row.file, origin, row.heldAt);
    if (read.layer === undefined) {
      log.error(`${origin} in ${commit} was served and is faulty now: ${read.faults[0]?.message}`);
      continue;
    }
    const layer = await readMachineLayer(repository, machine, origin, (message) => log.warn(message));
    // A zone that is held has another text on main, which is to be read again.
    const source = row.heldAt === undefined ? read.source : { file: row.file, inputs: new Map() };
    const proposed = { origin, source, faults: [], good: read.layer, machine: layer };
    const { after } = stepZone(undefined, proposed, undefined, undefined);
    if (after !== undefined) zones.set(origin, withServedSerial(after, row.serial));
  }
  const files = main === undefined
    ? new Map()
    : (trees.get(main) ?? await treeFiles(repository, main)).entries;
  return { main, machine, files, zones, serials, keys: [] };
}

/** Commits that a database names and the repository lacks (one of them was exchanged) are as good as unknown. */
async function known(
  repository: Repository,
  commits: { readonly main: Oid | undefined; readonly machine: Oid | undefined },
): Promise<{ main: Oid | undefined; machine: Oid | undefined }> {
  const present = async (oid: Oid | undefined) =>
    oid !== undefined && await repository.has(oid) ? oid : undefined;
  return { main: await present(commits.main), machine: await present(commits.machine) };
}
