/**
 * Commits as nodes of a graph: loading with a bounded cache, ancestry, reachability. Loading is hot in a long history, so
 * a commit's few lines are picked out of its bytes; tests/bench/history_bench.ts shows what a fetch then costs.
 */
import { latin1 } from "../object/bytes.ts";
import { decodeCommit, decodeTag } from "../object/commit.ts";
import { parseOid } from "../object/oid.ts";
import type { ObjectKind, ObjectReader, Oid, Pause } from "../types.ts";
import { StoreError } from "../types.ts";

export interface CommitNode {
  readonly oid: Oid;
  readonly tree: Oid;
  readonly parents: readonly Oid[];
  /** The committer's time in seconds since 1970; 0 where the line has none. */
  readonly date: number;
}

/** Commits are loaded once a conversation; what they are read from is not to change below it. */
export class CommitGraph {
  readonly #reader: ObjectReader;
  readonly #pause: Pause | undefined;
  readonly #shallow: ReadonlySet<Oid>;
  #cache = new Map<Oid, CommitNode | undefined>();

  /** `shallow`: commits that count as having no parents, since what is before them is not there. */
  constructor(reader: ObjectReader, pause?: Pause, shallow: ReadonlySet<Oid> = NONE) {
    this.#reader = reader;
    this.#pause = pause;
    this.#shallow = shallow;
  }

  /** The same commits with further ones cut off from their parents; what was loaded is shared. */
  cutAt(more: Iterable<Oid>): CommitGraph {
    const graph = new CommitGraph(this.#reader, this.#pause, new Set([...this.#shallow, ...more]));
    graph.#cache = this.#cache;
    return graph;
  }

  /** Whether every commit has all its parents. */
  get isWhole(): boolean {
    return this.#shallow.size === 0;
  }

  /** Whether the commit counts as having no parents, whatever it says itself. */
  isCut(oid: Oid): boolean {
    return this.#shallow.has(oid);
  }

  /** The commit; `undefined` where there is no such object or it is no commit. */
  async load(oid: Oid): Promise<CommitNode | undefined> {
    const node = await this.#load(oid);
    return node !== undefined && this.#shallow.has(oid) ? { ...node, parents: [] } : node;
  }

  /** The commit, where our own history says that it is there. @throws {StoreError} `missing` */
  async require(oid: Oid): Promise<CommitNode> {
    const node = await this.load(oid);
    if (node === undefined) throw new StoreError("missing", `commit ${oid} is not there`);
    return node;
  }

  /** Follows tags to what they name at last. `tags` are the tag objects on the way; `undefined`: not there. */
  async peel(
    oid: Oid,
  ): Promise<{ readonly tags: Oid[]; readonly oid: Oid; readonly kind: ObjectKind } | undefined> {
    const tags: Oid[] = [];
    for (;;) {
      if (this.#cache.get(oid) !== undefined) return { tags, oid, kind: "commit" };
      const object = await this.#reader.read(oid);
      if (object === undefined) return undefined;
      if (object.kind !== "tag") return { tags, oid, kind: object.kind };
      tags.push(oid);
      if (tags.length > TAG_CHAIN) {
        throw new StoreError("limit", `a chain of more than ${TAG_CHAIN} tags at ${tags[0]}`);
      }
      oid = decodeTag(object.content).object;
    }
  }

  async #load(oid: Oid): Promise<CommitNode | undefined> {
    if (this.#cache.has(oid)) return this.#cache.get(oid);
    await this.#pause?.();
    const object = await this.#reader.read(oid);
    const node = object?.kind === "commit" ? nodeOf(oid, object.content) : undefined;
    if (this.#cache.size >= CACHED) {
      for (const oldest of this.#cache.keys()) {
        this.#cache.delete(oldest);
        break;
      }
    }
    this.#cache.set(oid, node);
    return node;
  }
}

/**
 * Whether the first commit is the second or one of its ancestors: the test for a fast-forward. What is not there, or is no
 * commit, is nobody's ancestor. @throws {StoreError} `missing` where the descendant's history is not whole
 */
export async function isAncestor(graph: CommitGraph, ancestor: Oid, descendant: Oid): Promise<boolean> {
  if (ancestor === descendant) return true;
  if (await graph.load(ancestor) === undefined) return false;
  // Both ends are painted downwards; once no commit of the descendant's alone is left to look at, the ancestor
  // cannot turn up any more. So a refusal costs what the two have apart, not the whole history.
  const OLD = 1;
  const NEW = 2;
  const paint = new Map<Oid, number>();
  const queued = new Set<Oid>();
  const queue = new DateQueue();
  let newOnly = 0;
  const visit = async (oid: Oid, colour: number) => {
    const before = paint.get(oid) ?? 0;
    const after = before | colour;
    if (after === before) return;
    paint.set(oid, after);
    if (queued.has(oid)) {
      if (before === NEW) newOnly--;
      return;
    }
    queue.push(await graph.require(oid));
    queued.add(oid);
    if (after === NEW) newOnly++;
  };
  await visit(ancestor, OLD);
  await visit(descendant, NEW);
  while (newOnly > 0) {
    const node = queue.pop();
    if (node === undefined) break;
    queued.delete(node.oid);
    const colour = paint.get(node.oid) ?? 0;
    if (colour === NEW) newOnly--;
    for (const parent of node.parents) {
      if (parent === ancestor && (colour & NEW) !== 0) return true;
      await visit(parent, colour);
    }
  }
  return false;
}

/** Those of the targets that the tips reach through commits and tags. Stops when all are found. */
export async function reachableAmong(
  graph: CommitGraph,
  tips: Iterable<Oid>,
  targets: ReadonlySet<Oid>,
): Promise<Set<Oid>> {
  const found = new Set<Oid>();
  const seen = new Set<Oid>();
  const queue = new DateQueue();
  const visit = async (oid: Oid) => {
    if (seen.has(oid)) return;
    seen.add(oid);
    if (targets.has(oid)) found.add(oid);
    const node = await graph.load(oid);
    if (node !== undefined) queue.push(node);
  };
  for (const tip of tips) {
    const peeled = await graph.peel(tip);
    if (peeled === undefined) continue;
    for (const tag of peeled.tags) if (targets.has(tag)) found.add(tag);
    await visit(peeled.oid);
  }
  while (found.size < targets.size) {
    const node = queue.pop();
    if (node === undefined) break;
    for (const parent of node.parents) await visit(parent);
  }
  return found;
}

/** A priority queue of commits: the youngest first, among equals the one pushed first (as git's `prio_queue`). */
export class DateQueue {
  readonly #heap: { readonly node: CommitNode; readonly order: number }[] = [];
  #pushed = 0;

  get size(): number {
    return this.#heap.length;
  }

  push(node: CommitNode): void {
    const heap = this.#heap;
    const item = { node, order: this.#pushed++ };
    let at = heap.length;
    heap.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(item, heap[parent])) break;
      heap[at] = heap[parent];
      at = parent;
    }
    heap[at] = item;
  }

  pop(): CommitNode | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top?.node;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = last;
    return top.node;
  }
}

