import {
  CLASS,
  createZoneBuilder,
  type Fault,
  type Name,
  type Position,
  type RecordSink,
  type ResourceRecord,
  RRTYPE,
  typeName,
  type Zone,
  type ZoneError,
} from "../../dns/mod.ts";
import { type Enough, enough } from "./enough.ts";
import type { OpenFault } from "./open_fault.ts";

/** What the records of a zone's files come to. */
export interface Poured {
  /** A zone also where its SOA is missing, so that all else in it can be judged; `undefined` where nothing can hold it. */
  readonly zone: Zone | undefined;
  /** Where the SOA is written; `undefined` where there is none. */
  readonly soa: Position | undefined;
  /** Whether a type may stand at a name other than the apex. */
  readonly hasBelow: (type: number) => boolean;
  readonly faults: Enough<Fault>;
  readonly open: Enough<OpenFault>;
}

/**
 * Takes the records of a zone's files, straight from the parser into the zone's compiled form, and keeps nothing of them
 * besides; finds what can be seen record by record.
 *
 * @param top what a fault of the zone as such points to
 */
export function pourZone(origin: Name, top: Position): { readonly take: RecordSink; finish(): Poured } {
  const builder = createZoneBuilder(origin);
  const below = new Uint8Array(0x1_0000);
  const faults = enough<Fault>();
  const open = enough<OpenFault>();
  let soa: Position | undefined;

  function take(record: ResourceRecord, position: Position): void {
    const error = builder.add(record);
    if (record.owner !== origin) below[record.type] = 1;
    else if (record.type === RRTYPE.SOA && error === undefined) soa ??= position;
    if (error === undefined) return;
    if (error.code === "ttl-differs") open.add(differingTtl(record, position));
    else if (error.code === "several-records") open.add(another(record, position));
    else faults.add(refused(origin, error, record, position));
  }

  function finish(): Poured {
    if (soa === undefined) builder.add({ ...STAND_IN, owner: origin });
    const built = builder.finish();
    if (!built.ok) {
      faults.add({
        position: top,
        severity: "error",
        code: built.error.code,
        message: built.error.message,
      });
    }
    return {
      zone: built.ok ? built.value : undefined,
      soa,
      hasBelow: (type) => below[type] === 1,
      faults,
      open,
    };
  }

  return { take, finish };
}

/** An SOA for a zone that has none and is judged all the same. Such a zone is never served. */
const STAND_IN: Omit<ResourceRecord, "owner"> = {
  type: RRTYPE.SOA,
  class: CLASS.IN,
  ttl: 0,
  rdata: new Uint8Array(22),
};

/** RFC 2181 §5.2; the first TTL is served. */
function differingTtl(record: ResourceRecord, position: Position): OpenFault {
  const { owner, type, ttl } = record;
  return {
    severity: "warning",
    code: "ttl-mismatch",
    wanted: [{ owner, type }],
    close: (placeOf) => {
      const first = placeOf(owner, type);
      return {
        position,
        message: `TTL ${ttl} differs from TTL ${first.ttl} of ${owner} ${
          typeName(type)
        } in line ${first.position.line}; ${first.ttl} is served for all of them`,
      };
    },
  };
}

function another({ owner, type }: ResourceRecord, position: Position): OpenFault {
  return {
    severity: "error",
    code: SEVERAL.get(type) ?? "several-records",
    wanted: [{ owner, type }],
    close: (placeOf) => ({
      position,
      message: `${owner} has another ${typeName(type)} record in line ${
        placeOf(owner, type).position.line
      }; there can be only one`,
    }),
  };
}

/** Types of which a name has one record at most, and the fault of having several. */
const SEVERAL: ReadonlyMap<number, string> = new Map([
  [RRTYPE.SOA, "several-soa"],
  [RRTYPE.CNAME, "several-cname"],
  [RRTYPE.DNAME, "several-dname"],
]);

function refused(origin: Name, error: ZoneError, { owner }: ResourceRecord, position: Position): Fault {
  switch (error.code) {
    case "out-of-zone":
      return {
        position,
        severity: "error",
        code: "out-of-zone",
        message: `"${owner}" is not in the zone ${origin}; take it out or mend $ORIGIN`,
      };
    case "misplaced-soa":
      return {
        position,
        severity: "error",
        code: "soa-not-at-apex",
        message: `the SOA record stands at "${owner}"; it belongs to the apex ${origin}`,
      };
    default:
      return { position, severity: "error", code: error.code, message: error.message };
  }
}
