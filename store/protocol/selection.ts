/**
 * What to send: everything that the wants reach, less what the other side is known to have. Hot when a clone is served;
 * ids are compared as bytes where they lie. Benchmarks: tests/bench/clone_bench.ts, tests/bench/history_bench.ts.
 */
import type { NewSha1 } from "../object/hash.ts";
import { OidSet } from "../object/oid_set.ts";
import type { ObjectReader, Oid, Pause } from "../types.ts";
import { StoreError } from "../types.ts";
import { type CommitGraph, type CommitNode, DateQueue } from "./commit_graph.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { reachedByBitmap } from "./upload/reached_by_bitmap.ts";
import { EVERYTHING, type Filter } from "./upload/filter.ts";
import type { StreamSource } from "./upload/pack_stream.ts";
import { TreeWalk } from "./upload/tree_walk.ts";

export interface SelectionRequest {
  readonly reader: ObjectReader & StreamSource;
  /** For looking into the entries of packs; without it trees are read as any object is. */
  readonly zlib?: Zlib | undefined;
  readonly graph: CommitGraph;
  readonly wants: Iterable<Oid>;
  /** What both sides have, with all that it reaches in the graph. */
  readonly common: Iterable<Oid>;
  /** Tips of tags to add where what they name is sent (`include-tag`). */
  readonly tags?: Iterable<Oid> | undefined;
  readonly filter?: Filter | undefined;
  /** For checking the sums of bitmap files; without it none is looked at. */
  readonly newSha1?: NewSha1 | undefined;
  readonly pause?: Pause | undefined;
}

export interface Selection {
  /** The ids to send: commits first, youngest first, then tags, then trees and blobs. */
  readonly chosen: OidSet;
  /** The same as text. */
  readonly oids: readonly Oid[];
  /** For some of the chosen, by number: what the other side has in the same place of a tree. */
  readonly predecessors: ReadonlyMap<number, Oid>;
  /** Objects that the other side has and that lie near those to send: bases for deltas in a thin pack. */
  readonly known: OidSet;
}

/**
 * What to send. As in git (`pack.useSparse`) the exclusion looks at the trees that border on what is sent, folder by
 * folder beside the trees to send: an object that was known in another folder, or long ago, may be sent again, which
 * costs bytes and nothing else.
 */
