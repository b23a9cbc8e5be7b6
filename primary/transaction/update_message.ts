import { type RRset, RRTYPE, typeName } from "../../dns/mod.ts";
import { sameRRset } from "../layers/contents.ts";
import type { ZoneStep } from "./step.ts";

/** The message of a commit on branch `machine`: a subject, and below it what changed, an RRset a line. */
export function updateMessage(steps: readonly ZoneStep[], subject: string): string {
  const lines: string[] = [];
  for (const { changes } of steps) {
    for (const { owner, before, after } of changes ?? []) {
      const types = new Set([...before, ...after].map((set) => set.type));
      for (const type of types) {
        const was = before.find((set) => set.type === type);
        const now = after.find((set) => set.type === type);
        if (!sameRRset(was, now) && type !== RRTYPE.SOA) {
          lines.push(`${verb(was, now)} ${owner} ${typeName(type)}`);
        }
      }
    }
  }
  const shown = lines.slice(0, MOST_LINES);
  if (lines.length > MOST_LINES) shown.push(`and ${lines.length - MOST_LINES} more`);
  return `${subject}\n\n${shown.join("\n")}`.trimEnd();
}

const MOST_LINES = 100;

function verb(was: RRset | undefined, now: RRset | undefined): string {
  if (was === undefined) return "add";
  return now === undefined ? "delete" : "change";
}
