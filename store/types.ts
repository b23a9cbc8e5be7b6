import type { Result } from "../conduit/mod.ts";
import type { StoreError } from "./error.ts";
import type { PackReader } from "./pack/read_pack.ts";
import type { PackedEntry, PackLimits, Pause } from "./pack/types.ts";

export { StoreError } from "./error.ts";
export type { StoreErrorCode } from "./error.ts";
export type { PackLimits, Pause } from "./pack/types.ts";

declare const oidBrand: unique symbol;

/** An object id: 40 lower-case hexadecimal digits (SHA-1). */
export type Oid = string & { readonly [oidBrand]: true };

export type ObjectKind = "commit" | "tree" | "blob" | "tag";

/** An object without its `kind size\0` header. */
export interface GitObject {
  readonly kind: ObjectKind;
  readonly content: Uint8Array;
}

/** Anything that objects can be read from: a repository, a quarantine above one, a pack. */
export interface ObjectReader {
  /** The object, or `undefined` where it is not there. @throws {StoreError} `corrupt` when it is there and damaged */
  read(oid: Oid): Promise<GitObject | undefined>;
  has(oid: Oid): Promise<boolean>;
}

/** An object as a pack holds it, deflated. */
export type StoredEntry = PackedEntry<Oid>;

/** A ref to move from one object to another; `undefined` stands for "not there". Compare-and-swap: `old` must hold. */
export interface RefMove {
  readonly name: string;
  readonly old: Oid | undefined;
  readonly new: Oid | undefined;
}

export type RefMoveError = {
  readonly code: "stale" | "bad-name" | "locked" | "missing-object" | "conflict";
  readonly name: string;
  /** What the ref really holds, with `stale`. */
  readonly actual?: Oid | undefined;
  readonly message: string;
};

/** The refs of a repository, in git's files format (loose and packed-refs read; loose written, fsynced). */
export interface Refs {
  get(name: string): Promise<Oid | undefined>;
  /** All refs below a prefix (default `refs/`), sorted by name. */
  list(prefix?: string): Promise<Map<string, Oid>>;
  /** The ref that HEAD stands for, with or without a commit; `undefined` where it is detached: it names a commit itself. */
  head(): Promise<string | undefined>;
  /** One ref, by compare-and-swap under git's own `.lock` file; durable when it returns. */
  move(move: RefMove): Promise<Result<void, RefMoveError>>;
}

/** The commits whose parents were left out when they were fetched (git's `shallow` file). Without them a history ends. */
export interface ShallowCommits {
  list(): Promise<ReadonlySet<Oid>>;
  /**
   * Adds marks and takes marks away, at once and durably. @throws {StoreError} `io` where another writer holds the file,
   * `corrupt` where it is damaged
   */
  update(change: { readonly add?: Iterable<Oid>; readonly remove?: Iterable<Oid> }): Promise<void>;
}

/** A pack, by its name without an ending, that is broken. What is whole in it is still read. */
export interface PackDamage {
  readonly pack: string;
  readonly reason: string;
}

/** A bare repository on disk that git itself reads. */
export interface Repository extends ObjectReader {
  readonly path: string;
  readonly refs: Refs;
  readonly shallow: ShallowCommits;
  /** Writes a loose object (or finds it there, byte-compared). Durable only after `sync`. */
  write(kind: ObjectKind, content: Uint8Array): Promise<Oid>;
  /** Makes everything written so far durable (files and folders). */
  sync(): Promise<void>;
  /**
   * A place for what arrives and is not yet trusted; objects in it are seen through its reader alone. What it brings takes
   * the place of an object that is there and damaged.
   */
  quarantine(): Promise<Quarantine>;
  /**
   * The object as a pack holds it, verified against the pack's index; `undefined` where no pack known so far has it.
   * @throws {StoreError} `corrupt`
   */
  storedEntry(oid: Oid): StoredEntry | undefined;
  /**
   * Readers of the packs known in which nothing was found wrong, for what copies many entries. A pack that a collection
   * replaces stays readable until the next one.
   */
  packReaders?(): readonly PackReader<Oid>[];
  /** The file of reachability bitmaps beside one of these packs (gitformat-bitmap), as a collection or git left it. */
  bitmapFile?(pack: PackReader<Oid>): Uint8Array | undefined;
  /** The packs found broken so far. */
  damage(): readonly PackDamage[];
  /**
   * Moves loose objects and small packs into one pack and drops what nothing needs any more, while others read and write.
   * @throws {StoreError} `io`; `corrupt` where the pack that was made is not what it should be: then nothing was removed
   */
  collect(options: CollectOptions): Promise<CollectionReport>;
  /** Whether a collection would pay: a look at two folders, nothing more. */
  collectionDue(thresholds?: CollectionThresholds): Promise<boolean>;
  close(): void;
}

