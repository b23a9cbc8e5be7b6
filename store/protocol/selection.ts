/**
 * What to send: everything that the wants reach, less what the other side is known to have. Hot when a clone is served;
 * ids are compared as bytes where they lie. Benchmarks: tests/bench/clone_bench.ts, tests/bench/history_bench.ts.
 */
import { latin1 } from "../object/bytes.ts";
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import type { ObjectReader, Oid, Pause } from "../types.ts";
import { StoreError } from "../types.ts";
import { type CommitGraph, type CommitNode, DateQueue } from "./commit_graph.ts";
import type { Filter } from "./upload/filter.ts";

export interface SelectionRequest {
  readonly reader: ObjectReader;
  readonly graph: CommitGraph;
  readonly wants: Iterable<Oid>;
  /** What both sides have, with all that it reaches in the graph. */
  readonly common: Iterable<Oid>;
  /** Tips of tags to add where what they name is sent (`include-tag`). */
  readonly tags?: Iterable<Oid> | undefined;
  readonly filter?: Filter | undefined;
  readonly pause?: Pause | undefined;
}

export interface Selection {
  /** The ids to send, each once: commits first, youngest first, then tags, then trees and blobs. */
  readonly oids: readonly Oid[];
  /** Objects that the other side has and that lie near those to send: bases for deltas in a thin pack. */
  readonly known: OidSet;
}

/**
 * What to send. As in git (`pack.useSparse`) the exclusion looks at the trees that border on what is sent, folder by
 * folder beside the trees to send: an object that was known in another folder, or long ago, may be sent again, which
 * costs bytes and nothing else.
 */
