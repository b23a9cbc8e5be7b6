/** What a negotiator is, and which there are. One conversation uses one. */
import type { Oid } from "../../types.ts";
import type { CommitGraph } from "../commit_graph.ts";
import { consecutive } from "./consecutive.ts";
import { noop } from "./noop.ts";
import { skipping } from "./skipping.ts";

/** Which commits to offer as haves, and in which order. Asked in this order: common ones, tips, then the rest by turns. */
export interface Negotiator {
  /** A commit that both sides have (a ref of theirs that we have too); theirs to hear of all the same. */
  knownCommon(oid: Oid): Promise<void>;
  /** A tip of ours: it and its ancestors may be offered. What is no commit is passed over. */
  addTip(oid: Oid): Promise<void>;
  /** The next commit to offer; `undefined` when there is nothing more worth offering. */
  next(): Promise<Oid | undefined>;
  /** The other side has this commit, which was offered. Says whether that was known already. */
  acknowledge(oid: Oid): Promise<boolean>;
}

/**
 * As git's `fetch.negotiationAlgorithm`: `consecutive` offers commit after commit, so the pack is the smallest;
 * `skipping` leaves growing gaps, so long histories of one's own take few rounds and the pack may be larger by a gap;
 * `noop` offers nothing, so everything comes.
 */
export type NegotiatorName = "consecutive" | "skipping" | "noop";

export function createNegotiator(name: NegotiatorName, graph: CommitGraph): Negotiator {
  switch (name) {
    case "consecutive":
      return consecutive(graph);
    case "skipping":
      return skipping(graph);
    case "noop":
      return noop();
  }
}
