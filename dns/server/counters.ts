/**
 * What a DNS server counts: one row a worker, in shared memory that the worker alone writes and anybody reads at any time.
 * Numbers of one row may be a few queries apart from each other; none is ever lost.
 *
 * Hot path: an answer costs a handful of increments.
 */
import { typeName } from "../rr/types.ts";

export interface DnsCounters {
  readonly queries: number;
  /** Of those with a question, by its type in text; what is rarely asked stands together as `other`. */
  readonly types: Readonly<Record<string, number>>;
  readonly transports: Readonly<Record<"udp4" | "udp6" | "tcp4" | "tcp6", number>>;
  readonly answers: number;
  /** Answers by the RCODE of their header, 0 to 15. */
  readonly rcodes: readonly number[];
  /** Answers by length: element k counts those of 2^(k-1) to 2^k - 1 octets. */
  readonly sizes: readonly number[];
  /** Answers by the time from receiving to sending: element k counts those of 2^(k-1) to 2^k - 1 µs, 0 those below 1 µs. */
  readonly latencies: readonly number[];
  /** Not answered: responses, and what is shorter than a header. */
  readonly drops: number;
  readonly truncated: number;
  /** Not answered because of rate limiting. */
  readonly limited: number;
  /** Answered with TC instead, because of rate limiting. */
  readonly slipped: number;
  /** Handed to the full machinery: UPDATE, NOTIFY, TSIG, transfers. */
  readonly slow: number;
  /** Not handed there because too many were under way. */
  readonly slowDrops: number;
  /** Answered SERVFAIL because of a fault in the program. */
  readonly faults: number;
  /** The system refused to send. */
  readonly sendErrors: number;
  /** Changes of the zones: how many were taken up, by all workers together, and the microseconds of the longest. */
  readonly versions: { readonly taken: number; readonly longest: number };
  readonly tcp: {
    readonly open: number;
    readonly accepted: number;
    /** Closed at once: too many from one address or in all. */
    readonly refused: number;
    readonly closed: Readonly<Record<ClosingReason, number>>;
  };
}

/**
 * Why a connection ended: by its `client`; after being `idle`; with a `message` that took too long to come; with answers left
 * `unread`; `crowded` out by a newer one; for want of `memory`; by an `error` of the system; because the server `stopped`.
 */
export type ClosingReason = (typeof CLOSING_REASONS)[number];

export const CLOSING_REASONS = [
  "client",
  "idle",
  "message",
  "unread",
  "crowded",
  "memory",
  "error",
  "stopped",
] as const;

const TYPE_SLOTS = 32;
const SIZE_SLOTS = 17;
const LATENCY_SLOTS = 24;

/** Indexes of one worker's row. */
export const COUNT = {
  queries: 0,
  drops: 1,
  truncated: 2,
  limited: 3,
  slipped: 4,
  slow: 5,
  slowDrops: 6,
  faults: 7,
  sendErrors: 8,
  /** udp4, udp6, tcp4, tcp6. */
  transports: 9,
  open: 13,
  accepted: 14,
  refused: 15,
  closed: 16,
  rcodes: 24,
  sizes: 40,
  latencies: 40 + SIZE_SLOTS,
  types: 40 + SIZE_SLOTS + LATENCY_SLOTS,
  versions: 40 + SIZE_SLOTS + LATENCY_SLOTS + TYPE_SLOTS,
  longestVersion: 41 + SIZE_SLOTS + LATENCY_SLOTS + TYPE_SLOTS,
  size: 42 + SIZE_SLOTS + LATENCY_SLOTS + TYPE_SLOTS,
} as const;

export function createCounterRow(): Float64Array {
  // A cache line more, so that no two workers write into one.
  return new Float64Array(new SharedArrayBuffer((COUNT.size + 8) * 8), 0, COUNT.size);
}

