/** The pack of a push: what the server lacks, as deltas on what it has where it takes that. */
import { latin1 } from "../object/bytes.ts";
import { oidFromBytes } from "../object/oid.ts";
import type { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, scanTree } from "../object/tree_scan.ts";
import { nameHash, type PackItem } from "../pack/find_deltas.ts";
import { packObjects } from "../pack/pack_objects.ts";
import { type PackSource, writePack } from "../pack/write_pack.ts";
import { breather } from "../repository/breather.ts";
import type { GitObject, ObjectReader, Oid, Pause } from "../types.ts";
import { StoreError } from "../types.ts";
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

/** Chunk by chunk, as it is taken. @throws {StoreError} `missing`, `corrupt` */
export async function* pushedPack(pack: PackToPush, tools: PackTools): AsyncGenerator<Uint8Array> {
  const pause = tools.newPause?.() ?? breather();
  const { repository: reader, wants, common, offsetDeltas } = pack;
  const graph = new CommitGraph(reader, pause, pack.shallow);
  const { oids, known } = await selectObjects({ reader, graph, wants, common, pause });
  const options = { ...tools, offsetDeltas, pause };
  if (oids.length > SEARCHED) {
    yield* writePack(oids, reader, options);
    return;
  }
  const items = await described(reader, oids, pause);
  const thinBases = pack.thin ? await basesFor(items, reader, known, pause) : [];
  yield* packObjects(items, reader, { ...options, thinBases });
}

/** Beyond this many objects a push is a first one: what is stored as a delta goes out so, and no more is looked for. */
const SEARCHED = 10_000;
/** Objects that the server has and that are looked at for bases; and how many of them are tried. */
const LOOKED_AT = 4096;
const BASES = 512;

/** What each object is, and what it is called in the tree that holds it: the likes of one name are tried on each other. */
async function described(reader: ObjectReader, oids: readonly Oid[], pause: Pause): Promise<PackItem<Oid>[]> {
  const groups = new Map<Oid, number>();
  const found: { readonly id: Oid; readonly kind: GitObject["kind"]; readonly size: number }[] = [];
  for (const oid of oids) {
    await pause();
    const { kind, content } = await required(reader, oid);
    found.push({ id: oid, kind, size: content.length });
    if (kind === "tree") named(content, (child, name) => groups.set(child, nameHash(name)));
  }
  return found.map((item) => ({ ...item, group: groups.get(item.id) ?? 0 }));
}

/** What the server has of the same names. */
async function basesFor(
  items: readonly PackItem<Oid>[],
  reader: ObjectReader,
  known: OidSet,
  pause: Pause,
): Promise<PackItem<Oid>[]> {
  const wanted = new Set(
    items.filter(({ kind }) => kind === "tree" || kind === "blob").map(({ group }) => group),
  );
  const bases = new Map<Oid, PackItem<Oid>>();
  const groups = new Map<Oid, number>();
  let looked = 0;
  const look = async (oid: Oid, group: number) => {
    if (bases.has(oid) || bases.size >= BASES) return;
    await pause();
    const object = await reader.read(oid);
    if (object === undefined) return;
    bases.set(oid, { id: oid, kind: object.kind, size: object.content.length, group });
  };
  for (const oid of known.oids()) {
    if (++looked > LOOKED_AT) break;
    await pause();
    const object = await reader.read(oid);
    if (object?.kind !== "tree") continue;
    if (wanted.has(groups.get(oid) ?? 0)) await look(oid, groups.get(oid) ?? 0);
    const children: [Oid, number][] = [];
    named(object.content, (child, name) => {
      const group = nameHash(name);
      groups.set(child, group);
      if (wanted.has(group) && known.hasOid(child)) children.push([child, group]);
    });
    for (const [child, group] of children) await look(child, group);
  }
  return [...bases.values()];
}

function named(tree: Uint8Array, visit: (child: Oid, name: string) => void): void {
  scanTree(tree, (mode, nameAt, nameEnd) => {
    if (!isGitlinkMode(mode)) visit(oidFromBytes(tree, nameEnd + 1), latin1(tree.subarray(nameAt, nameEnd)));
  });
}

async function required(reader: ObjectReader, oid: Oid): Promise<GitObject> {
  const object = await reader.read(oid);
  if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
  return object;
}
