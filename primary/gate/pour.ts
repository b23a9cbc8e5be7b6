import {
  CLASS,
  createZoneBuilder,
  type Fault,
  type Name,
  nameFromWire,
  nameToWire,
  type Position,
  type ResourceRecord,
  RRTYPE,
  typeName,
  type WireEntry,
  type WireSink,
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
 * @param octets how large the files are, about
 */
export function pourZone(
  origin: Name,
  top: Position,
  octets: number,
): { readonly take: WireSink; finish(): Poured } {
  const builder = createZoneBuilder(origin, { octets });
  const apex = nameToWire(origin);
  const below = new Uint8Array(0x1_0000);
  const faults = enough<Fault>();
  const open = enough<OpenFault>();
  let soa: Position | undefined;
  let isBelow = false;
  let wasTaken = true;

  function take(entry: WireEntry): void {
    const { type } = entry;
    const error = builder.addWire(wasTaken || !entry.ownerIsSame ? entry : { ...entry, ownerIsSame: false });
    wasTaken = error === undefined || error.taken === true;
    if (!entry.ownerIsSame) isBelow = !isApex(entry.owner);
    if (isBelow) below[type] = 1;
    else if (type === RRTYPE.SOA && error === undefined) soa ??= entry.position();
    if (error !== undefined) note(error, entry);
  }

  function isApex(owner: Uint8Array): boolean {
    for (let i = 0; i < apex.length; i++) {
      const octet = owner[i];
      if ((octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet) !== apex[i]) return false;
    }
    return true;
  }

  function note(error: ZoneError, entry: WireEntry): void {
    const position = entry.position();
    const owner = nameFromWire(entry.owner, 0)?.name ?? origin;
    const record = { owner, type: entry.type, ttl: entry.ttl };
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

type Read = Pick<ResourceRecord, "owner" | "type" | "ttl">;

/** RFC 2181 §5.2; the first TTL is served. */
function differingTtl(record: Read, position: Position): OpenFault {
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

function another({ owner, type }: Read, position: Position): OpenFault {
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

function refused(origin: Name, error: ZoneError, { owner }: Read, position: Position): Fault {
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
