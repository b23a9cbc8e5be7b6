import type { Context, Hono } from "hono";
import { type Name, parseName, recordToText, type ResourceRecord } from "../dns/mod.ts";
import type { ZoneHistory } from "../primary/mod.ts";

/** Finds what a zone was under an earlier serial; `undefined` where nobody knows it for certain. */
export type FindHistory = (zone: Name, serial: number) => Promise<ZoneHistory | undefined>;

/**
 * `GET /zones/NAME/history/SERIAL`: what changed in a zone since a serial, as JSON. Looking far back reads many commits, and
 * may fetch them first: one search at a time, and who comes meanwhile is told to come again.
 */
export function historyRoute(app: Hono, find: FindHistory): void {
  let searching = false;
  app.get("/zones/:zone/history/:serial", async (context) => {
    const zone = zoneNamed(context.req.param("zone"));
    const serial = serialIn(context.req.param("serial"));
    if (zone === undefined) return refuse(context, 400, "the zone is no domain name");
    if (serial === undefined) return refuse(context, 400, "a serial is a number from 0 to 4294967295");
    if (searching) {
      context.header("Retry-After", "5");
      return refuse(context, 503, "another search is under way; try again");
    }
    searching = true;
    try {
      const found = await find(zone, serial);
      return found === undefined
        ? refuse(context, 404, "no such zone is served, or what it was under this serial is not known")
        : context.json({ zone: shown(zone), serial, ...historyOf(found) });
    } finally {
      searching = false;
    }
  });
}

function historyOf(found: ZoneHistory) {
  if (found.kind === "file") return { source: "file", commit: found.commit, records: texts(found.records) };
  const deltas = found.deltas.map(({ from, to, deleted, added }) => ({
    from,
    to,
    deleted: texts(deleted),
    added: texts(added),
  }));
  return { source: "journal", deltas };
}

function texts(records: readonly ResourceRecord[]): string[] {
  return records.map(recordToText);
}

function zoneNamed(text: string): Name | undefined {
  const parsed = parseName(text.endsWith(".") ? text : `${text}.`);
  return parsed.ok ? parsed.value : undefined;
}

function serialIn(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff ? Number(text) : undefined;
}

function shown(zone: Name): string {
  return zone === "." ? "." : zone.slice(0, -1);
}

function refuse(context: Context, status: 400 | 404 | 503, error: string): Response {
  return context.json({ error }, status);
}
