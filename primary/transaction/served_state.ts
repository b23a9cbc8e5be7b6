import { type Name, parentName } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import type { TreeFile } from "../gate/tree_files.ts";
import type { TsigKey } from "../../dns/mod.ts";
import type { ServedZone } from "./served_zone.ts";
import type { ZoneStep } from "./step.ts";

/** Everything served at one moment: two commits and what follows from them. Never altered. */
export interface ServedState {
  readonly main: Oid | undefined;
  readonly machine: Oid | undefined;
  /** The files of `main`. */
  readonly files: ReadonlyMap<string, TreeFile>;
  readonly zones: ReadonlyMap<Name, ServedZone>;
  /** The last serial of every zone ever served. */
  readonly serials: ReadonlyMap<Name, number>;
  /** TSIG keys of the `_keys` files. */
  readonly keys: readonly TsigKey[];
}

export const NOTHING_SERVED: ServedState = {
  main: undefined,
  machine: undefined,
  files: new Map(),
  zones: new Map(),
  serials: new Map(),
  keys: [],
};

/** The zone a name belongs to: the served zone with the longest matching apex. */
export function zoneOf(state: ServedState, name: Name): ServedZone | undefined {
  for (let at: Name | undefined = name; at !== undefined; at = parentName(at)) {
    const zone = state.zones.get(at);
    if (zone !== undefined) return zone;
  }
  return undefined;
}

/** The state after a change, from its steps. */
export function afterSteps(
  base: ServedState,
  steps: readonly ZoneStep[],
  rest: Partial<Pick<ServedState, "main" | "machine" | "files" | "keys">>,
): ServedState {
  const zones = new Map(base.zones);
  const serials = new Map(base.serials);
  for (const { origin, after } of steps) {
    if (after === undefined) zones.delete(origin);
    else zones.set(origin, after);
    if (after?.good !== undefined) serials.set(origin, after.serial);
  }
  return { ...base, ...rest, zones, serials };
}
