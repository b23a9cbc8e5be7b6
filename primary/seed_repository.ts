import type { Result } from "../conduit/mod.ts";
import type { Fault } from "../dns/mod.ts";
import { type Oid, type Repository, type SignPayload, writeCommit, writeTree } from "../store/mod.ts";
import { topOf } from "./gate/check.ts";
import { LARGEST_FILE } from "./gate/tree_files.ts";
import { MAIN } from "./transaction/branches.ts";
import { treeFiles } from "./transaction/objects.ts";
import { planTree, type TreePlan } from "./transaction/plan_tree.ts";
import { NOTHING_SERVED } from "./transaction/served_state.ts";

/** What a first start found in the zones folder. */
export interface Seeded {
  readonly commit: Oid;
  readonly zones: number;
  readonly warnings: readonly Fault[];
  /** The zones as they were read, for the primary that is opened next. */
  readonly plan: TreePlan;
}

/**
 * The first start: the content of a folder becomes one commit on branch `main`, if all its zones are good. A folder
 * with faults gives all of them, and no ref is made. The files of the folder are people's: nothing in it is written.
 *
 * Links are followed while they stay inside the folder (configuration maps are made of them). `.git`, and folders whose
 * names begin with two dots, are left out.
 *
 * @throws {Deno.errors.NotFound} and its like when the folder cannot be read
 */
export async function seedRepository(options: {
  readonly repository: Repository;
  readonly folder: string;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly sign?: SignPayload | undefined;
}): Promise<Result<Seeded, readonly Fault[]>> {
  const { repository, folder, clock } = options;
  const found = await readFolder(folder);
  if (found.faults.length > 0) return { ok: false, error: found.faults };
  const tree = await writeTree(repository, undefined, found.files);
  const target = {
    files: await treeFiles(repository, tree),
    machineLayer: () => Promise.resolve(new Map()),
    machineTouched: new Set<never>(),
    lastGood: () => Promise.resolve(undefined),
  };
  const plan = await planTree(NOTHING_SERVED, target, new Map());
  if (plan.faults.some((fault) => fault.severity === "error")) return { ok: false, error: plan.faults };

  const person = {
    name: "Bailiwick",
    email: "bailiwick@localhost",
    when: Math.floor(clock() / 1000),
    zone: "+0000",
  };
  const commit = await writeCommit(repository, {
    tree,
    parents: [],
    author: person,
    committer: person,
    message: "Zones of the first start\n",
    sign: options.sign,
  });
  await repository.sync();
  const moved = await repository.refs.move({ name: MAIN, old: undefined, new: commit });
  if (!moved.ok) throw new Error(`branch main cannot be made: ${moved.error.message}`);
  return { ok: true, value: { commit, zones: plan.steps.length, warnings: plan.faults, plan } };
}

/** All files of a folder by path, `/` between the parts. */
export async function readFolder(
  folder: string,
): Promise<{ files: Map<string, Uint8Array>; faults: Fault[] }> {
  const root = await Deno.realPath(folder);
  const files = new Map<string, Uint8Array>();
  const faults: Fault[] = [];
  let total = 0;

  async function walk(prefix: string): Promise<void> {
    const entries = [];
    for await (const entry of Deno.readDir(`${root}/${prefix}`)) entries.push(entry);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = prefix + entry.name;
      if (entry.name.toLowerCase() === ".git" || entry.name.startsWith("..")) continue;
      if (entry.isDirectory) await walk(`${path}/`);
      else if (entry.isFile || entry.isSymlink) await take(path, entry.isSymlink);
    }
  }

  async function take(path: string, isLink: boolean): Promise<void> {
    const real = await realPathInside(root, `${root}/${path}`);
    if (real === undefined) {
      faults.push(
        fault(path, "link", "the link leads outside the folder or to nothing; put the file itself there"),
      );
      return;
    }
    const { isFile, size } = await Deno.stat(real);
    if (!isFile) {
      if (isLink) {
        faults.push(fault(path, "link", "the link does not lead to a file; put the files themselves there"));
      }
      return;
    }
    total += size;
    if (size > LARGEST_FILE || total > LARGEST_FOLDER) {
      faults.push(
        fault(
          path,
          "too-large",
          `the file has ${size} bytes, ${total} with those before it; that is too much`,
        ),
      );
      return;
    }
    files.set(path, await Deno.readFile(real));
  }

  await walk("");
  return { files, faults };
}

/** Bytes of all files together. */
const LARGEST_FOLDER = 4 * LARGEST_FILE;

async function realPathInside(root: string, path: string): Promise<string | undefined> {
  try {
    const real = await Deno.realPath(path);
    return real.startsWith(`${root}/`) ? real : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.FilesystemLoop) {
      return undefined;
    }
    throw error;
  }
}

function fault(file: string, code: string, message: string): Fault {
  return { position: topOf(file), severity: "error", code, message };
}