export async function selectObjects(request: SelectionRequest): Promise<Selection> {
  const { reader, graph, pause } = request;
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

  const { sent, border } = await paint(graph, tips, commonCommits);
  for (const commit of sent) chosen.addOid(commit.oid);
  for (const tag of tags) if (!known.hasOid(tag)) chosen.addOid(tag);
  for (const oid of request.tags ?? []) {
    const peeled = await graph.peel(oid);
    if (peeled !== undefined && chosen.hasOid(peeled.oid)) {
      for (const tag of peeled.tags) if (!known.hasOid(tag)) chosen.addOid(tag);
    }
  }

  const walk = new TreeWalk({ reader, known, chosen, filter: request.filter ?? EVERYTHING, pause });
  const sentTrees = sent.map(({ tree }) => tree);
  const knownTrees = new Set(border.map(({ tree }) => tree));
  // Where a history was cut, what the client has nearest to the wants may lie on the other side of the cut.
  for (const oid of commonCommits) if (graph.isCut(oid)) knownTrees.add((await graph.require(oid)).tree);
  await walk.beside(sentTrees, [...knownTrees]);
  // What is wanted by its own id is sent, whatever the filter says.
  for (const root of roots) if (!known.hasOid(root)) await walk.from(root);
  await walk.chooseBySize();
  return { oids: [...chosen.oids()], known };
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

const EVERYTHING: Filter = { blobsBelow: Infinity, treesAbove: Infinity };

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

/** Chooses trees and blobs. */
class TreeWalk {
  readonly #reader: ObjectReader;
  readonly #known: OidSet;
  readonly #chosen: OidSet;
  readonly #filter: Filter;
  readonly #pause: Pause | undefined;
  /** Blobs that are sent if they are small enough. */
  readonly #unweighed = new OidSet();

  constructor(parts: {
    readonly reader: ObjectReader;
    readonly known: OidSet;
    readonly chosen: OidSet;
    readonly filter: Filter;
    readonly pause: Pause | undefined;
  }) {
    this.#reader = parts.reader;
    this.#known = parts.known;
    this.#chosen = parts.chosen;
    this.#filter = parts.filter;
    this.#pause = parts.pause;
  }

  /** Trees of commits, with what is below them, beside trees that the other side has. */
  async beside(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    for (const tree of have) this.#known.addOid(tree);
    if (this.#filter.treesAbove === 0) return;
    const send = trees.filter((tree) => !this.#known.hasOid(tree) && this.#chosen.addOid(tree));
    // By levels where depth counts: what is met first is then met where it is least deep.
    if (this.#filter.treesAbove !== Infinity) return await this.#levels(send, have);
    if (have.length > 0) return await this.#paths(send, have);
    for (const tree of send) await this.#below(tree);
  }

  /** An object wanted by its id: a blob, or a tree with what is below it. */
  async from(oid: Oid): Promise<void> {
    this.#chosen.addOid(oid);
    await this.#below(oid);
  }

  async chooseBySize(): Promise<void> {
    for (const oid of this.#unweighed.oids()) {
      if (this.#chosen.hasOid(oid)) continue;
      const object = await this.#read(oid);
      if (object.content.length < this.#filter.blobsBelow) this.#chosen.addOid(oid);
    }
  }

  /** Nothing is known: one tree after the other, as they lie in a pack. */
  async #below(root: Oid): Promise<void> {
    const stack = [root];
    for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
      await this.#choose(oid, (content, at) => stack.push(oidFromBytes(content, at)));
    }
  }

  /** Folder by folder: what the other side has in the same one is looked at first. */
  async #paths(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    const stack = [{ trees, have }];
    for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
      if (folder.trees.length === 0) continue;
      const haveBelow = new Map<string, Set<Oid>>();
      for (const oid of folder.have) {
        const object = await this.#read(oid);
        if (object.kind !== "tree") continue;
        const { content } = object;
        scanTree(content, (mode, nameAt, nameEnd) => {
          if (isGitlinkMode(mode)) return;
          this.#known.add(content, nameEnd + 1);
          if (isTreeMode(mode)) add(haveBelow, content, nameAt, nameEnd);
        });
      }
      const below = new Map<string, Set<Oid>>();
      for (const oid of folder.trees) {
        await this.#choose(oid, (content, _, nameAt, nameEnd) => add(below, content, nameAt, nameEnd));
      }
      for (const [name, oids] of below) {
        stack.push({ trees: [...oids], have: [...haveBelow.get(name) ?? []] });
      }
    }
  }

  async #levels(trees: readonly Oid[], have: readonly Oid[]): Promise<void> {
    let known = have;
    let level = trees;
    for (let depth = 1; level.length > 0; depth++) {
      const knownBelow: Oid[] = [];
      for (const oid of known) {
        const { content } = await this.#read(oid);
        scanTree(content, (mode, _, nameEnd) => {
          if (isGitlinkMode(mode) || !this.#known.add(content, nameEnd + 1)) return;
          if (isTreeMode(mode)) knownBelow.push(oidFromBytes(content, nameEnd + 1));
        });
      }
      if (depth >= this.#filter.treesAbove) return;
      const below: Oid[] = [];
      for (const oid of level) {
        await this.#choose(oid, (content, at) => below.push(oidFromBytes(content, at)));
      }
      known = knownBelow;
      level = below;
    }
  }

  /** Takes what a tree holds, where it is not known and not yet chosen; `descend` is called for its trees. */
  async #choose(
    oid: Oid,
    descend: (content: Uint8Array, at: number, nameAt: number, nameEnd: number) => void,
  ): Promise<void> {
    const object = await this.#read(oid);
    if (object.kind !== "tree") return;
    const { content } = object;
    const { blobsBelow } = this.#filter;
    const known = this.#known;
    const chosen = this.#chosen;
    scanTree(content, (mode, nameAt, nameEnd) => {
      const at = nameEnd + 1;
      if (isTreeMode(mode)) {
        if (!known.has(content, at) && chosen.add(content, at)) descend(content, at, nameAt, nameEnd);
      } else if (blobsBelow !== 0 && !isGitlinkMode(mode) && !known.has(content, at)) {
        if (blobsBelow === Infinity) chosen.add(content, at);
        else this.#unweighed.add(content, at);
      }
    });
  }

  async #read(oid: Oid) {
    await this.#pause?.();
    const object = await this.#reader.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    return object;
  }
}

/** Adds the tree that an entry names to those of its name. */
function add(names: Map<string, Set<Oid>>, content: Uint8Array, nameAt: number, nameEnd: number): void {
  const name = latin1(content.subarray(nameAt, nameEnd));
  const oids = names.get(name);
  const oid = oidFromBytes(content, nameEnd + 1);
  if (oids === undefined) names.set(name, new Set([oid]));
  else oids.add(oid);
}