export async function selectObjects(request: SelectionRequest): Promise<Selection> {
  const { reader, graph, pause, zlib } = request;
  const known = new OidSet();
  const chosen = new OidSet();
  const common = [...request.common];
  const tags: Oid[] = [];
  const roots: Oid[] = [];
  const tips: Oid[] = [];

  const commonCommits: Oid[] = [];
  for (const oid of common) {
    const peeled = await graph.peel(oid);
    if (peeled === undefined) continue;
    for (const tag of peeled.tags) known.addOid(tag);
    if (peeled.kind === "commit") commonCommits.push(peeled.oid);
    else known.addOid(peeled.oid);
  }
  for (const oid of request.wants) {
    const peeled = await graph.peel(oid);
    if (peeled === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    tags.push(...peeled.tags);
    (peeled.kind === "commit" ? tips : roots).push(peeled.oid);
  }

  const reached = commonCommits.length === 0 ? await reachedByBitmap(tips, request) : undefined;
  reached?.addTo(chosen);
  const { sent, border } = reached ?? await paint(graph, tips, commonCommits);
  for (const commit of sent) chosen.addOid(commit.oid);
  for (const tag of tags) if (!known.hasOid(tag)) chosen.addOid(tag);
  const others = await addTagsOf(request.tags ?? [], { graph, known, chosen });

  const walk = new TreeWalk({ reader, zlib, known, chosen, filter: request.filter ?? EVERYTHING, pause });
  const sentTrees = sent.map(({ tree }) => tree);
  const knownTrees = new Set(border.map(({ tree }) => tree));
  // Where a history was cut, what the client has nearest to the wants may lie on the other side of the cut.
  for (const oid of commonCommits) if (graph.isCut(oid)) knownTrees.add((await graph.require(oid)).tree);
  await walk.beside(sentTrees, [...knownTrees]);
  // What is wanted by its own id is sent, whatever the filter says.
  for (const root of roots) if (!known.hasOid(root)) await walk.from(root);
  await walk.chooseBySize();
  // Tags of trees and blobs.
  await addTagsOf(others, { graph, known, chosen });
  return {
    chosen,
    predecessors: walk.predecessors,
    known,
    get oids() {
      return [...chosen.oids()];
    },
  };
}

/** Adds those of the tags that name something chosen; gives the others. */
async function addTagsOf(
  tags: Iterable<Oid>,
  { graph, known, chosen }: { readonly graph: CommitGraph; readonly known: OidSet; readonly chosen: OidSet },
): Promise<Oid[]> {
  const others: Oid[] = [];
  for (const oid of tags) {
    const peeled = await graph.peel(oid);
    if (peeled === undefined || peeled.tags.length === 0) continue;
    if (!chosen.hasOid(peeled.oid)) others.push(oid);
    else for (const tag of peeled.tags) if (!known.hasOid(tag)) chosen.addOid(tag);
  }
  return others;
}

/** The commits that the tips reach and the others do not, youngest first. @throws {StoreError} `missing` */
export async function commitsBetween(
  graph: CommitGraph,
  tips: Iterable<Oid>,
  not: Iterable<Oid>,
): Promise<readonly CommitNode[]> {
  return (await paint(graph, tips, not)).sent;
}

/** What the ids name at last, where that is a commit; each once. */
export async function peeledCommits(graph: CommitGraph, oids: Iterable<Oid>): Promise<Oid[]> {
  const commits = new Set<Oid>();
  for (const oid of oids) {
    const peeled = await graph.peel(oid);
    if (peeled?.kind === "commit") commits.add(peeled.oid);
  }
  return [...commits];
}

async function paint(graph: CommitGraph, tips: Iterable<Oid>, not: Iterable<Oid>) {
  const walk = new CommitWalk(graph);
  for (const oid of not) await walk.exclude(oid);
  for (const oid of tips) await walk.include(oid);
  return await walk.run();
}

/** Commits painted from both ends by date, until nothing is left that is wanted and not known. */
class CommitWalk {
  readonly #graph: CommitGraph;
  readonly #queue = new DateQueue();
  readonly #paint = new Map<Oid, number>();
  readonly #queued = new Set<Oid>();
  #wantedOnly = 0;

  constructor(graph: CommitGraph) {
    this.#graph = graph;
  }

  include(oid: Oid): Promise<void> {
    return this.#visit(oid, WANTED);
  }

  exclude(oid: Oid): Promise<void> {
    return this.#visit(oid, KNOWN);
  }

  async run(): Promise<{ readonly sent: CommitNode[]; readonly border: CommitNode[] }> {
    const candidates: CommitNode[] = [];
    const border = new Map<Oid, CommitNode>();
    while (this.#wantedOnly > 0) {
      const node = this.#queue.pop();
      if (node === undefined) break;
      this.#queued.delete(node.oid);
      const colour = this.#paint.get(node.oid) ?? 0;
      if (colour === WANTED) {
        this.#wantedOnly--;
        candidates.push(node);
      }
      for (const parent of node.parents) await this.#visit(parent, colour & KNOWN ? KNOWN : WANTED);
    }
    const sent = candidates.filter((node) => this.#paint.get(node.oid) === WANTED);
    for (const node of sent) {
      for (const parent of node.parents) {
        if ((this.#paint.get(parent) ?? 0) & KNOWN) border.set(parent, await this.#graph.require(parent));
      }
    }
    return { sent, border: [...border.values()] };
  }

  async #visit(oid: Oid, colour: number): Promise<void> {
    const before = this.#paint.get(oid) ?? 0;
    const after = before | colour;
    if (after === before) return;
    this.#paint.set(oid, after);
    if (this.#queued.has(oid)) {
      if (before === WANTED) this.#wantedOnly--;
      return;
    }
    this.#queue.push(await this.#graph.require(oid));
    this.#queued.add(oid);
    if (after === WANTED) this.#wantedOnly++;
  }
}

const WANTED = 1;
const KNOWN = 2;
