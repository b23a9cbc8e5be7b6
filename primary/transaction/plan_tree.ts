import { type Fault, type Name, type Position, serialGreater } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { hasErrors, inOrder, type ReadZone, readZone } from "../gate/read_zone.ts";
import { readKeys } from "../gate/read_keys.ts";
import { regularFile, type TreeFiles, UNREADABLE } from "../gate/tree_files.ts";
import { findZones, type SniffCache } from "../gate/zone_set.ts";
import type { Contents } from "../layers/contents.ts";
import { serialOf } from "../serial/soa.ts";
import type { ServedState } from "./served_state.ts";
import type { GoodLayer, ZoneSource } from "./served_zone.ts";
import { removeZone, stepZone, type ZoneStep } from "./step.ts";

/** What serving another commit of `main`, or of `machine`, would do. Nothing has happened yet. */
export interface TreePlan {
  readonly steps: readonly ZoneStep[];
  readonly keys: ServedState["keys"];
  /** Errors and warnings of everything that was read, by file, line and column. */
  readonly faults: readonly Fault[];
  /** Zones read anew and good, with the records in their files. */
  readonly read: ReadonlyMap<Name, number>;
}

export interface TreeTarget {
  readonly files: TreeFiles;
  /** What branch `machine` has for a zone, where it may differ from what is served or the zone is new. */
  machineLayer(zone: Name): Promise<Contents>;
  /** Zones whose machine layer is to be read again, besides new ones. */
  readonly machineTouched: ReadonlySet<Name> | "all";
  /** A last good state of a zone, looked for when one that is not served is faulty. */
  lastGood(zone: Name, file: string): Promise<GoodLayer | undefined>;
}

/**
 * Reads what changed, checks it, merges the layers and finds the differences and serials. A zone that is faulty stays
 * as it is served; whether that refuses the whole change is the caller's to say, from `faults`.
 */
export async function planTree(base: ServedState, target: TreeTarget, cache: SniffCache): Promise<TreePlan> {
  const { files } = target;
  const set = await findZones(files, base.zones, cache);
  const keys = await readKeys(files, set.keyFiles);
  const faults: Fault[] = [...set.faults, ...keys.faults];
  const steps: ZoneStep[] = [];
  const read = new Map<Name, number>();

  for (const [origin, file] of set.zones) {
    const before = base.zones.get(origin);
    const rereadMachine = before === undefined || target.machineTouched === "all" ||
      target.machineTouched.has(origin);
    const contested = set.contested.has(origin);
    if (before !== undefined && !contested && isUnchanged(before.source, file, files)) {
      if (!rereadMachine) continue;
      steps.push(
        stepZone(before, { ...before, machine: await target.machineLayer(origin) }, undefined, undefined),
      );
      continue;
    }
    const machine = rereadMachine ? await target.machineLayer(origin) : before.machine;
    const floor = base.serials.get(origin);
    const zone = contested ? undefined : await readZone(files, file, origin);
    const found = zone?.faults ?? set.faults.filter((fault) => fault.code === "duplicate-zone");
    if (zone !== undefined) faults.push(...found);
    const source: ZoneSource = { file, inputs: zone?.inputs ?? new Map() };

    const good = zone === undefined || hasErrors(found) ? undefined : goodLayer(zone);
    if (zone !== undefined && good !== undefined) {
      const step = stepZone(
        before,
        { origin, source, faults: [], good, machine },
        undefined,
        floor,
      );
      const fault = serialNotRaised(step, floor, zone.soaPosition);
      if (fault === undefined) {
        read.set(origin, good.zone.recordCount);
        steps.push(step);
        continue;
      }
      faults.push(fault);
      steps.push(await hold(base, target, origin, source, [fault], machine, floor));
      continue;
    }
    steps.push(await hold(base, target, origin, source, found, machine, floor));
  }

  for (const [origin, before] of base.zones) if (!set.zones.has(origin)) steps.push(removeZone(before));
  return { steps, keys: keys.keys, faults: inOrder(faults), read };
}

/** A faulty zone stays at its last good state; one that has none is served as broken. */
async function hold(
  base: ServedState,
  target: TreeTarget,
  origin: Name,
  source: ZoneSource,
  faults: readonly Fault[],
  machine: Contents,
  floor: number | undefined,
): Promise<ZoneStep> {
  const before = base.zones.get(origin);
  const errors = faults.filter((fault) => fault.severity === "error");
  const unreadable = errors.some((fault) => fault.code === UNREADABLE);
  const last = before?.good === undefined
    ? unreadable ? undefined : await target.lastGood(origin, source.file)
    : { ...before.good, heldAt: before.good.heldAt ?? base.main };
  return stepZone(before, { origin, source, faults: errors, good: last, machine }, undefined, floor);
}

function goodLayer(zone: ReadZone): GoodLayer | undefined {
  const { zone: records, soa, file, dnames, preSigned } = zone;
  if (records === undefined || soa === undefined) return undefined;
  return { file, heldAt: undefined, zone: records, soa, dnames, preSigned };
}

/** A last good layer, read from an older commit; `undefined` where it is not good there either. */
export async function readGoodLayer(
  files: TreeFiles,
  file: string,
  origin: Name,
  heldAt: Oid | undefined,
): Promise<{ layer: GoodLayer; source: ZoneSource } | { layer: undefined; faults: readonly Fault[] }> {
  const zone = await readZone(files, file, origin, "errors");
  const layer = hasErrors(zone.faults) ? undefined : goodLayer(zone);
  return layer === undefined
    ? { layer, faults: zone.faults }
    : { layer: { ...layer, heldAt }, source: { file, inputs: zone.inputs } };
}

function isUnchanged(source: ZoneSource, file: string, files: TreeFiles): boolean {
  if (source.file !== file || source.inputs.size === 0) return false;
  for (const [path, oid] of source.inputs) if (regularFile(files, path) !== oid) return false;
  return true;
}

/**
 * A pre-signed zone is served as written, so its serial is the people's duty: other content under an old serial would
 * never reach a secondary.
 */
function serialNotRaised(
  step: ZoneStep,
  floor: number | undefined,
  position: Position,
): Fault | undefined {
  const { before, after } = step;
  if (after?.good === undefined || !after.good.preSigned) return undefined;
  const serial = serialOf(after.good.soa);
  const served = before?.good === undefined ? floor : before.serial;
  if (served === undefined || serialGreater(serial, served)) return undefined;
  if (serial === served && (before?.good === undefined || step.changes?.length === 0)) return undefined;
  return {
    position,
    severity: "error",
    code: "serial-not-raised",
    message: `the pre-signed zone ${step.origin} changed, but its serial ${serial} is not above ${served}, ` +
      `which is served; raise it and sign again`,
  };
}
