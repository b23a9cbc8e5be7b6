import { createHash } from "node:crypto";
import { RRTYPE } from "../../dns/mod.ts";
import { recordsOf } from "../layout/records.ts";
import type { Collection } from "../state/collection.ts";
import { encodeRecords } from "../state/record_blob.ts";
import { type ServedZone, withServedSerial } from "../transaction/served_zone.ts";
import type { ZoneStep } from "../transaction/step.ts";
import { withSerial } from "./soa.ts";

/**
 * Serials over a change of a store that holds no history: where the commit served last is not there to compare with, a
 * digest of what was served decides whether a serial must rise.
 */
export interface KeptSerials {
  /** The step under the serial served last, where it serves what was served under that. */
  kept(step: ZoneStep, last: number | undefined): ZoneStep;
  /** Remembers what the steps will serve. To be called before they are committed: see `kept`. */
  note(steps: readonly ZoneStep[]): void;
}

/** @param collection a drawer of its own */
export function keptSerials(collection: Collection): KeptSerials {
  return {
    kept(step, last) {
      const { before, after } = step;
      if (before !== undefined || after?.good === undefined || after.good.preSigned || last === undefined) {
        return step;
      }
      const noted = collection.get(step.origin);
      // A digest that was noted for a change which then did not happen stands under another serial.
      if (!isNote(noted) || noted.serial !== last || noted.digest !== digestOf(after)) return step;
      return { ...step, after: withServedSerial(after, last) };
    },
    note(steps) {
      for (const { origin, after } of steps) {
        if (after?.good === undefined) continue;
        collection.put(origin, { serial: after.serial, digest: digestOf(after) } satisfies Note);
      }
    },
  };
}

interface Note {
  readonly serial: number;
  readonly digest: string;
}

function isNote(value: unknown): value is Note {
  return typeof value === "object" && value !== null && "serial" in value && "digest" in value;
}

/** The same for the same records, in whatever order they are written, under whatever serial. */
function digestOf({ served }: ServedZone): string {
  const hash = createHash("sha256");
  for (const set of served.records()) {
    hash.update(encodeRecords(recordsOf(set.type === RRTYPE.SOA ? withSerial(set, 0) : set)));
  }
  return hash.digest("base64");
}