/** Counts a query of a transport (an offset from `COUNT.transports`) by the type that it asks for. */
export function countQuery(row: Float64Array, query: Uint8Array, length: number, transport: number): void {
  row[COUNT.queries]++;
  row[COUNT.transports + transport]++;
  if (length < 17 || query[5] === 0) return;
  let at = 12;
  for (let size = query[at]; size !== 0; size = query[at]) {
    at += size + 1;
    if (at + 4 >= length) return;
  }
  const type = query[at + 1] << 8 | query[at + 2];
  row[COUNT.types + (type < SLOT_OF_TYPE.length ? SLOT_OF_TYPE[type] : 0)]++;
}

/** Counts an answer by what its header says and by its length. */
export function countAnswer(row: Float64Array, response: Uint8Array, length: number): void {
  row[COUNT.rcodes + (response[3] & 0x0f)]++;
  row[COUNT.sizes + 32 - Math.clz32(length)]++;
  if ((response[2] & 0x02) !== 0) row[COUNT.truncated]++;
}

/** Counts how long `answers` took together. */
export function countLatency(row: Float64Array, answers: number, milliseconds: number): void {
  const slot = 32 - Math.clz32(milliseconds * 1000);
  row[COUNT.latencies + (slot < LATENCY_SLOTS ? slot : LATENCY_SLOTS - 1)] += answers;
}

/** Counts a change of the zones, and how long taking it up kept the worker. */
export function countVersion(row: Float64Array, milliseconds: number): void {
  row[COUNT.versions]++;
  row[COUNT.longestVersion] = Math.max(row[COUNT.longestVersion], Math.round(milliseconds * 1000));
}

export function sumCounters(rows: readonly Float64Array[]): DnsCounters {
  const sum = (index: number) => rows.reduce((total, row) => total + row[index], 0);
  const several = (from: number, count: number) => Array.from({ length: count }, (_, i) => sum(from + i));
  const rcodes = several(COUNT.rcodes, 16);
  const [udp4, udp6, tcp4, tcp6] = several(COUNT.transports, 4);
  const types = several(COUNT.types, 1 + COUNTED_TYPES.length)
    .map((count, slot) => [slot === 0 ? "other" : typeName(COUNTED_TYPES[slot - 1]), count] as const);
  const closed = several(COUNT.closed, CLOSING_REASONS.length);
  return {
    queries: sum(COUNT.queries),
    types: Object.fromEntries(types.filter(([, count]) => count > 0)),
    transports: { udp4, udp6, tcp4, tcp6 },
    answers: rcodes.reduce((total, count) => total + count, 0),
    rcodes,
    sizes: several(COUNT.sizes, SIZE_SLOTS),
    latencies: several(COUNT.latencies, LATENCY_SLOTS),
    drops: sum(COUNT.drops),
    truncated: sum(COUNT.truncated),
    limited: sum(COUNT.limited),
    slipped: sum(COUNT.slipped),
    slow: sum(COUNT.slow),
    slowDrops: sum(COUNT.slowDrops),
    faults: sum(COUNT.faults),
    sendErrors: sum(COUNT.sendErrors),
    versions: {
      taken: sum(COUNT.versions),
      longest: Math.max(0, ...rows.map((row) => row[COUNT.longestVersion])),
    },
    tcp: {
      open: sum(COUNT.open),
      accepted: sum(COUNT.accepted),
      refused: sum(COUNT.refused),
      closed: closedBy(closed),
    },
  };
}

function closedBy(counts: readonly number[]): Record<ClosingReason, number> {
  const [client, idle, message, unread, crowded, memory, error, stopped] = counts;
  return { client, idle, message, unread, crowded, memory, error, stopped };
}

/** Types that are asked for often enough to be told apart (A, NS, CNAME, SOA, PTR, MX, TXT and so on). */
const COUNTED_TYPES = [
  ...[1, 2, 5, 6, 12, 13, 15, 16, 17, 28, 29, 33, 35, 39, 43, 44, 46, 47, 48, 50, 51, 52, 59, 60],
  ...[61, 64, 65, 251, 252, 255, 257],
];

const SLOT_OF_TYPE = new Uint8Array(258);
COUNTED_TYPES.forEach((type, index) => SLOT_OF_TYPE[type] = index + 1);
