import type { Fault, Name } from "../../dns/mod.ts";
import { typeName } from "../../dns/mod.ts";
import type { HeldBack } from "../layers/merge.ts";
import type { Collection } from "./collection.ts";

/** Why a zone is not all that its branches hold: for who looks at the database from outside. */
export interface ZoneTrouble {
  /** `held`: its last good state is served; `broken`: SERVFAIL; `good`: records of programs are held back. */
  readonly state: "good" | "held" | "broken";
  readonly file: string;
  /** The first faults. */
  readonly faults: readonly Fault[];
  readonly faultCount: number;
  /** Records of branch `machine` that may not be served beside people's. */
  readonly heldBack: readonly { readonly owner: Name; readonly type: string; readonly reason: string }[];
}

/** What `writeTroubles` is told of a zone. */
export interface TroubledZone {
  readonly name: Name;
  readonly state: ZoneTrouble["state"];
  readonly file: string;
  readonly faults: readonly Fault[];
  readonly heldBack: readonly HeldBack[];
}

/** Leaves a zone's fault list readable. */
const MOST_FAULTS = 20;

/** Keeps a drawer at the troubles there are; writes only what changes. */
export interface TroubleNotes {
  /** @param zone `undefined` for one that is served no more */
  set(name: Name, zone: TroubledZone | undefined): void;
  /** These are all zones there are. */
  setAll(zones: Iterable<TroubledZone>): void;
}

export function troubleNotes(collection: Collection): TroubleNotes {
  const noted = new Map([...collection.list()].map(([name, value]) => [name, JSON.stringify(value)]));

  function set(name: string, zone: TroubledZone | undefined): void {
    const trouble = zone === undefined ? undefined : troubleOf(zone);
    const text = trouble === undefined ? undefined : JSON.stringify(trouble);
    if (noted.get(name) === text) return;
    if (text === undefined) {
      collection.delete(name);
      noted.delete(name);
    } else {
      collection.put(name, trouble);
      noted.set(name, text);
    }
  }

  return {
    set,
    setAll(zones) {
      const all = new Map([...zones].map((zone) => [String(zone.name), zone]));
      for (const name of new Set([...noted.keys(), ...all.keys()])) set(name, all.get(name));
    },
  };
}

function troubleOf({ state, file, faults, heldBack }: TroubledZone): ZoneTrouble | undefined {
  const errors = faults.filter(({ severity }) => severity === "error");
  if (state === "good" && heldBack.length === 0) return undefined;
  return {
    state,
    file,
    faults: errors.slice(0, MOST_FAULTS),
    faultCount: errors.length,
    heldBack: heldBack.map(({ owner, type, reason }) => ({ owner, type: typeName(type), reason })),
  };
}

/** The drawer's content, by zone. */
export function readTroubles(collection: Pick<Collection, "list">): Map<Name, ZoneTrouble> {
  // What we wrote ourselves.
  return collection.list() as Map<Name, ZoneTrouble>;
}
