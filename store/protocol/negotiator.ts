/**
 * Which commits to offer as haves, and how many at a time: the behaviour of git's default negotiator and of its
 * windows. Consecutive: from the tips downwards by date, never below what is known to be common.
 */
import { type CommitGraph, type CommitNode, DateQueue } from "./commit_graph.ts";
import type { Oid } from "../types.ts";

/** The first window of haves. */
export const FIRST_WINDOW = 16;
/** After so many haves without one that the other side has, and at least one that it has, git stops offering. */
export const MAX_IN_VAIN = 256;

/**
 * How many haves (in all for a standing conversation; in the next request for a stateless one) after `count`.
 * Stateless requests repeat themselves, so windows grow by doubling; a standing conversation must not fill the
 * pipe in both directions at once, so there they soon grow by a fixed step.
 */
export function nextWindow(count: number, stateless: boolean): number {
  if (stateless) return count < 16384 ? count * 2 : Math.floor((count * 11) / 10);
  return count < 32 ? count * 2 : count + 32;
}

export class Negotiator {
  readonly #graph: CommitGraph;
  readonly #queue = new DateQueue();
  readonly #state = new Map<Oid, NodeState>();
  #notCommon = 0;

  constructor(graph: CommitGraph) {
    this.#graph = graph;
  }

  /** A commit that both sides have (a ref of theirs that we have too). To be told before the tips. */
  async knownCommon(oid: Oid): Promise<void> {
    if (this.#of(oid).flags & SEEN) return;
    await this.#push(oid, COMMON_REF | SEEN);
    await this.#markCommon(oid, true, false);
  }

  /** A tip of ours: it and its ancestors may be offered. What is no commit is passed over. */
  async addTip(oid: Oid): Promise<void> {
    await this.#push(oid, SEEN);
  }

  /** The next commit to offer; `undefined` when there is nothing more worth offering. */
  async next(): Promise<Oid | undefined> {
    while (this.#notCommon > 0) {
      const node = this.#queue.pop();
      if (node === undefined) return undefined;
      const state = this.#of(node.oid);
      state.flags |= POPPED;
      if ((state.flags & COMMON) === 0) this.#notCommon--;
      // A common commit is not offered; below a common ref everything is common, so nothing there is either.
      const mark = state.flags & (COMMON | COMMON_REF) ? COMMON | SEEN : SEEN;
      const offer = (state.flags & COMMON) === 0;
      for (const parent of node.parents) {
        if ((this.#of(parent).flags & SEEN) === 0) await this.#push(parent, mark);
        if (mark & COMMON) await this.#markCommon(parent, true, true);
      }
      if (offer) return node.oid;
    }
    return undefined;
  }

  /** The other side has this commit. Says whether that was known already. */
  async acknowledge(oid: Oid): Promise<boolean> {
    const known = (this.#of(oid).flags & COMMON) !== 0;
    await this.#markCommon(oid, false, false);
    return known;
  }

  async #push(oid: Oid, mark: number): Promise<void> {
    const state = this.#of(oid);
    if ((state.flags & mark) === mark) return;
    state.flags |= mark;
    const node = await this.#load(oid, state);
    if (node === undefined) return;
    this.#queue.push(node);
    if ((state.flags & COMMON) === 0) this.#notCommon++;
  }

  /** Marks a commit (or only its ancestors) as common; goes down as far as commits were seen already. */
  async #markCommon(start: Oid, ancestorsOnly: boolean, mayLoad: boolean): Promise<void> {
    const stack: { readonly oid: Oid; readonly ancestorsOnly: boolean }[] = [{ oid: start, ancestorsOnly }];
    for (let item = stack.pop(); item !== undefined; item = stack.pop()) {
      const state = this.#of(item.oid);
      if (state.flags & COMMON) continue;
      const seen = (state.flags & SEEN) !== 0;
      if (!item.ancestorsOnly) state.flags |= COMMON;
      if (!seen) {
        await this.#push(item.oid, SEEN);
        continue;
      }
      if (!item.ancestorsOnly && (state.flags & POPPED) === 0 && state.node !== undefined) this.#notCommon--;
      const node = state.node ?? (mayLoad ? await this.#load(item.oid, state) : undefined);
      for (const parent of node?.parents ?? []) stack.push({ oid: parent, ancestorsOnly: false });
    }
  }

  async #load(oid: Oid, state: NodeState): Promise<CommitNode | undefined> {
    state.node ??= await this.#graph.load(oid);
    return state.node;
  }

  #of(oid: Oid): NodeState {
    let state = this.#state.get(oid);
    if (state === undefined) {
      state = { flags: 0, node: undefined };
      this.#state.set(oid, state);
    }
    return state;
  }
}

interface NodeState {
  flags: number;
  node: CommitNode | undefined;
}

const COMMON = 1;
const COMMON_REF = 2;
const SEEN = 4;
const POPPED = 8;
