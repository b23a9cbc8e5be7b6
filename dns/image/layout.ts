/**
 * The compiled form of a zone: flat typed arrays, in shared memory, so that all workers read one copy and no record is
 * an object. It holds no pointer from a record to another name: what a name in rdata leads to is looked up when asked,
 * so a change to one name touches that name alone.
 *
 * Hot path: `findNode` and the field offsets are what the answer algorithm lives on
 * (`tests/bench/answers_bench.ts`).
 */
import type { Name } from "../types.ts";
import { type NameScan, spread } from "./scan.ts";

/** A zone's image. Structured-cloneable; the big arrays lie in SharedArrayBuffers and are never written after. */
export interface ZoneImage {
  /** Different for each image made in this process. */
  readonly id: number;
  readonly origin: Name;
  /** The origin in lower-case wire form. */
  readonly originWire: Uint8Array;
  readonly originLabels: number;
  /** What all hashes of this process start with, so that nobody outside can prepare collisions. */
  readonly seed: number;
  /** A zone that was never good: it is ours, and there is nothing to answer but SERVFAIL. */
  readonly broken: boolean;
  /** Owner names in lower-case wire form. */
  readonly names: Uint8Array;
  /** Nodes, `NODE.size` numbers each; a parent always before its children; node 0 is the apex. */
  readonly nodes: Int32Array;
  /** Open-addressing index on the name: node + 1, 0 for free. A power of two long. */
  readonly slots: Int32Array;
  /** RRsets, `RRSET.size` numbers each; those of a node stand together, by type. */
  readonly rrsets: Int32Array;
  /**
   * Records ready to be copied into a message: owner (a pointer to the question), type, class, TTL, RDLENGTH, rdata.
   * In NS, CNAME, PTR and MX rdata a name below the origin ends in `PLACEHOLDER` where the origin belongs.
   */
  readonly records: Uint8Array;
  readonly recordCount: number;
  /** The SOA record, apart from the others so that a new serial copies nothing else; names uncompressed. */
  readonly soa: Uint8Array;
  /** The same with compressed names and the TTL for negative answers (RFC 2308 §3). */
  readonly negativeSoa: Uint8Array;
  /** Where the two placeholders of the compressed SOA stand; 0 for none. */
  readonly soaPointers: readonly [number, number];
}

/** As much of an image as a search for a name needs. */
export type Searchable = Pick<ZoneImage, "names" | "nodes" | "slots">;

/** Numbers of a node. */
export const NODE = {
  /** Offset of the owner name in `names`. */
  name: 0,
  /** Octets of the owner name. */
  length: 1,
  hash: 2,
  /** First RRset and how many. */
  firstRRset: 3,
  rrsetCount: 4,
  flags: 5,
  /**
   * The node nearest the apex that takes this one out of the zone's authority or redirects it: a delegation at or above
   * it, or a DNAME above it; -1 for none.
   */
  cover: 6,
  /** The child `*`, -1 for none. */
  wildcard: 7,
  parent: 8,
  size: 9,
} as const;

export const FLAG = {
  /** NS here, not at the apex. */
  cut: 1,
  dname: 2,
  cname: 4,
} as const;

/** Numbers of an RRset. */
export const RRSET = { type: 0, ttl: 1, offset: 2, octets: 3, count: 4, size: 5 } as const;

/** Octets of a record before its rdata. */
export const RECORD_HEAD = 12;

/** Two octets where a pointer to the origin goes. A name in full ends in 0, so the last octet tells them apart. */
export const PLACEHOLDER = 0xff;

/** The node of the suffix of `scan` that starts with `label`; -1 when there is none. */
export function findNode(zone: Searchable, scan: NameScan, label: number): number {
  const { slots, nodes, names } = zone;
  const { lower } = scan;
  const hash = scan.hashes[label];
  const start = scan.starts[label];
  const length = scan.length - start;
  const mask = slots.length - 1;
  for (let slot = spread(hash) & mask;; slot = slot + 1 & mask) {
    const node = slots[slot] - 1;
    if (node < 0) return -1;
    const at = node * NODE.size;
    if (nodes[at + NODE.hash] !== hash || nodes[at + NODE.length] !== length) continue;
    const name = nodes[at + NODE.name];
    let i = 0;
    while (i < length && names[name + i] === lower[start + i]) i++;
    if (i === length) return node;
  }
}

/** The RRset of that type at a node; -1 when there is none. */
export function findRRset(zone: ZoneImage, node: number, type: number): number {
  const first = zone.nodes[node * NODE.size + NODE.firstRRset];
  const end = first + zone.nodes[node * NODE.size + NODE.rrsetCount];
  for (let rrset = first; rrset < end; rrset++) {
    if (zone.rrsets[rrset * RRSET.size + RRSET.type] === type) return rrset;
  }
  return -1;
}
