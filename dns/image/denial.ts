/**
 * The chains by which a signed zone proves that something does not exist, laid out for searching: NSEC (RFC 4034 §4)
 * by canonical order of names, NSEC3 (RFC 5155) by hash. A zone with a chain is replaced as a whole, never patched.
 */
export type Denial = NsecChain | Nsec3Chain;

export interface NsecChain {
  readonly kind: "nsec";
  /** Cells that own an NSEC record, in canonical order (RFC 4034 §6.1); the apex first. */
  readonly cells: Int32Array;
  /**
   * The first eight octets of each one's sort key (labels from the origin down, see `sortKey`), as two arrays of unsigned
   * numbers, so that most of a search never touches a name.
   */
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

export interface Nsec3Chain {
  readonly kind: "nsec3";
  readonly iterations: number;
  readonly salt: Uint8Array;
  /** Hashes of the owner names, 20 octets each, ascending. */
  readonly hashes: Uint8Array;
  /**
   * The cell of each: one RRset (NSEC3), its label the base32hex of the hash, in no index, since these names do not exist
   * for any other question (RFC 5155 §7.2.8).
   */
  readonly cells: Int32Array;
}
