import type { Result } from "../conduit/mod.ts";
import type { StoreError } from "./error.ts";
import type { PackedEntry, PackLimits } from "./pack/types.ts";

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
  /** The ref that HEAD stands for, with or without a commit. */
  head(): Promise<string>;
  /** One ref, by compare-and-swap under git's own `.lock` file; durable when it returns. */
  move(move: RefMove): Promise<Result<void, RefMoveError>>;
}

/** A bare repository on disk that git itself reads. */
export interface Repository extends ObjectReader {
  readonly path: string;
  readonly refs: Refs;
  /** Writes a loose object (or finds it there, byte-compared). Durable only after `sync`. */
  write(kind: ObjectKind, content: Uint8Array): Promise<Oid>;
  /** Makes everything written so far durable (files and folders). */
  sync(): Promise<void>;
  /** A place for what arrives and is not yet trusted; objects in it are seen through its reader alone. */
  quarantine(): Promise<Quarantine>;
  /**
   * The object as a pack holds it, verified against the pack's index; `undefined` where no pack known so far has it.
   * @throws {StoreError} `corrupt`
   */
  storedEntry(oid: Oid): StoredEntry | undefined;
  close(): void;
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
  /** Moves the content into the repository, durably; afterwards the quarantine is empty. */
  migrate(): Promise<void>;
  /** Drops everything. May be called again, and after `migrate`. */
  discard(): Promise<void>;
}

export interface PackSummary {
  readonly objects: number;
  readonly bytes: number;
}
