import type { Name, RRset, UpdateOperation, ZoneView } from "../../dns/mod.ts";
import { applyOperations, labelsOf, type RRsetChange, typeName } from "../../dns/mod.ts";
import { hasRdata, rrsetOf } from "../layers/contents.ts";
import { withOwners } from "./machine_layer.ts";
import { type ServedState, zoneOf } from "./served_state.ts";
import type { ServedZone } from "./served_zone.ts";
import { stepZone, type ZoneStep } from "./step.ts";

/** What records changed by a program come to: steps, and the files of branch `machine` to write. */
export interface UpdatePlan {
  readonly steps: readonly ZoneStep[];
  /** Zone, owner, and the owner's RRsets in the machine layer from now on. */
  readonly edits: ReadonlyMap<Name, ReadonlyMap<Name, readonly RRset[]>>;
}

export interface UpdateRefusal {
  readonly code: "servfail" | "refused";
  readonly reason: Reason;
}

/** Why an update is refused: said at once, or with the place where people wrote what stands in its way. */
export type Reason = string | {
  readonly written: { readonly zone: ServedZone; readonly owner: Name; readonly type: number };
  /** @param place a file, and the line in it */
  readonly say: (place: string) => string;
};

export type PlannedUpdate = { readonly ok: true; readonly plan: UpdatePlan } | {
  readonly ok: false;
  readonly refusal: UpdateRefusal;
};

/**
 * Applies operations to the served zones and finds the layer for each RRset that changes. Every owner lies in a served
 * zone, as the caller has made sure.
 *
 * @param layer `merged`: an updater, who sees both layers; `machine`: the provisioner, who sees and edits its own alone
 */
export function planUpdate(
  base: ServedState,
  operations: readonly UpdateOperation[],
  layer: "merged" | "machine",
): PlannedUpdate {
  const steps: ZoneStep[] = [];
  const edits = new Map<Name, Map<Name, readonly RRset[]>>();
  for (const [zone, own] of byZone(base, operations)) {
    if (zone.good === undefined) {
      return refuse(
        "servfail",
        `the zone ${zone.origin} is broken and answers nothing until its file is mended`,
      );
    }
    const view = layer === "merged" ? zone.served : machineView(zone);
    const changes = applyOperations(view, own);
    if (changes.length === 0) continue;
    if (zone.good.preSigned) {
      return refuse(
        "refused",
        `${zone.origin} is pre-signed and served as written; change ${zone.good.file}, sign it and push`,
      );
    }
    const owners = new Map<Name, readonly RRset[]>();
    for (const change of changes) {
      const outcome = layer === "merged" ? machineShare(zone, change) : { set: change.after };
      if ("reason" in outcome) return refuse("refused", outcome.reason);
      const sets = owners.get(change.owner) ?? zone.machine.get(change.owner) ?? [];
      const rest = sets.filter((set) => set.type !== change.type);
      owners.set(change.owner, outcome.set === undefined ? rest : [...rest, outcome.set]);
    }
    const step = stepZone(
      zone,
      { ...zone, machine: withOwners(zone.machine, owners) },
      new Set(owners.keys()),
      undefined,
    );
    const held = step.after?.heldBack.find((each) =>
      changes.some((change) =>
        change.owner === each.owner && change.type === each.type && change.after !== undefined
      )
    );
    if (held !== undefined) {
      return refuse("refused", `${held.owner} ${typeName(held.type)} cannot be served: ${held.reason}`);
    }
    steps.push(step);
    edits.set(zone.origin, owners);
  }
  return { ok: true, plan: { steps, edits } };
}

/** Names of which every record is a program's: new RRsets there go to branch `machine`, whatever people have there. */
export function isDynamicName(owner: Name): boolean {
  const labels = labelsOf(owner);
  return labels.some((label, at) =>
    label === "_acme-challenge" || (label === "_letsencrypt" && labels[at + 1] === "_tcp")
  );
}

/**
 * What of an RRset's new state belongs to the machine layer, or why the change is people's to make. An RRset stays in
 * the layer that holds it; a new one goes with the name, if people have the name; any other is the machine's.
 */
function machineShare(
  zone: ServedZone,
  change: RRsetChange,
): { set: RRset | undefined } | { reason: Reason } {
  const { owner, type, after } = change;
  const placed = zone.good?.zone.rrsets(owner) ?? [];
  const theirs = placed.find((set) => set.type === type);
  if (theirs === undefined) {
    const ours = rrsetOf(zone.machine, owner, type);
    if (placed.length > 0 && ours === undefined && !isDynamicName(owner)) {
      const written = { zone, owner, type: placed[0].type };
      const say = (place: string) =>
        `${owner} is written in ${place}; add its ${typeName(type)} there and push`;
      return { reason: { written, say } };
    }
    return { set: after };
  }
  if (isDynamicName(owner) && after !== undefined && theirs.rdatas.every((rdata) => hasRdata(after, rdata))) {
    const added = after.rdatas.filter((rdata) => !hasRdata(theirs, rdata));
    return { set: added.length === 0 ? undefined : { ...after, rdatas: added } };
  }
  const say = (place: string) =>
    `${owner} ${
      typeName(type)
    } is written in ${place}; an update cannot edit that file, change it there and push`;
  return { reason: { written: { zone, owner, type }, say } };
}

/** The machine layer alone, as if it were the zone. */
function machineView(zone: ServedZone): ZoneView {
  return {
    origin: zone.origin,
    rrset: (owner, type) => rrsetOf(zone.machine, owner, type),
    rrsets: (owner) => zone.machine.get(owner) ?? [],
  };
}

/** The operations by the zone they concern, in their order. */
function byZone(
  base: ServedState,
  operations: readonly UpdateOperation[],
): Map<ServedZone, UpdateOperation[]> {
  const zones = new Map<ServedZone, UpdateOperation[]>();
  for (const operation of operations) {
    const zone = zoneOf(base, ownerOf(operation));
    if (zone === undefined) throw new RangeError(`${ownerOf(operation)} lies in no zone served here`);
    const own = zones.get(zone);
    if (own === undefined) zones.set(zone, [operation]);
    else own.push(operation);
  }
  return zones;
}

export function ownerOf(operation: UpdateOperation): Name {
  return operation.kind === "add" ? operation.record.owner : operation.owner;
}

function refuse(code: UpdateRefusal["code"], reason: Reason): PlannedUpdate {
  return { ok: false, refusal: { code, reason } };
}
