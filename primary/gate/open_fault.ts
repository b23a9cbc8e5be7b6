import { type Fault, type Name, nameFromWire, type Position, type WireSink } from "../../dns/mod.ts";

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
  const found = new Map<string, Place>();
  let owner: Name | undefined;
  const keyOf = (owner: Name, type: number) => `${type} ${owner}`;
  return {
    take(entry) {
      const { type, ttl } = entry;
      if (!entry.ownerIsSame) owner = nameFromWire(entry.owner, 0)?.name;
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
