/** A zone in memory that updates can be tried on. */
import { nameFrom } from "../../dns/name.ts";
import { rdataFromText } from "../../dns/rr/rdata.ts";
import { typeFromName } from "../../dns/rr/types.ts";
import { applyOperations, type RRsetChange } from "../../dns/update/apply.ts";
import type { Name, ResourceRecord, RRset, UpdateOperation, ZoneView } from "../../dns/types.ts";

export const ORIGIN = nameFrom("example.test.");

export interface ToyZone extends ZoneView {
  put(changes: readonly RRsetChange[]): void;
}

/** `lines`: owner, TTL, type and data. */
export function toyZone(lines: readonly string[]): ToyZone {
  const zone = new Map<Name, Map<number, RRset>>();
  const view: ToyZone = {
    origin: ORIGIN,
    rrset: (owner, type) => zone.get(owner)?.get(type),
    rrsets: (owner) => [...(zone.get(owner)?.values() ?? [])],
    put(changes) {
      for (const { owner, type, after } of changes) {
        const types = zone.get(owner) ?? new Map<number, RRset>();
        zone.set(owner, types);
        if (after === undefined) types.delete(type);
        else types.set(type, after);
      }
    },
  };
  for (const line of lines) {
    const { owner, type, ttl, rdata } = recordOf(line);
    const before = view.rrset(owner, type);
    const after = { owner, type, ttl, rdatas: [...before?.rdatas ?? [], rdata] };
    view.put([{ owner, type, before, after }]);
  }
  return view;
}

/** `www 300 A 192.0.2.1`, the owner relative to the zone. */
export function recordOf(line: string): ResourceRecord {
  const [owner, ttl, type, ...data] = line.split(" ");
  const number = typeFromName(type);
  if (number === undefined) throw new Error(`no type: ${line}`);
  return {
    owner: at(owner),
    type: number,
    class: 1,
    ttl: Number(ttl),
    rdata: rdataOf(number, data.join(" ")),
  };
}

export function rdataOf(type: number, text: string): Uint8Array {
  const rdata = rdataFromText(type, text, ORIGIN);
  if (!rdata.ok) throw new Error(rdata.error.message);
  return rdata.value;
}

export function at(owner: string): Name {
  return nameFrom(owner === "@" ? ORIGIN : owner.endsWith(".") ? owner : `${owner}.${ORIGIN}`);
}

export function applyTo(zone: ToyZone, operations: readonly UpdateOperation[]): readonly RRsetChange[] {
  const changes = applyOperations(zone, operations);
  zone.put(changes);
  return changes;
}
