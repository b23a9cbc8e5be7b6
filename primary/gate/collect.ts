import {
  type Fault,
  isAtOrBelow,
  type Name,
  type Position,
  type ResourceRecord,
  type RRset,
  RRTYPE,
  typeName,
} from "../../dns/mod.ts";
import { tidyRdatas } from "../layers/contents.ts";

/** An RRset and where its first record is written: what a fault, or an updater, is pointed to. */
export interface PlacedRRset extends RRset {
  readonly position: Position;
}

export type PlacedContents = ReadonlyMap<Name, readonly PlacedRRset[]>;

/** Takes the records of one zone file one by one and groups them; finds what can be seen record by record. */
export interface Collector {
  take(record: ResourceRecord, position: Position): void;
  /** The contents and the faults found. The collector is spent. */
  finish(): { contents: PlacedContents; records: number; faults: Fault[] };
}

export function collectZone(origin: Name): Collector {
  const owners = new Map<Name, Growing[]>();
  const faults: Fault[] = [];
  let records = 0;

  function take(record: ResourceRecord, position: Position): void {
    const { owner, type } = record;
    if (!isAtOrBelow(owner, origin)) {
      faults.push(
        error(
          position,
          "out-of-zone",
          `"${owner}" is not in the zone ${origin}; take it out or mend $ORIGIN`,
        ),
      );
      return;
    }
    if (type === RRTYPE.SOA && owner !== origin) {
      faults.push(
        error(
          position,
          "soa-not-at-apex",
          `the SOA record stands at "${owner}"; it belongs to the apex ${origin}`,
        ),
      );
      return;
    }
    let sets = owners.get(owner);
    if (sets === undefined) owners.set(owner, sets = []);
    const set = sets.find((each) => each.type === type);
    if (set === undefined) {
      sets.push({ owner, type, ttl: record.ttl, rdatas: [record.rdata], position });
      records++;
      return;
    }
    if (SINGLETONS.has(type)) {
      // The same line twice is the same record (RFC 2181 §5).
      if (tidyRdatas(type, [set.rdatas[0], record.rdata]).length === 1) return;
      faults.push(error(position, SINGLETONS.get(type) ?? "", severalMessage(set)));
      return;
    }
    // RFC 2181 §5.2; signatures of one name may cover sets of different TTLs.
    if (set.ttl !== record.ttl && type !== RRTYPE.RRSIG) {
      faults.push({
        position,
        severity: "warning",
        code: "ttl-mismatch",
        message:
          `TTL ${record.ttl} differs from TTL ${set.ttl} of ${owner} ${
            typeName(type)
          } in line ${set.position.line}; ` +
          `${set.ttl} is served for all of them`,
      });
    }
    set.rdatas.push(record.rdata);
    records++;
  }

  function finish(): { contents: PlacedContents; records: number; faults: Fault[] } {
    for (const sets of owners.values()) {
      if (sets.length > 1) sets.sort((a, b) => a.type - b.type);
      for (const set of sets) if (set.rdatas.length > 1) set.rdatas = tidyRdatas(set.type, set.rdatas);
    }
    return { contents: owners, records, faults };
  }

  return { take, finish };
}

/** Types of which a name has one record at most, and the fault of having several. */
const SINGLETONS: ReadonlyMap<number, string> = new Map([
  [RRTYPE.SOA, "several-soa"],
  [RRTYPE.CNAME, "several-cname"],
  [RRTYPE.DNAME, "several-dname"],
]);

interface Growing {
  readonly owner: Name;
  readonly type: number;
  readonly ttl: number;
  rdatas: Uint8Array[];
  readonly position: Position;
}

function severalMessage(set: Growing): string {
  return `${set.owner} has another ${
    typeName(set.type)
  } record in line ${set.position.line}; there can be only one`;
}

function error(position: Position, code: string, message: string): Fault {
  return { position, severity: "error", code, message };
}
