/** What a running server notes in its database for `status`: where it answers, where its zones come from, what ails it. */
import type { DnsCounters } from "../dns/mod.ts";
import type { Collection, RemoteStatus } from "../primary/mod.ts";
import type { PackDamage } from "../store/mod.ts";

/** Where a server answers, as its ready line says. */
export interface RunningNote {
  readonly pid: number;
  /** Milliseconds since 1970. */
  readonly since: number;
  readonly dns: readonly string[];
  readonly ssh: string;
  readonly web: string;
  /** `git://` and HTTP, where they are on. */
  readonly gitDaemon?: string | undefined;
  readonly gitHttp?: string | undefined;
}

export type SourceNote =
  | { readonly kind: "embedded" }
  | { readonly kind: "remote"; readonly upstream: string; readonly branch: string }
  | { readonly kind: "bundle"; readonly file: string };

export type RemoteNote = Pick<RemoteStatus, "commit" | "reachedAt" | "trouble">;

export interface CollectionNote {
  /** Milliseconds since 1970. */
  readonly at: number;
  /** In words. */
  readonly outcome: string;
}

/** What the DNS server had counted since its start. */
export interface CountersNote {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly pid: number;
  readonly counters: DnsCounters;
}

export interface Notes {
  readonly running: RunningNote;
  readonly source: SourceNote;
  readonly remote: RemoteNote;
  readonly damage: readonly PackDamage[];
  readonly collection: CollectionNote;
  readonly counters: CountersNote;
}

/** The drawer that holds them. */
export const NOTES = "server";

export function note<K extends keyof Notes>(drawer: Collection, key: K, value: Notes[K]): void {
  drawer.put(key, value);
}

/** What the server noted last; `undefined` where it did not. */
export function noted<K extends keyof Notes>(drawer: Pick<Collection, "get">, key: K): Notes[K] | undefined {
  // What we wrote ourselves.
  return drawer.get(key) as Notes[K] | undefined;
}
