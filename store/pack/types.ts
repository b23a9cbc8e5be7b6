/**
 * What the pack library works on. It knows the pack format (gitformat-pack) and nothing of what is packed: an entry has
 * one of four types and a content, an id is 20 bytes that the caller's `identify` gives.
 */

/** The four types that an undeltified entry can have, by the format's names for them. */
export type PackKind = "commit" | "tree" | "blob" | "tag";

export interface PackObject {
  readonly kind: PackKind;
  readonly content: Uint8Array;
}

/** The 20 bytes that name an object. */
export type Identify = (kind: PackKind, content: Uint8Array) => Uint8Array;

/**
 * An entry as a pack holds it, deflated: with a header before it, it can go into another pack as it is. `size` is that
 * of the inflated data: the object's content, or the delta against `base`. `Id` is the caller's type for 40 digits.
 */
export type PackedEntry<Id extends string = string> =
  | { readonly kind: PackKind; readonly size: number; readonly deflated: Uint8Array }
  | { readonly kind: "delta"; readonly base: Id; readonly size: number; readonly deflated: Uint8Array };

/** Bounds on what a pack from outside may ask of us. All are counts or bytes. */
export interface PackLimits {
  readonly packBytes: number;
  readonly objectBytes: number;
  readonly objects: number;
  readonly deltaDepth: number;
  /** Total bytes that delta resolution may produce: the brake on delta bombs. */
  readonly deltaWork: number;
}

/**
 * Called often by what goes on for long without waiting for anything: lets others run where it is time for that, and
 * costs next to nothing where it is not.
 */
export type Pause = () => Promise<void>;

/** A running SHA-1, for the checksums of files. Handed in, so that what uses it loads where there is no `node:crypto`. */
export interface Sha1 {
  update(bytes: Uint8Array): void;
  /** The 20 bytes; the state may not be used afterwards. */
  digest(): Uint8Array;
}

export type NewSha1 = () => Sha1;
