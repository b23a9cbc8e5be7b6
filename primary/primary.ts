import type { Seeded } from "./seed_repository.ts";
import type { Result } from "../conduit/mod.ts";
import type {
  Fault,
  Name,
  OwnerChange,
  Prerequisite,
  TsigKey,
  UpdateOperation,
  Zone,
  ZoneView,
} from "../dns/mod.ts";
import type { Oid, Person, PushProposal, PushReply, Repository } from "../store/mod.ts";
import type { Deepen, ZoneHistory } from "./history/zone_history.ts";
import type { HeldBack } from "./layers/merge.ts";
import type { Signing } from "./signing/signing.ts";
import type { JournalDelta, State } from "./state/state.ts";
import type { CommitStep } from "./transaction/commit.ts";

/** The heart: zones from git, records from programs, one transaction for every change. */
export interface Primary {
  /** Every zone, by name, with what it is served from. */
  zones(): ZoneStatus[];
  /** What is served in a zone; `undefined` for one that is not served or was never good. */
  view(zone: Name): ZoneView | undefined;
  /** The apex of the zone that a name belongs to, among those served. */
  zoneOf(name: Name): Name | undefined;
  /** TSIG keys of the `_keys` files on `main`. */
  keys(): readonly TsigKey[];
  /** The exact differences from a serial to the one served, oldest first; `undefined` where they are not known. */
  journal(zone: Name, fromSerial: number): JournalDelta[] | undefined;
  /**
   * What a zone was under an earlier serial: from the journal, or else from the history of its file in git; `undefined`
   * where neither knows it for certain.
   *
   * @param deepen asked where that history was cut when it was fetched; without it, it ends there
   */
  historyOf(zone: Name, serial: number, deepen?: Deepen): Promise<ZoneHistory | undefined>;

  /** Judges a push and makes it happen, or says every fault and changes nothing. Never throws. */
  admitPush(proposal: PushProposal, pusher: string): Promise<PushReply>;
  /** A dynamic update (RFC 2136) whose signature was verified. Never throws. */
  update(request: UpdateRequest): Promise<UpdateOutcome>;
  /**
   * Changes records of the machine layer on the server's own behalf: challenges, chains, states. The operations see
   * and touch that layer alone.
   */
  change(
    operations: readonly UpdateOperation[],
    by: { readonly author: string; readonly message: string },
  ): Promise<Result<Changed, ChangeError>>;
  /**
   * Serves another commit as `main`, zone by zone: a faulty zone stays at its last good state, the others advance. Its
   * objects are in the repository.
   *
   * @param options.track a ref that is moved to the commit too, in the same transaction
   */
  adopt(commit: Oid, options?: { readonly track?: string }): Promise<Result<Adopted, ChangeError>>;

  /** Called after each change of what is served, in the order of the changes. Gives what ends it. */
  subscribe(listener: (changes: readonly ServedChange[]) => void): () => void;
  /** Waits for the change under way and refuses all later ones. */
  close(): Promise<void>;
}

export interface ZoneStatus {
  readonly name: Name;
  /** 0 for a broken zone. */
  readonly serial: number;
  readonly file: string;
  /** The commits served: the zone's own last good one on `main` where it is held there. */
  readonly main: Oid | undefined;
  readonly machine: Oid | undefined;
  /** `held`: what is on `main` is faulty, the last good state is served. `broken`: there is none; SERVFAIL. */
  readonly state: "good" | "held" | "broken";
  readonly faults: readonly Fault[];
  /** Records of branch `machine` that may not be served beside people's. */
  readonly heldBack: readonly HeldBack[];
  readonly preSigned: boolean;
}

export interface UpdateRequest {
  /** The name of the zone section: at, above or below an apex. */
  readonly zone: Name;
  readonly prerequisites: readonly Prerequisite[];
  readonly operations: readonly UpdateOperation[];
  /** The key that signed the request; `undefined` for an unsigned one, which is refused. */
  readonly key: Name | undefined;
}

/** The response code, and why, as an extended error (RFC 8914) for those who ask with OPT. */
export interface UpdateOutcome {
  readonly rcode: number;
  readonly ede?: { readonly code: number; readonly text: string };
}

/** The certificate policy's say on an update: what to do instead, or a refusal. */
export type Judge = (
  operations: readonly UpdateOperation[],
  key: Name,
  view: ZoneView,
) => Judgement | Promise<Judgement>;

export type Judgement =
  | { readonly ok: true; readonly operations: readonly UpdateOperation[] }
  | { readonly ok: false; readonly rcode: number; readonly reason: string };

export interface Changed {
  /** The commit of branch `machine` that holds the change; the one before where nothing changed. */
  readonly machine: Oid | undefined;
  /** The serials that rose. */
  readonly serials: ReadonlyMap<Name, number>;
}

export interface Adopted {
  readonly faults: readonly Fault[];
  readonly serials: ReadonlyMap<Name, number>;
}

export interface ChangeError {
  /**
   * `refused`: it may not be; `not-served`: a name lies in no served zone; `stale`: a ref was moved by another hand;
   * `failed`: disk, database or repository failed, and the log says how; `closed`.
   */
  readonly code: "refused" | "not-served" | "servfail" | "stale" | "failed" | "closed";
  readonly message: string;
}

/** What one change did to one zone that is served. */
export interface ServedChange {
  readonly zone: Name;
  /** `undefined` when the zone is served no more; 0 for a broken one. */
  readonly serial: number | undefined;
  readonly previousSerial: number | undefined;
  /** Owner by owner, what was served and is; of a zone that was not served before, all of it. */
  readonly owners: Iterable<OwnerChange>;
}

/** A zone for the image: compiled, the placeholder of a broken one, or `undefined` to take it out. */
export interface PublishedZone {
  readonly origin: Name;
  readonly zone: Zone | undefined;
}

/** Where changes of `main` come from. */
export type PrimaryMode =
  | { readonly kind: "embedded" }
  /** The upstream, as it is named to whoever pushes here. */
  | { readonly kind: "remote"; readonly upstream: string }
  | { readonly kind: "read-only"; readonly reason: string };

export interface Log {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export interface PrimaryOptions {
  readonly repository: Repository;
  readonly state: State;
  /** Makes zones part of what is answered from, at once and all together. Called after the commit point. */
  readonly publish: (zones: readonly PublishedZone[]) => void;
  readonly judge: Judge;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  readonly log: Log;
  readonly mode: PrimaryMode;
  /** Who commits on branch `machine`. */
  readonly committer?: Pick<Person, "name" | "email">;
  /** Without it the server's commits are not signed, and nobody else's need be. */
  readonly signing?: Signing | undefined;
  /** For tests: throws to stand for the death of the process at a step. */
  readonly crashPoint?: (step: CommitStep) => void;
  /** Hands over, once, what a first start made of the folder: its zones are not read again. */
  readonly seeded?: (() => Pick<Seeded, "commit" | "plan"> | undefined) | undefined;
}
