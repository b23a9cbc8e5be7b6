import {
  type Fault,
  type Name,
  nameFromWire,
  nameToWire,
  type Position,
  type WireSink,
} from "../../dns/mod.ts";

/**
 * A fault that is known, and whose place is not: a zone keeps no places of its records. They are looked for by reading the
 * files again, which only files with faults have to pay.
 */
export interface OpenFault {
  readonly severity: Fault["severity"];
  readonly code: string;
  /** The RRsets whose places it wants. */
  readonly wanted: readonly RRsetKey[];
  readonly close: (places: Places) => Pick<Fault, "position" | "message">;
}

export interface RRsetKey {
  readonly owner: Name;
  readonly type: number;
}

/** Where the first record of an RRset is written, and the TTL that it has there. */
export interface Place {
  readonly position: Position;
  readonly ttl: number;
}

export type Places = (owner: Name, type: number) => Place;

/** @param reread gives every record of the files to a sink, as when the zone was read; a sink that gives `false` ends it */
export function closeFaults(
  faults: readonly OpenFault[],
  reread: (sink: WireSink) => void,
  top: Position,
): Fault[] {
  if (faults.length === 0) return [];
  const places = locator(faults.flatMap(({ wanted }) => wanted));
  if (!places.isDone()) reread(places.take);
  return faults.map(({ severity, code, close }) => {
    const { position, message } = close((owner, type) =>
      places.placeOf(owner, type) ?? { position: top, ttl: 0 }
    );
    return { position, severity, code, message };
  });
}

/** Takes records and finds where RRsets are written; ends the reading with the last one wanted. */
export interface Locator {
  readonly take: WireSink;
  isDone(): boolean;
  placeOf(owner: Name, type: number): Place | undefined;
}

export function locator(wanted: readonly RRsetKey[]): Locator {
  const missing = new Map<Name, Set<number>>();
  for (const { owner, type } of wanted) {
    const types = missing.get(owner);
    if (types === undefined) missing.set(owner, new Set([type]));
    else types.add(type);
  }
  // A name as text costs more than to read its record: only those are made that may be wanted.
  const perhaps = new Uint8Array(0x1_0000);
  for (const owner of missing.keys()) perhaps[markOf(nameToWire(owner))] = 1;
  const found = new Map<string, Place>();
  let owner: Name | undefined;
  const keyOf = (owner: Name, type: number) => `${type} ${owner}`;
  return {
    take(entry) {
      const { type, ttl } = entry;
      if (!entry.ownerIsSame) {
        owner = perhaps[markOf(entry.owner)] === 0 ? undefined : nameFromWire(entry.owner, 0)?.name;
      }
      const types = owner && missing.get(owner);
      if (owner === undefined || types === undefined || !types.delete(type)) return undefined;
      found.set(keyOf(owner, type), { position: entry.position(), ttl });
      if (types.size === 0) missing.delete(owner);
      return missing.size === 0 ? false : undefined;
    },
    isDone: () => missing.size === 0,
    placeOf: (owner, type) => found.get(keyOf(owner, type)),
  };
}

/** 16 bits (FNV-1a, folded) that names which differ in case alone have in common. */
function markOf(wire: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (let at = 0; wire[at] > 0;) {
    for (const end = at + wire[at]; at <= end; at++) {
      const octet = wire[at];
      hash = Math.imul(hash ^ (octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet), 0x01000193);
    }
  }
  return (hash ^ hash >>> 16) & 0xffff;
}
