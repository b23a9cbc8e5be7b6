/** What a record must be to stand in a zone, and beside the others of its owner. */
import type { Stage } from "./stage.ts";
import { stageLimit } from "./stage.ts";
import { canonicalRdata, compareRdata, rdataIsValid } from "../rr/rdata.ts";
import { RRTYPE, typeName } from "../rr/types.ts";
import type { ZoneErrorCode } from "./builder.ts";

/** What is wrong with a record. */
export interface RecordFault {
  readonly code: ZoneErrorCode;
  /** What follows its owner in a sentence. */
  readonly why: string;
}

/** What is wrong with a record whose rdata stands at `start` of `bytes`, whatever else there is. */
export function recordFault(
  type: number,
  ttl: number,
  bytes: Uint8Array,
  start: number,
  octets: number,
  isApex: boolean,
): RecordFault | undefined {
  if (!isTtl(ttl)) return { code: "bad-ttl", why: "has a TTL outside 0 to 2147483647" };
  if (octets > 0xffff || (isChecked(type) && !rdataIsValid(type, bytes.subarray(start, start + octets)))) {
    return { code: "bad-rdata", why: `has malformed ${typeName(type)} data` };
  }
  if (type === RRTYPE.SOA && !isApex) {
    return { code: "misplaced-soa", why: "has a SOA record below the zone's apex" };
  }
  return undefined;
}

/**
 * What keeps such a record from joining those of its owner, of which `set` is its own set or -1; "same" for one that can
 * be there only once and is there already.
 */
export function joinFault(
  stage: Stage,
  set: number,
  type: number,
  bytes: Uint8Array,
  start: number,
  octets: number,
): RecordFault | "same" | undefined {
  if (set >= 0 && isSingleton(type)) {
    const at = stage.at[stage.first[set]];
    const known = canonicalRdata(type, stage.bytes.subarray(at, at + stage.size[stage.first[set]]));
    const coming = canonicalRdata(type, bytes.subarray(start, start + octets));
    if (compareRdata(known, coming) === 0) return "same";
    return { code: "several-records", why: `has another ${typeName(type)} record already` };
  }
  const limit = stageLimit(stage, set, type, octets);
  return limit === undefined
    ? undefined
    : { code: "too-large", why: `has ${limit}, which no image can hold` };
}

/** RFC 2181 §8. */
export function isTtl(ttl: number): boolean {
  return ttl >= 0 && ttl <= 0x7fff_ffff;
}

/** Whether rdata of a type is read by the answer algorithm or here: what is malformed must not get there. */
export function isChecked(type: number): boolean {
  return type < CHECKED.length && CHECKED[type] === 1;
}

const CHECKED = new Uint8Array(80);
for (
  const type of [
    RRTYPE.NS,
    RRTYPE.MD,
    RRTYPE.MF,
    RRTYPE.CNAME,
    RRTYPE.SOA,
    RRTYPE.MB,
    RRTYPE.MG,
    RRTYPE.MR,
    RRTYPE.PTR,
    RRTYPE.MINFO,
    RRTYPE.MX,
    RRTYPE.SRV,
    RRTYPE.DNAME,
    RRTYPE.DS,
    RRTYPE.RRSIG,
    RRTYPE.NSEC,
    RRTYPE.NSEC3,
    RRTYPE.NSEC3PARAM,
    RRTYPE.SVCB,
    RRTYPE.HTTPS,
  ]
) CHECKED[type] = 1;

/** At most one record: RFC 2181 §10.1, RFC 6672 §2.4, RFC 1035 §5.2. */
function isSingleton(type: number): boolean {
  return type === RRTYPE.CNAME || type === RRTYPE.DNAME || type === RRTYPE.SOA;
}
