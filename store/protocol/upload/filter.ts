/** Which objects a partial clone leaves out (git-rev-list, `--filter`). Pure. */
import { StoreError } from "../../types.ts";

/** What is wanted by its own id is sent whatever the filter says, and so is every commit and tag that is reached. */
export interface Filter {
  /** Blobs of so many bytes or more are left out: 0 leaves out all, `Infinity` none. */
  readonly blobsBelow: number;
  /** Trees and blobs from this depth on are left out; a commit's tree is at depth 0. */
  readonly treesAbove: number;
}

/** Nothing is left out. */
export const EVERYTHING: Filter = { blobsBelow: Infinity, treesAbove: Infinity };

/** The filters that are served: `blob:none`, `blob:limit=N[kmg]`, `tree:N`. @throws {StoreError} `protocol`, `limit` */
export function parseFilter(spec: string): Filter {
  if (spec.length > LONGEST) throw new StoreError("limit", `a filter of more than ${LONGEST} characters`);
  if (spec === "blob:none") return { blobsBelow: 0, treesAbove: Infinity };
  const limit = /^blob:limit=(\d{1,12})([kmg]?)$/i.exec(spec);
  if (limit !== null) {
    const unit = UNITS.get(limit[2].toLowerCase()) ?? 1;
    return { blobsBelow: Number(limit[1]) * unit, treesAbove: Infinity };
  }
  const depth = /^tree:(\d{1,9})$/.exec(spec);
  if (depth !== null) return { blobsBelow: Infinity, treesAbove: Number(depth[1]) };
  throw new StoreError("protocol", `filter ${JSON.stringify(spec)} is not served`);
}

const LONGEST = 200;
const UNITS = new Map([["k", 2 ** 10], ["m", 2 ** 20], ["g", 2 ** 30]]);
