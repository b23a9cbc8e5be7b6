/** A compiled zone, seen as records again. */
import type { Result } from "../../conduit/mod.ts";
import type { ZoneImage } from "../image/layout.ts";
import { RRTYPE } from "../rr/types.ts";
import { withSoaSerial } from "../rr/soa.ts";
import type { Name, RRset, ZoneView } from "../types.ts";
import type { ZoneError } from "./builder.ts";
import { canonicalOrder } from "./order.ts";
import { patchedZone } from "./patch.ts";
import { cellOf, entryCount, forEachCell, hasType, ownerOf, rrsetOf, rrsetsOf } from "./read.ts";

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
  const zone: Zone = {
    image,
    origin: image.origin,
    serial: image.serial,
    broken: image.broken,
    recordCount: image.recordCount,
    rrset(owner, type) {
      const cell = cellOf(image, owner);
      return cell === 0 ? undefined : rrsetOf(image, owner, cell, type);
    },
    rrsets(owner) {
      const cell = cellOf(image, owner);
      return cell === 0 ? [] : rrsetsOf(image, owner, cell);
    },
    *records() {
      for (const cell of canonicalOrder(image)) {
        if (entryCount(image, cell) > 0) yield* rrsetsOf(image, ownerOf(image, cell), cell);
      }
    },
    *owners() {
      for (const cell of ownedCells()) yield ownerOf(image, cell);
    },
    ownersOf(type) {
      return ownedCells().filter((cell) => hasType(image, cell, type)).map((cell) => ownerOf(image, cell));
    },
    patched(changes) {
      return patchedZone(zone, changes, false);
    },
    withSerial(serial) {
      const soa = zone.rrset(image.origin, RRTYPE.SOA);
      if (soa === undefined) return zone;
      const rdatas = [withSoaSerial(soa.rdatas[0], serial)];
      const rrsets = zone.rrsets(image.origin).map((rrset) =>
        rrset.type === RRTYPE.SOA ? { ...rrset, rdatas } : rrset
      );
      const next = patchedZone(zone, [{ owner: image.origin, rrsets }], true);
      // The apex fitted, and as long a record fits again; there is nothing that could be wrong with it.
      if (!next.ok) throw new Error(next.error.message);
      return next.value;
    },
  };
  return zone;

  function ownedCells(): number[] {
    const cells: number[] = [];
    forEachCell(image, (cell) => {
      if (entryCount(image, cell) > 0) cells.push(cell);
    });
    return cells;
  }
}
