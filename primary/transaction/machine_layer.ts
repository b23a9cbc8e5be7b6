import type { Name, RRset } from "../../dns/mod.ts";
import {
  listFiles,
  type ObjectReader,
  type Oid,
  type Person,
  type Repository,
  type SignPayload,
  StoreError,
  writeCommit,
  writeTree,
} from "../../store/mod.ts";
import { type Contents, NOTHING } from "../layers/contents.ts";
import { machineFolder, machinePath } from "../layout/machine_files.ts";
import { machineFile, readMachineZone } from "../layout/machine_zone.ts";
import { isUnreadable } from "./objects.ts";

/** The records that branch `machine` holds for a zone. Files that are damaged are left out and reported. */
export async function readMachineLayer(
  reader: ObjectReader,
  machine: Oid | undefined,
  zone: Name,
  report: (message: string) => void,
): Promise<Contents> {
  if (machine === undefined) return NOTHING;
  const files = await readFiles(reader, machine, machineFolder(zone), () => true, report);
  const { contents, faults } = readMachineZone(zone, files);
  for (const { position, message } of faults) {
    report(`machine:${position.file}:${position.line}:${position.column}: left out: ${message}`);
  }
  return contents;
}

/**
 * The RRsets that branch `machine` holds of a zone below one prefix of owner names (`_letsencrypt._tcp`), without reading
 * the others. Files that are damaged are left out and reported.
 */
export async function readMachineOwners(
  reader: ObjectReader,
  machine: Oid,
  zone: Name,
  prefix: string,
  report: (message: string) => void,
): Promise<RRset[]> {
  const wanted = (path: string) => {
    const name = path.slice(path.lastIndexOf("/") + 1);
    // A name that is too long to be a file's stands there as its hash.
    return name === prefix || name.startsWith(`${prefix}.`) || /^[0-9a-f]{40}$/.test(name);
  };
  const files = await readFiles(reader, machine, machineFolder(zone), wanted, report);
  const owned = [...readMachineZone(zone, files).contents].filter(([owner]) =>
    owner.startsWith(`${prefix}.`)
  );
  return owned.flatMap(([, sets]) => [...sets]);
}

async function readFiles(
  reader: ObjectReader,
  machine: Oid,
  folder: string,
  wanted: (path: string) => boolean,
  report: (message: string) => void,
): Promise<{ path: string; bytes: Uint8Array }[]> {
  const files: { path: string; bytes: Uint8Array }[] = [];
  for (const { path, mode, oid } of await listFiles(reader, machine, folder)) {
    if (!mode.startsWith("100") || !wanted(path)) continue;
    try {
      const blob = await reader.read(oid);
      if (blob === undefined) throw new StoreError("missing", `${path} is not here`);
      files.push({ path, bytes: blob.content });
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      report(`machine:${path}: left out: ${error.message}`);
    }
  }
  return files;
}

/** A layer with the RRsets of some owners replaced; an owner without RRsets is gone. */
export function withOwners(layer: Contents, owners: ReadonlyMap<Name, readonly RRset[]>): Contents {
  const changed = new Map(layer);
  for (const [owner, sets] of owners) {
    if (sets.length === 0) changed.delete(owner);
    else changed.set(owner, [...sets].sort((a, b) => a.type - b.type));
  }
  return changed;
}

/** Writes the commit of branch `machine` that holds the given owners' records instead of what it held. */
export async function writeMachineCommit(
  repository: Repository,
  parent: Oid | undefined,
  edits: ReadonlyMap<Name, ReadonlyMap<Name, readonly RRset[]>>,
  commit: {
    readonly author: Person;
    readonly committer: Person;
    readonly message: string;
    readonly sign?: SignPayload | undefined;
  },
): Promise<Oid> {
  const files = new Map<string, Uint8Array | undefined>();
  for (const [zone, owners] of edits) {
    for (const [owner, sets] of owners) files.set(machinePath(zone, owner), machineFile(sets));
  }
  const tree = await writeTree(repository, parent, files);
  return await writeCommit(repository, {
    tree,
    parents: parent === undefined ? [] : [parent],
    author: commit.author,
    committer: commit.committer,
    message: commit.message.endsWith("\n") ? commit.message : `${commit.message}\n`,
    sign: commit.sign,
  });
}
