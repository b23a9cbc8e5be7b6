/** A compiled zone, seen as records again. */
import {
  findNode,
  findRRset,
  NODE,
  PLACEHOLDER,
  RECORD_HEAD,
  RRSET,
  type ZoneImage,
} from "../image/layout.ts";
import { createNameScan, scanName } from "../image/scan.ts";
import { nameFromWire, writeName } from "../name.ts";
import { soaSerial, withSoaSerial } from "../rr/soa.ts";
import { RRTYPE } from "../rr/types.ts";
import type { Result } from "../../conduit/mod.ts";
import type { Name, ResourceRecord, RRset, ZoneView } from "../types.ts";
import { compileZone, type ZoneError } from "./builder.ts";
import { nextImageId } from "./memory.ts";
import { canonicalOrder } from "./order.ts";
import { soaForms } from "./soa.ts";

/** A zone as it is served. It never changes; a change makes another. */
export interface Zone extends ZoneView {
  /** What the answer algorithm reads. */
  readonly image: ZoneImage;
  /** The SOA's serial; 0 for a broken zone. */
  readonly serial: number;
  /** True for the placeholder of a zone that was never good. */
  readonly broken: boolean;
  /** How many records there are, the SOA included. */
  readonly recordCount: number;
  /** Every RRset in canonical order (RFC 4034 §6.1), at one name by type. */
  records(): Iterable<RRset>;
  /** The same zone with another serial; the record data is shared, so the cost is that of the SOA alone. */
  withSerial(serial: number): Zone;
  /** Names that own RRsets, each once, in no particular order. */
  owners(): Iterable<Name>;
  /** Owners of an RRset of that type. A walk over the zone. */
  ownersOf(type: number): Name[];
  /**
   * Another version, in which each of these owners has these RRsets and no others; the rest is shared, and the cost is
   * that of the change. This version stays as it is.
   */
  patched(changes: Iterable<OwnerRRsets>): Result<Zone, ZoneError>;
}

/** All RRsets that an owner is to have; none takes it out. */
export interface OwnerRRsets {
  readonly owner: Name;
  readonly rrsets: readonly RRset[];
}

/** The zone that an image was compiled from. */
export function openZone(image: ZoneImage): Zone {
  const scan = createNameScan();
  const wire = new Uint8Array(256);
  const soaRdata = image.soa.subarray(RECORD_HEAD);
  return {
    image,
    origin: image.origin,
    serial: image.broken ? 0 : soaSerial(soaRdata),
    broken: image.broken,
    recordCount: image.recordCount,
    rrset(owner, type) {
      const node = nodeOf(owner);
      const rrset = node < 0 ? -1 : findRRset(image, node, type);
      return rrset < 0 ? undefined : openRRset(image, owner, rrset);
    },
    rrsets(owner) {
      const node = nodeOf(owner);
      return node < 0 ? [] : rrsetsOf(image, owner, node);
    },
    *records() {
      for (const node of canonicalOrder(image)) yield* rrsetsOf(image, ownerOf(image, node), node);
    },
    *owners() {
      for (const node of canonicalOrder(image)) {
        if (image.nodes[node * NODE.size + NODE.rrsetCount] > 0) yield ownerOf(image, node);
      }
    },
    ownersOf(type) {
      return [...this.owners()].filter((owner) => this.rrset(owner, type) !== undefined);
    },
    patched(changes) {
      const changed = new Map([...changes].map(({ owner, rrsets }) => [owner, rrsets]));
      const records: ResourceRecord[] = [];
      const take = (rrset: RRset) => {
        for (const rdata of rrset.rdatas) {
          records.push({ owner: rrset.owner, type: rrset.type, class: 1, ttl: rrset.ttl, rdata });
        }
      };
      for (const rrset of this.records()) if (!changed.has(rrset.owner)) take(rrset);
      for (const rrsets of changed.values()) rrsets.forEach(take);
      return compileZone(image.origin, records);
    },
    withSerial(serial) {
      const soa = new Uint8Array(image.soa);
      soa.set(withSoaSerial(soaRdata, serial), RECORD_HEAD);
      return openZone({ ...image, id: nextImageId(), ...soaForms(soa, image.originWire) });
    },
  };

  function nodeOf(owner: Name): number {
    scanName(scan, wire, 0, writeName(owner, wire, 0), image.seed);
    return findNode(image, scan, 0);
  }
}

/** The owner name of a node. */
export function ownerOf(image: ZoneImage, node: number): Name {
  return nameFromWire(image.names, image.nodes[node * NODE.size + NODE.name])?.name ?? image.origin;
}

/** All RRsets of a node as values. */
export function rrsetsOf(image: ZoneImage, owner: Name, node: number): RRset[] {
  const first = image.nodes[node * NODE.size + NODE.firstRRset];
  const count = image.nodes[node * NODE.size + NODE.rrsetCount];
  const rrsets: RRset[] = [];
  for (let i = 0; i < count; i++) rrsets.push(openRRset(image, owner, first + i));
  return rrsets;
}

/** An RRset of the image as a value, names in rdata whole again. */
export function openRRset(image: ZoneImage, owner: Name, rrset: number): RRset {
  const row = rrset * RRSET.size;
  const type = image.rrsets[row + RRSET.type];
  const ttl = image.rrsets[row + RRSET.ttl];
  if (type === RRTYPE.SOA) return { owner, type, ttl, rdatas: [image.soa.slice(RECORD_HEAD)] };
  const rdatas: Uint8Array[] = [];
  const end = image.rrsets[row + RRSET.offset] + image.rrsets[row + RRSET.octets];
  for (let at = image.rrsets[row + RRSET.offset]; at < end;) {
    const length = image.records[at + 10] << 8 | image.records[at + 11];
    const rdata = new Uint8Array(length);
    for (let i = 0; i < length; i++) rdata[i] = image.records[at + RECORD_HEAD + i];
    rdatas.push(hasPlaceholder(type, rdata) ? expanded(rdata, image.originWire) : rdata);
    at += RECORD_HEAD + length;
  }
  return { owner, type, ttl, rdatas };
}

function hasPlaceholder(type: number, rdata: Uint8Array): boolean {
  const compressible = type === RRTYPE.NS || type === RRTYPE.CNAME || type === RRTYPE.PTR ||
    type === RRTYPE.MX;
  return compressible && rdata[rdata.length - 1] === PLACEHOLDER;
}

function expanded(rdata: Uint8Array, originWire: Uint8Array): Uint8Array {
  const whole = new Uint8Array(rdata.length - 2 + originWire.length);
  whole.set(rdata.subarray(0, -2));
  whole.set(originWire, rdata.length - 2);
  return whole;
}
