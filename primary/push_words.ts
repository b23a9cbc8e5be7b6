import type { Fault, Name } from "../dns/mod.ts";
import type { RefMove } from "../store/mod.ts";
import type { PrimaryMode } from "./primary.ts";
import { MACHINE, MAIN, OWN_REFS } from "./transaction/branches.ts";
import type { ZoneStep } from "./transaction/step.ts";

/** A fault as a pusher reads it: `zones/example.test:14:9: error: …`. */
export function faultLine(fault: Fault): string {
  const { file, line, column } = fault.position;
  return `${file}:${line}:${column}: ${fault.severity}: ${fault.message}`;
}

/** What a push did, a line a zone. */
export function pushSummary(steps: readonly ZoneStep[], read: ReadonlyMap<Name, number>): string[] {
  return steps.map(({ origin, before, after }) => {
    const records = read.get(origin);
    const count = records === undefined
      ? ""
      : `, ${records} ${records === 1 ? "record" : "records"} in its file`;
    if (after === undefined) return `${origin} is no longer served`;
    if (before?.good === undefined) return `${origin} served with serial ${after.serial}${count}`;
    if (before.serial === after.serial) return `${origin} unchanged, serial ${after.serial}${count}`;
    return `${origin} serial ${before.serial} -> ${after.serial}${count}`;
  });
}

/** Why a ref may not be pushed at all; `undefined` where it may. */
export function isForbiddenRef(move: RefMove, mode: PrimaryMode): string | undefined {
  if (mode.kind === "read-only") return mode.reason;
  if (move.name === MACHINE) return "branch machine is the server's";
  if (move.name.startsWith(OWN_REFS)) return `${OWN_REFS} is the server's`;
  if (move.new === undefined) return "refs are not deleted here";
  if (move.name === MAIN && mode.kind === "remote") return `branch main follows ${mode.upstream}; push there`;
  return undefined;
}