export interface CollectOptions {
  /**
   * How long an object that nothing refers to stays, in milliseconds since it was written or last found by a writer.
   * What is being written at the moment has only this for protection: an hour at the least, outside tests.
   */
  readonly graceMs: number;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** More objects to keep with all they refer to: those that unfinished transactions name. Asked again before a removal. */
  readonly keep?: () => Iterable<Oid> | Promise<Iterable<Oid>>;
  /**
   * Everything into one pack with reachability bitmaps beside it, however large the packs are; or only when more than a
   * fifth of all is in no pack that has them. Bitmaps are for whole histories: a shallow repository gets none.
   */
  readonly full?: boolean | "when due";
  readonly pause?: Pause;
  /** Ends the collection at the next step, with nothing lost. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CollectionProgress) => void;
}

export interface CollectionProgress {
  readonly stage: "marking" | "packing" | "removing";
  /** Objects or files so far. */
  readonly done: number;
}

export interface CollectionReport {
  /** Objects in the pack that was made; 0 where none was. */
  readonly packed: number;
  /** Unreachable objects that are gone. */
  readonly dropped: number;
  /** Packs that are gone, their objects being in the new one. */
  readonly removedPacks: number;
  /** Loose files that are gone. */
  readonly removedLoose: number;
  /** Damaged packs that were put aside, nothing being in them alone. */
  readonly putAside: readonly string[];
  /** Objects that something needs and that cannot be read, at most 100. While there are any, nothing is dropped. */
  readonly unreadable: readonly Oid[];
  /** The collection was told to end before its work was done. */
  readonly aborted: boolean;
}

/** From how many on a collection pays; the first two are git's `gc.auto` and `gc.autoPackLimit`. */
export interface CollectionThresholds {
  readonly looseObjects?: number;
  readonly packs?: number;
  /** Objects in packs without reachability bitmaps, where they are more than a fifth of those packed. */
  readonly unmappedObjects?: number;
}

/** Objects that arrived and were not yet admitted (git: `tmp_objdir`). Reads fall through to the repository. */
export interface Quarantine extends ObjectReader {
  /** Takes a pack from the wire, completes it if thin, checks every object, writes pack and index. */
  receivePack(
    chunks: AsyncIterable<Uint8Array>,
    limits: PackLimits,
  ): Promise<Result<PackSummary, StoreError>>;
  /** The ids of what arrived. */
  oids(): Iterable<Oid>;
  /** The kind of an object that arrived, as it was found when it was taken in; `undefined` for any other. */
  kindOf(oid: Oid): ObjectKind | undefined;
  /** The same for an id's 20 bytes, which stand at `at`: of a million links few are worth a string. */
  kindAt(bytes: Uint8Array, at: number): ObjectKind | undefined;
  /** The objects of the repository that deltas of what arrived are built on. */
  bases(): Iterable<Oid>;
  /** Moves the content into the repository, durably; afterwards the quarantine is empty. */
  migrate(): Promise<void>;
  /** Drops everything. May be called again, and after `migrate`. */
  discard(): Promise<void>;
}

export interface PackSummary {
  readonly objects: number;
  readonly bytes: number;
}