/** Nodes kept in memory for one conversation. */
const CACHED = 100_000;
const TAG_CHAIN = 64;

interface Queued {
  readonly node: CommitNode;
  readonly order: number;
}

function before(a: Queued, b: Queued): boolean {
  return a.node.date !== b.node.date ? a.node.date > b.node.date : a.order < b.order;
}

function nodeOf(oid: Oid, content: Uint8Array): CommitNode {
  return plainNode(oid, content) ?? decodedNode(oid, content);
}

/** Of a commit as git writes it: `tree`, `parent`s, `author`, `committer`, a line each. */
function plainNode(oid: Oid, content: Uint8Array): CommitNode | undefined {
  // The lines that matter lie at the front; people's names in them may be any bytes, and nothing is taken from those.
  const text = FRONT_TEXT.decode(content.subarray(0, FRONT));
  const tree = parseOid(text.slice(5, 45));
  if (!text.startsWith("tree ") || tree === undefined || text[45] !== "\n") return undefined;
  const parents: Oid[] = [];
  let at = 46;
  for (; text.startsWith("parent ", at); at += 48) {
    const parent = parseOid(text.slice(at + 7, at + 47));
    if (parent === undefined || text[at + 47] !== "\n") return undefined;
    parents.push(parent);
  }
  if (!text.startsWith("author ", at)) return undefined;
  const line = text.indexOf("\n", at) + 1;
  const end = text.indexOf("\n", line);
  if (line === 0 || end < 0 || !text.startsWith("committer ", line)) return undefined;
  return { oid, tree, parents, date: dateOf(text.slice(line, end)) };
}

function decodedNode(oid: Oid, content: Uint8Array): CommitNode {
  const commit = decodeCommit(content);
  return { oid, tree: commit.tree, parents: commit.parents, date: dateOf(latin1(commit.committer)) };
}

function dateOf(committer: string): number {
  const match = /> (\d{1,15}) [+-]\d+$/.exec(committer);
  return match === null ? 0 : Number(match[1]);
}

/** Bytes of a commit that are looked at first; a merge of many or a name of unusual length is decoded in full. */
const FRONT = 1024;
const FRONT_TEXT = new TextDecoder();
const NONE: ReadonlySet<Oid> = new Set();
