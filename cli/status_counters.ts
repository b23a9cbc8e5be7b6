/** The counters of a DNS server as `status` shows them. Pure. */
import { rcodeName } from "../dns/mod.ts";
import type { CountersNote } from "./server_notes.ts";
import type { CountersStatus, HistogramBar } from "./status_form.ts";

/** @param rfc3339 writes a time */
export function countersStatus(
  { at, pid, counters }: CountersNote,
  rfc3339: (milliseconds: number) => string,
): CountersStatus {
  const rcodes = counters.rcodes.map((count, code) => [rcodeName(code), count] as const);
  return {
    at: rfc3339(at),
    pid,
    queries: counters.queries,
    answers: counters.answers,
    types: { ...counters.types },
    rcodes: Object.fromEntries(rcodes.filter(([, count]) => count > 0)),
    transports: { ...counters.transports },
    octets: histogram(counters.sizes),
    microseconds: histogram(counters.latencies),
    dropped: counters.drops,
    truncated: counters.truncated,
    limited: counters.limited,
    slipped: counters.slipped,
    slow: counters.slow,
    slowDropped: counters.slowDrops,
    faults: counters.faults,
    sendErrors: counters.sendErrors,
    versions: { taken: counters.versions.taken, longestMicroseconds: counters.versions.longest },
    tcp: {
      open: counters.tcp.open,
      accepted: counters.tcp.accepted,
      refused: counters.tcp.refused,
      closed: { ...counters.tcp.closed },
    },
  };
}

/** Element k of the counters is of what is below 2^k and not in the element before. */
function histogram(counts: readonly number[]): HistogramBar[] {
  return counts.flatMap((count, k) => (count === 0 ? [] : [{ below: 2 ** k, count }]));
}
