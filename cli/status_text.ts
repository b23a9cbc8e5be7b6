/** `status` for people: a few facts, then a table a kind of thing. */
import type { CountersStatus, Status } from "./status_form.ts";

export function statusText(status: Status, now: number): string {
  const { zones, certificates, damage, unread } = status;
  const parts = [facts(status)];
  if (zones.length > 0) {
    parts.push(table(
      ["ZONE", "SERIAL", "STATE", "MAIN", "MACHINE"],
      zones.map((zone) => ({
        cells: [zone.name, String(zone.serial ?? "-"), zone.state, short(zone.main), short(zone.machine)],
        below: [
          ...zone.faults,
          ...(zone.faultCount > zone.faults.length
            ? [`and ${zone.faultCount - zone.faults.length} more`]
            : []),
          ...zone.heldBack.map(({ owner, type, reason }) => `held back: ${owner} ${type}: ${reason}`),
        ],
      })),
    ));
  }
  if (certificates.length > 0) {
    parts.push(table(
      ["CERTIFICATE", "STATE", "UNTIL", "LEFT"],
      certificates.map(({ host, state, notAfter, reason }) => ({
        cells: [host, state, notAfter ?? "-", notAfter === null ? "-" : left(Date.parse(notAfter) - now)],
        below: reason === null ? [] : [reason],
      })),
    ));
  }
  if (damage.length > 0) {
    const rows = damage.map(({ pack, reason }) => ({ cells: [pack, reason], below: [] }));
    parts.push(table(["DAMAGED PACK", "WHY"], rows));
  }
  if (unread.length > 0) parts.push(["NOT READ", ...unread].join("\n"));
  return parts.join("\n\n");
}

function facts({ server, source, data, collection, zones, counters }: Status): string {
  const lines: [string, string][] = [["server", serverText(server)], ["data", data]];
  if (source !== null) lines.push(["zones from", sourceText(source)]);
  if (zones.length === 0) lines.push(["zones", "none"]);
  if (collection !== null) lines.push(["collected", `${collection.at}: ${collection.outcome}`]);
  const counted = counters === null ? [] : countersText(counters);
  counted.forEach((text, index) => lines.push([index === 0 ? "answered" : "", text]));
  return lines.map(([label, text]) => `${label.padEnd(12)}${text}`).join("\n");
}

/** What is worth a line each. The rest is for `--json`. */
function countersText(counters: CountersStatus): string[] {
  const { at, queries, answers, rcodes, types, limited, slipped, tcp } = counters;
  const lines = [`${answers} of ${queries} queries until ${at}`];
  if (queries === 0) return lines;
  const most = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts).sort(([, a], [, b]) => b - a).slice(0, 6)
      .map(([name, count]) => `${name} ${count}`).join(", ");
  lines.push(most(rcodes), most(types));
  if (limited + slipped > 0) lines.push(`rate limited: ${limited} dropped, ${slipped} sent truncated`);
  if (tcp.accepted + tcp.refused > 0) {
    lines.push(`TCP connections: ${tcp.open} open, ${tcp.accepted} accepted, ${tcp.refused} refused`);
  }
  return lines.filter((line) => line !== "");
}

function serverText({ running, pid, since, dns, ssh, web, gitDaemon, gitHttp }: Status["server"]): string {
  if (!running) return "not running";
  const where = dns === undefined ? [] : [
    `dns ${dns.join(", ")}`,
    `ssh ${ssh}`,
    `web ${web}`,
    ...[gitDaemon, gitHttp].filter((address) => address !== null && address !== undefined),
  ];
  return [`running, pid ${pid ?? "unknown"}`, ...(since === undefined ? [] : [`since ${since}`]), ...where]
    .join("; ");
}

function sourceText(source: NonNullable<Status["source"]>): string {
  switch (source.kind) {
    case "embedded":
      return source.repository;
    case "bundle":
      return `the bundle ${source.file}`;
    case "remote": {
      const reached = source.age === null ? "never reached" : `last reached ${duration(source.age)} ago`;
      const trouble = source.trouble === null ? "" : `; the last pull failed: ${source.trouble}`;
      return `${source.upstream}, branch ${source.branch}, ${reached}${trouble}`;
    }
  }
}

interface Row {
  readonly cells: readonly string[];
  /** Lines of their own below the row. */
  readonly below: readonly string[];
}

function table(head: readonly string[], rows: readonly Row[]): string {
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map(({ cells }) => cells[at].length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, at) => cell.padEnd(widths[at])).join("  ").trimEnd();
  return [
    line(head),
    ...rows.flatMap(({ cells, below }) => [line(cells), ...below.map((text) => `    ${text}`)]),
  ].join("\n");
}

function short(commit: string | null): string {
  return commit?.slice(0, 12) ?? "-";
}

function left(milliseconds: number): string {
  return milliseconds < 0 ? "expired" : duration(milliseconds / 1000);
}

/** The two largest units: `3 d 4 h`. */
function duration(seconds: number): string {
  const parts: string[] = [];
  let rest = Math.floor(seconds);
  for (const [unit, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count > 0 && parts.length < 2) parts.push(`${count} ${unit}`);
  }
  return parts.length === 0 ? "0 s" : parts.join(" ");
}

const UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]] as const;
