import type { FindHistory } from "./history.ts";

/** What the HTTP face shows of the running server; asked anew for every request. */
export interface ServerView {
  readonly version: string;
  zones(): readonly ServedZone[];
  readonly history: FindHistory;
}

export interface ServedZone {
  /** The zone's name without the final dot, as people write it; `.` for the root. */
  readonly name: string;
  /** The served serial; `undefined` while the zone was never good and is answered SERVFAIL. */
  readonly serial: number | undefined;
  /** The commits that the served state comes from. */
  readonly main: string | undefined;
  readonly machine: string | undefined;
  /** Why what is served is not what the branch holds; empty when all is well. */
  readonly remarks: readonly string[];
}
