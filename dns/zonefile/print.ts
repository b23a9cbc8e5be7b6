/** Tidy zone files: what `parseZoneFile` reads back to the same records. */
import { compareNames, relativeTo } from "../name.ts";
import { canonicalRdata, compareRdata, rdataToText } from "../rr/rdata.ts";
import { RRTYPE, typeName } from "../rr/types.ts";
import type { Name, ResourceRecord } from "../types.ts";

/**
 * Prints records of class IN as a zone file: the SOA first, then the apex, then owners in canonical order; owners
 * relative to the origin, written once; `$TTL` is the commonest TTL, others are written out.
 */
export function printZone(origin: Name, records: Iterable<ResourceRecord>): string {
  const sorted = [...records].sort((a, b) => compareRecords(origin, a, b));
  const defaultTtl = commonestTtl(sorted);
  const lines = [`$ORIGIN ${origin}`, ...(defaultTtl === undefined ? [] : [`$TTL ${defaultTtl}`])];
  const rows = sorted.map((record, i) => ({
    owner: i > 0 && sorted[i - 1].owner === record.owner ? "" : relativeTo(record.owner, origin),
    ttl: record.ttl === defaultTtl ? "" : String(record.ttl),
    type: typeName(record.type),
    rdata: record.type === RRTYPE.SOA ? printSoa(record.rdata) : rdataToText(record.type, record.rdata),
  }));
  const ownerWidth = width(rows.map((row) => row.owner));
  const ttlWidth = width(rows.map((row) => row.ttl));
  const typeWidth = width(rows.map((row) => row.type));
  for (const { owner, ttl, type, rdata } of rows) {
    const head = ttlWidth === 0 ? "" : `${ttl.padEnd(ttlWidth)} `;
    lines.push(`${owner.padEnd(ownerWidth)} ${head}IN ${type.padEnd(typeWidth)} ${rdata}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Beyond this a column is not aligned: one long name would push all others out. */
const MAX_COLUMN = 32;

function width(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => length > most && length <= MAX_COLUMN ? length : most, 0);
}

function compareRecords(origin: Name, a: ResourceRecord, b: ResourceRecord): number {
  if (a.owner !== b.owner) {
    if (a.owner === origin) return -1;
    if (b.owner === origin) return 1;
    return compareNames(a.owner, b.owner);
  }
  if (a.type !== b.type) return rank(a.type) - rank(b.type);
  return compareRdata(canonicalRdata(a.type, a.rdata), canonicalRdata(b.type, b.rdata));
}

/** SOA, NS, then by number. */
function rank(type: number): number {
  if (type === RRTYPE.SOA) return -2;
  return type === RRTYPE.NS ? -1 : type;
}

function commonestTtl(records: readonly ResourceRecord[]): number | undefined {
  const counts = new Map<number, number>();
  for (const { ttl } of records) counts.set(ttl, (counts.get(ttl) ?? 0) + 1);
  let best: number | undefined;
  for (const [ttl, count] of counts) if (best === undefined || count > (counts.get(best) ?? 0)) best = ttl;
  return best;
}

/** The numbers of an SOA one a line, each with its name. */
function printSoa(rdata: Uint8Array): string {
  const [primary, mailbox, ...numbers] = rdataToText(RRTYPE.SOA, rdata).split(" ");
  if (numbers.length !== SOA_NUMBERS.length) return rdataToText(RRTYPE.SOA, rdata);
  const lines = numbers.map((number, i) => `    ${number.padEnd(10)} ; ${SOA_NUMBERS[i]}`);
  return `${primary} ${mailbox} (\n${lines.join("\n")}\n    )`;
}

const SOA_NUMBERS = ["serial", "refresh", "retry", "expire", "negative TTL"];
