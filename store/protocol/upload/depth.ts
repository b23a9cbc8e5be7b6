/** Where a shallow client's history is to end, and what changes for it (git: shallow.c, upload-pack "deepen"). */
import type { Oid } from "../../types.ts";
import { StoreError } from "../../types.ts";
import type { CommitGraph, CommitNode } from "../commit_graph.ts";
import { commitsBetween, peeledCommits } from "../selection.ts";
import { type DepthRequest, INFINITE_DEPTH } from "../upload_request.ts";

export interface Boundary {
  /** Commits that the client is told to take for shallow, beside those that it knows to be. */
  readonly shallow: readonly Oid[];
  /** Commits of the client's that get their parents now. */
  readonly unshallow: readonly Oid[];
}

/** Whether the client asks for a history of other length than it has. */
export function asksForDepth(request: DepthRequest): boolean {
  return request.depth !== undefined || request.since !== undefined || request.not.length > 0;
}

/**
 * The client's new boundary. `not`: what the refs of `deepen-not` stand for. A commit without parents is never shallow:
 * nothing is missing before it. Without end (`--unshallow`) is meant for all that the client has, whatever it wants
 * beside it (`tips`: what all refs stand for): it may want nothing but a tag.
 * @throws {StoreError} `protocol` where nothing at all is young enough, `missing`
 */
export async function boundaryFor(
  request: DepthRequest,
  { graph, wants, tips: all, not }: {
    readonly graph: CommitGraph;
    readonly wants: Iterable<Oid>;
    readonly tips: Iterable<Oid>;
    readonly not: readonly Oid[];
  },
): Promise<Boundary> {
  const tips = await peeledCommits(graph, wants);
  const { border, within } = request.depth === undefined
    ? await byAge(graph, tips, request.since ?? 0, not)
    : request.relative && request.depth !== INFINITE_DEPTH
    ? await byDepth(graph, await reachedAmong(graph, tips, request.shallow), request.depth + 1)
    : await byDepth(graph, tips, request.depth);
  const whole = request.depth === INFINITE_DEPTH
    ? (await byDepth(graph, await peeledCommits(graph, all), INFINITE_DEPTH)).within
    : within;
  return {
    shallow: [...border].filter((oid) => !request.shallow.has(oid)),
    unshallow: [...request.shallow].filter((oid) => whole.has(oid)),
  };
}

/** Where our own history ends, as far as the wants reach it: what a client without a wish for depth is told. */
export async function ownBoundary(graph: CommitGraph, wants: Iterable<Oid>): Promise<ReadonlySet<Oid>> {
  return (await byDepth(graph, await peeledCommits(graph, wants), INFINITE_DEPTH)).border;
}

interface Cut {
  /** Commits to be had without their parents. */
  readonly border: ReadonlySet<Oid>;
  /** Commits to be had with them. */
  readonly within: ReadonlySet<Oid>;
}

/** Level by level, so that each commit counts where it is nearest to a tip; the tips are level 1. */
async function byDepth(graph: CommitGraph, tips: Iterable<Oid>, depth: number): Promise<Cut> {
  const border = new Set<Oid>();
  const within = new Set<Oid>();
  const seen = new Set<Oid>(tips);
  let level: Iterable<Oid> = new Set(seen);
  for (let at = 1;; at++) {
    const next: Oid[] = [];
    for (const oid of level) {
      const { parents } = await graph.require(oid);
      if (graph.isCut(oid) || (at >= depth && parents.length > 0)) {
        border.add(oid);
        continue;
      }
      within.add(oid);
      for (const parent of parents) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        next.push(parent);
      }
    }
    if (next.length === 0) return { border, within };
    level = next;
  }
}

/** What is reached over commits that are young enough and not left out. */
async function byAge(
  graph: CommitGraph,
  tips: readonly Oid[],
  since: number,
  not: readonly Oid[],
): Promise<Cut> {
  const candidates = not.length === 0
    ? undefined
    : new Set((await commitsBetween(graph, tips, await peeledCommits(graph, not))).map(({ oid }) => oid));
  const isIn = (node: CommitNode) => node.date >= since && (candidates?.has(node.oid) ?? true);
  const included = new Map<Oid, CommitNode>();
  const stack = [...tips];
  for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
    if (included.has(oid)) continue;
    const node = await graph.require(oid);
    if (!isIn(node)) continue;
    included.set(oid, node);
    stack.push(...node.parents);
  }
  if (included.size === 0) throw new StoreError("protocol", "no commits selected for shallow requests");
  const border = new Set<Oid>();
  const within = new Set<Oid>();
  for (const { oid, parents } of included.values()) {
    const whole = !graph.isCut(oid) && parents.every((parent) => included.has(parent));
    (whole ? within : border).add(oid);
  }
  return { border, within };
}

/** Those of the targets that the tips reach. */
async function reachedAmong(
  graph: CommitGraph,
  tips: readonly Oid[],
  targets: ReadonlySet<Oid>,
): Promise<Oid[]> {
  const found: Oid[] = [];
  const seen = new Set<Oid>(tips);
  const stack = [...tips];
  for (let oid = stack.pop(); oid !== undefined && found.length < targets.size; oid = stack.pop()) {
    if (targets.has(oid)) found.push(oid);
    for (const parent of (await graph.require(oid)).parents) {
      if (seen.has(parent)) continue;
      seen.add(parent);
      stack.push(parent);
    }
  }
  return found;
}
