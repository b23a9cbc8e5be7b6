/** What to send: everything that the wants reach, less what the other side is known to have. */
import { oidFromBytes } from "../object/oid.ts";
import { OidSet } from "../object/oid_set.ts";
import { isGitlinkMode, isTreeMode, scanTree } from "../object/tree_scan.ts";
import type { ObjectReader, Oid, Pause } from "../types.ts";
import { StoreError } from "../types.ts";
import { type CommitGraph, type CommitNode, DateQueue } from "./commit_graph.ts";

export interface SelectionRequest {
  readonly reader: ObjectReader;
  readonly graph: CommitGraph;
  readonly wants: Iterable<Oid>;
  /** What both sides have, with all that it reaches. */
  readonly common: Iterable<Oid>;
  /** Tips of tags to add where what they name is sent (`include-tag`). */
  readonly tags?: Iterable<Oid> | undefined;
  readonly pause?: Pause | undefined;
}

/**
 * The ids to send: commits first, youngest first, then tags, then trees and blobs. As in git the exclusion looks
 * at the commits that border on what is sent and at the common ones, not at every tree of the common history:
 * an old blob that came back may be sent again, which costs bytes and nothing else.
 */
export async function selectObjects(request: SelectionRequest): Promise<Oid[]> {
  const { reader, graph } = request;
  const known = new OidSet();
  const chosen = new OidSet();
  const commits = new CommitWalk(graph);
  const tags: Oid[] = [];
  const roots: Oid[] = [];
  const knownTrees = new Set<Oid>();

  for (const oid of request.common) {
    const peeled = await graph.peel(oid);
    if (peeled === undefined) continue;
    for (const tag of peeled.tags) known.addOid(tag);
    if (peeled.kind === "commit") {
      await commits.exclude(peeled.oid);
      knownTrees.add((await graph.require(peeled.oid)).tree);
    } else knownTrees.add(peeled.oid);
  }
  for (const oid of request.wants) {
    const peeled = await graph.peel(oid);
    if (peeled === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    tags.push(...peeled.tags);
    if (peeled.kind === "commit") await commits.include(peeled.oid);
    else roots.push(peeled.oid);
  }

  const { sent, border } = await commits.run();
  for (const commit of sent) chosen.addOid(commit.oid);
  for (const tag of tags) if (!known.hasOid(tag)) chosen.addOid(tag);
  for (const oid of request.tags ?? []) {
    const peeled = await graph.peel(oid);
    if (peeled !== undefined && chosen.hasOid(peeled.oid)) {
      for (const tag of peeled.tags) if (!known.hasOid(tag)) chosen.addOid(tag);
    }
  }

  if (sent.length > 0 || roots.length > 0) {
    for (const commit of border) knownTrees.add(commit.tree);
    const walk = { reader, known, pause: request.pause };
    for (const tree of knownTrees) await walkTree(tree, { ...walk, into: known });
    for (const commit of sent) await walkTree(commit.tree, { ...walk, into: chosen });
    for (const root of roots) await walkTree(root, { ...walk, into: chosen });
  }
  return [...chosen.oids()];
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

/** Adds a tree (or blob) and all below it to `into`, passing over what is in it or in `known`. */
async function walkTree(
  root: Oid,
  { reader, known, into, pause }: {
    readonly reader: ObjectReader;
    readonly known: OidSet;
    readonly into: OidSet;
    readonly pause: Pause | undefined;
  },
): Promise<void> {
  if (known.hasOid(root) || !into.addOid(root)) return;
  const stack = [root];
  for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
    await pause?.();
    const object = await reader.read(oid);
    if (object === undefined) throw new StoreError("missing", `object ${oid} is not there`);
    if (object.kind !== "tree") continue;
    const { content } = object;
    scanTree(content, (mode, _, nameEnd) => {
      const at = nameEnd + 1;
      if (isGitlinkMode(mode) || known.has(content, at) || !into.add(content, at)) return;
      if (isTreeMode(mode)) stack.push(oidFromBytes(content, at));
    });
  }
}
