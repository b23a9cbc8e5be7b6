/** What the UDP servers counted, in memory that each worker writes alone and anybody reads. */

export interface UdpCounters {
  readonly queries: number;
  readonly answers: number;
  /** Not answered: responses, and what is shorter than a header. */
  readonly drops: number;
  readonly truncated: number;
  /** Handed to the full machinery: UPDATE, NOTIFY, TSIG, transfers. */
  readonly slow: number;
  /** Not handed there because too many were under way. */
  readonly slowDrops: number;
  /** Answered SERVFAIL because of a fault in the program. */
  readonly faults: number;
  /** The system refused to send. */
  readonly sendErrors: number;
  /** By the RCODE of the header, 0 to 15. */
  readonly rcodes: readonly number[];
}

/** Indexes of one worker's row. */
export const COUNT = {
  queries: 0,
  answers: 1,
  drops: 2,
  truncated: 3,
  slow: 4,
  slowDrops: 5,
  faults: 6,
  sendErrors: 7,
  rcodes: 8,
  size: 24,
} as const;

export function createCounterRow(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(COUNT.size * 8));
}

export function sumCounters(rows: readonly Float64Array[]): UdpCounters {
  const sum = (index: number) => rows.reduce((total, row) => total + row[index], 0);
  return {
    queries: sum(COUNT.queries),
    answers: sum(COUNT.answers),
    drops: sum(COUNT.drops),
    truncated: sum(COUNT.truncated),
    slow: sum(COUNT.slow),
    slowDrops: sum(COUNT.slowDrops),
    faults: sum(COUNT.faults),
    sendErrors: sum(COUNT.sendErrors),
    rcodes: Array.from({ length: 16 }, (_, i) => sum(COUNT.rcodes + i)),
  };
}

/** Counts an answer by what its header says. */
export function countAnswer(row: Float64Array, response: Uint8Array): void {
  row[COUNT.answers]++;
  row[COUNT.rcodes + (response[3] & 0x0f)]++;
  if ((response[2] & 0x02) !== 0) row[COUNT.truncated]++;
}
