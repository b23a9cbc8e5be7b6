import {
  type Fault,
  isAtOrBelow,
  type Name,
  parseZoneFile,
  recordToText,
  type RRset,
} from "../../dns/mod.ts";
import { type Contents, tidyRdatas } from "../layers/contents.ts";
import { machinePath } from "./machine_files.ts";
import { recordsOf } from "./records.ts";

/** The file of one owner name on branch `machine`: one record a line, sorted; `undefined` where nothing is left. */
export function machineFile(sets: readonly RRset[]): Uint8Array | undefined {
  const lines = sets.flatMap((set) => recordsOf(set).map((record) => recordToText(record)));
  if (lines.length === 0) return undefined;
  return new TextEncoder().encode(lines.sort().map((line) => `${line}\n`).join(""));
}

/**
 * Reads the files of one zone back. What another hand put there is bound to the same form: a file speaks for the owner
 * name of its path and no other. What does not is left out and said.
 */
export function readMachineZone(
  zone: Name,
  files: Iterable<{ path: string; bytes: Uint8Array }>,
): { contents: Contents; faults: Fault[] } {
  const contents = new Map<Name, RRset[]>();
  const faults: Fault[] = [];
  for (const { path, bytes } of files) {
    const found = parseZoneFile({ file: path, bytes, origin: zone }, (record, position) => {
      const { owner, type, ttl, rdata } = record;
      if (!isAtOrBelow(owner, zone) || machinePath(zone, owner) !== path) {
        const message = `"${owner}" does not belong in this file`;
        faults.push({ position, severity: "error", code: "out-of-zone", message });
        return;
      }
      let sets = contents.get(owner);
      if (sets === undefined) contents.set(owner, sets = []);
      const at = sets.findIndex((set) => set.type === type);
      if (at === -1) sets.push({ owner, type, ttl, rdatas: [rdata] });
      else sets[at] = { ...sets[at], rdatas: tidyRdatas(type, [...sets[at].rdatas, rdata]) };
    });
    faults.push(...found.filter((fault) => fault.severity === "error"));
  }
  for (const sets of contents.values()) sets.sort((a, b) => a.type - b.type);
  return { contents, faults };
}
