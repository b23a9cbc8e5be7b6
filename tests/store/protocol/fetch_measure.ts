/** What a fetch costs its client: round trips, objects read, time of the processor. */
import process from "node:process";
import { fetchFrom } from "../../../store/mod.ts";
import type { FetchOptions, FetchOutcome, FetchRepository, OpenService } from "../../../store/mod.ts";

export interface MeasuredFetch {
  readonly outcome: FetchOutcome;
  /** Answers that were waited for, the advertisement among them. */
  readonly roundTrips: number;
  /** Objects of ours that were read before anything arrived, and after. */
  readonly reads: number;
  /** Milliseconds of our process, all threads; what else runs in it counts too. */
  readonly cpuMs: number;
}

/** Fetches with everything counted. @throws {StoreError} where the fetch fails */
export async function measuredFetch(options: FetchOptions): Promise<MeasuredFetch> {
  const counts = { roundTrips: 0, reads: 0 };
  const before = process.cpuUsage();
  const outcome = await fetchFrom({
    ...options,
    open: counted(options.open, counts),
    repository: countedReads(options.repository, counts),
  });
  const { user, system } = process.cpuUsage(before);
  if (!outcome.ok) throw outcome.error;
  return { outcome: outcome.value, ...counts, cpuMs: (user + system) / 1000 };
}

function counted(open: OpenService, counts: { roundTrips: number }): OpenService {
  return async (service, version) => {
    const opened = await open(service, version);
    if (!opened.ok) return opened;
    const flow = opened.value;
    let waiting = true;
    return {
      ok: true,
      value: {
        ...flow,
        async read() {
          if (waiting) counts.roundTrips++;
          waiting = false;
          return await flow.read();
        },
        async write(bytes) {
          waiting = true;
          await flow.write(bytes);
        },
      },
    };
  };
}

function countedReads(repository: FetchRepository, counts: { reads: number }): FetchRepository {
  return {
    refs: repository.refs,
    shallow: repository.shallow,
    has: (oid) => repository.has(oid),
    read(oid) {
      counts.reads++;
      return repository.read(oid);
    },
    async quarantine() {
      const quarantine = await repository.quarantine();
      return {
        ...quarantine,
        read(oid) {
          counts.reads++;
          return quarantine.read(oid);
        },
      };
    },
  };
}
