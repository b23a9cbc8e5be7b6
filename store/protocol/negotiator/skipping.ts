/**
 * From the tips downwards by date with gaps that grow by half, so that a long history of one's own costs few haves: the
 * behaviour of git's `negotiator/skipping.c`. A commit without parents ends a line of history and is always offered.
 */
import type { Oid } from "../../types.ts";
import { type CommitGraph, type CommitNode, DateQueue } from "../commit_graph.ts";
import type { Negotiator } from "./negotiator.ts";

export function skipping(graph: CommitGraph): Negotiator {
  return new Skipping(graph);
}

class Skipping implements Negotiator {
  readonly #graph: CommitGraph;
  readonly #queue = new DateQueue();
  readonly #entries = new Map<Oid, Entry>();
  /** Commits in the queue that are not common. */
  #open = 0;

  constructor(graph: CommitGraph) {
    this.#graph = graph;
  }

  async knownCommon(oid: Oid): Promise<void> {
    if (this.#entries.has(oid)) return;
    const entry = await this.#push(oid);
    if (entry !== undefined) entry.advertised = true;
  }

  async addTip(oid: Oid): Promise<void> {
    if (!this.#entries.has(oid)) await this.#push(oid);
  }

  async next(): Promise<Oid | undefined> {
    while (this.#open > 0) {
      const node = this.#queue.pop();
      const entry = node && this.#entries.get(node.oid);
      if (node === undefined || entry === undefined) return undefined;
      entry.popped = true;
      if (!entry.common) this.#open--;
      // What they named themselves is worth a have in any gap: it may be all that there is in common, and git, which
      // passes over it, then fetches everything again.
      let offer = !entry.common && (entry.gap === 0 || entry.advertised);
      let goesOn = false;
      for (const parent of node.parents) if (await this.#pushParent(entry, parent)) goesOn = true;
      // The end of a line: no parents, or all of them have left the queue before their child (clocks that disagree).
      if (!entry.common && !goesOn) offer = true;
      if (offer) return node.oid;
    }
    return undefined;
  }

  acknowledge(oid: Oid): Promise<boolean> {
    const entry = this.#entries.get(oid);
    const known = entry?.common ?? false;
    if (entry !== undefined) this.#markCommon(entry);
    return Promise.resolve(known);
  }

  async #push(oid: Oid): Promise<Entry | undefined> {
    const node = await this.#graph.load(oid);
    if (node === undefined) return undefined;
    const entry: Entry = { node, common: false, advertised: false, popped: false, lastGap: 0, gap: 0 };
    this.#entries.set(oid, entry);
    this.#queue.push(node);
    this.#open++;
    return entry;
  }

  /** Puts a parent in line with what its child leaves of the gap. Whether the line of history goes on there. */
  async #pushParent(child: Entry, oid: Oid): Promise<boolean> {
    const parent = this.#entries.get(oid) ?? await this.#push(oid);
    if (parent === undefined || parent.popped) return false;
    if (child.common || child.advertised) {
      this.#markCommon(parent);
      return true;
    }
    const lastGap = child.gap > 0 ? child.lastGap : Math.floor((child.lastGap * 3) / 2) + 1;
    if (parent.lastGap < lastGap) {
      parent.lastGap = lastGap;
      parent.gap = child.gap > 0 ? child.gap - 1 : lastGap;
    }
    return true;
  }

  /** A commit that was seen, and those of its ancestors that were. */
  #markCommon(start: Entry): void {
    if (start.common) return;
    start.common = true;
    const stack = [start];
    for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
      if (!entry.popped) this.#open--;
      for (const oid of entry.node.parents) {
        const parent = this.#entries.get(oid);
        if (parent === undefined || parent.common) continue;
        parent.common = true;
        stack.push(parent);
      }
    }
  }
}

/** A commit that was put in line. */
interface Entry {
  readonly node: CommitNode;
  /** Both sides have it, and both know. */
  common: boolean;
  /** Theirs by their own word; it is offered all the same, its ancestors are not. */
  advertised: boolean;
  /** Has left the line. */
  popped: boolean;
  /** Commits to pass over before the next offer, and how many that were when the gap began. */
  gap: number;
  lastGap: number;
}
