/**
 * From the tips downwards by date, commit after commit, never below what is known to be common: the behaviour of
 * git's default (`negotiator/default.c`).
 */
import type { Oid } from "../../types.ts";
import { type CommitGraph, type CommitNode, DateQueue } from "../commit_graph.ts";
import type { Negotiator } from "./negotiator.ts";

export function consecutive(graph: CommitGraph): Negotiator {
  return new Consecutive(graph);
}

class Consecutive implements Negotiator {
  readonly #graph: CommitGraph;
  readonly #queue = new DateQueue();
  readonly #state = new Map<Oid, NodeState>();
  /** Commits in the queue that are not common. */
  #open = 0;

  constructor(graph: CommitGraph) {
    this.#graph = graph;
  }

  async knownCommon(oid: Oid): Promise<void> {
    if (this.#of(oid).flags & SEEN) return;
    await this.#push(oid, COMMON_REF | SEEN);
    await this.#markCommon(oid, { ancestorsOnly: true, load: false });
  }

  async addTip(oid: Oid): Promise<void> {
    await this.#push(oid, SEEN);
  }

  async next(): Promise<Oid | undefined> {
    while (this.#open > 0) {
      const node = this.#queue.pop();
      if (node === undefined) return undefined;
      const state = this.#of(node.oid);
      const offer = (state.flags & COMMON) === 0;
      state.flags |= POPPED;
      if (offer) this.#open--;
      // A common commit is not offered; below a common ref everything is common, so nothing there is either.
      const mark = state.flags & (COMMON | COMMON_REF) ? COMMON | SEEN : SEEN;
      for (const parent of node.parents) {
        if ((this.#of(parent).flags & SEEN) === 0) await this.#push(parent, mark);
        if (mark & COMMON) await this.#markCommon(parent, { ancestorsOnly: true, load: true });
      }
      if (offer) return node.oid;
    }
    return undefined;
  }

  async acknowledge(oid: Oid): Promise<boolean> {
    const known = (this.#of(oid).flags & COMMON) !== 0;
    await this.#markCommon(oid, { ancestorsOnly: false, load: false });
    return known;
  }

  async #push(oid: Oid, mark: number): Promise<void> {
    const state = this.#of(oid);
    if (state.flags & mark) return;
    state.flags |= mark;
    const node = await this.#load(oid, state);
    if (node === undefined) return;
    this.#queue.push(node);
    if ((state.flags & COMMON) === 0) this.#open++;
  }

  /**
   * Marks a commit, or only its ancestors, as common, as far down as commits were seen already. What was not seen is
   * put in line and goes no further, so this walks nothing that the negotiation has not walked.
   */
  async #markCommon(start: Oid, { ancestorsOnly, load }: MarkOptions): Promise<void> {
    if (this.#of(start).flags & COMMON) return;
    if (!ancestorsOnly) this.#setCommon(start);
    const stack = [start];
    for (let oid = stack.pop(); oid !== undefined; oid = stack.pop()) {
      const state = this.#of(oid);
      if ((state.flags & SEEN) === 0) {
        await this.#push(oid, SEEN);
        continue;
      }
      const node = state.node ?? (load ? await this.#load(oid, state) : undefined);
      for (const parent of node?.parents ?? []) {
        if (this.#of(parent).flags & COMMON) continue;
        this.#setCommon(parent);
        stack.push(parent);
      }
    }
  }

  #setCommon(oid: Oid): void {
    const state = this.#of(oid);
    state.flags |= COMMON;
    const inLine = (state.flags & (SEEN | POPPED)) === SEEN && state.node !== undefined;
    if (inLine) this.#open--;
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

interface MarkOptions {
  readonly ancestorsOnly: boolean;
  /** Whether commits that were seen and not read may be read for this. */
  readonly load: boolean;
}

interface NodeState {
  flags: number;
  node: CommitNode | undefined;
}

/** Both sides have it, and both know. */
const COMMON = 1;
/** Theirs by their own word; they do not know yet that it is ours too. */
const COMMON_REF = 2;
/** Was put in line. */
const SEEN = 4;
/** Has left the line. */
const POPPED = 8;
