/** What the provisioner remembers of one host between any two steps: plain JSON, kept in the ledger. */
import type { Name } from "../../dns/mod.ts";
import type { Order } from "../authority/authority.ts";

export interface Job {
  readonly owner: Name;
  /** What the running order is for, or the last one was; base64 of the DER. */
  readonly request: string | undefined;
  readonly names: readonly string[];
  readonly phase: Phase;
  /** The phase's work is not to be tried before. Milliseconds since 1970. */
  readonly notBefore: number;
  /** One entry a set of names, so that no change of the zone resets it. */
  readonly history: readonly History[];
  /** The last refusal, in one line. */
  readonly reason: string | undefined;
}

/** The phases in order; the tokens of an order stand in DNS from `presenting` to `cleaning`. */
export type Phase =
  | { readonly at: "idle" }
  | { readonly at: "ordering" }
  | { readonly at: "authorizing"; readonly order: Order }
  | {
    readonly at: "presenting" | "propagating" | "beginning";
    readonly order: Order;
    readonly tokens: Tokens;
  }
  | {
    readonly at: "polling";
    readonly order: Order;
    readonly tokens: Tokens;
    readonly attempt: number;
    readonly since: number;
  }
  | { readonly at: "finalizing" | "downloading"; readonly order: Order; readonly tokens: Tokens }
  /** The chain in base64, leaf first. */
  | { readonly at: "publishing"; readonly chain: readonly string[]; readonly tokens: Tokens }
  | { readonly at: "cleaning"; readonly tokens: Tokens; readonly refused: boolean }
  | { readonly at: "withdrawing" };

/** A TXT record that an order asks for. */
export interface Token {
  /** `_acme-challenge.DOMAIN.` */
  readonly owner: Name;
  readonly digest: string;
}

export type Tokens = readonly Token[];

export interface History {
  /** The names, sorted and joined. */
  readonly key: string;
  /** In a row. */
  readonly failures: number;
  /** No new order before. Milliseconds since 1970. */
  readonly notBefore: number;
  /** When certificates were issued, as far back as a budget looks. */
  readonly issued: readonly number[];
}

export function newJob(owner: Name): Job {
  return {
    owner,
    request: undefined,
    names: [],
    phase: { at: "idle" },
    notBefore: 0,
    history: [],
    reason: undefined,
  };
}

function historyKey(names: readonly string[]): string {
  return [...new Set(names)].sort().join(" ");
}

export function historyOf(job: Job, names: readonly string[]): History {
  const key = historyKey(names);
  return job.history.find((entry) => entry.key === key) ?? { key, failures: 0, notBefore: 0, issued: [] };
}

/** The records that this job may have in DNS. */
export function tokensOf(job: Job): Tokens {
  return "tokens" in job.phase ? job.phase.tokens : [];
}
