import { configureSync, getConsoleSink, getLogger, type Logger, type LogRecord } from "@logtape/logtape";

export type LogLevel = "debug" | "info" | "warning" | "error";

/** Sends the program's log to standard error, one line a record: time, level, room, sentence. */
export function startLog(level: LogLevel): void {
  configureSync({
    reset: true,
    sinks: { stderr: (record) => writeLine(formatRecord(record)), meta: getConsoleSink() },
    loggers: [
      { category: "bailiwick", lowestLevel: level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["meta"] },
    ],
  });
}

/** The logger of a room. */
export function logOf(room: string): Logger {
  return getLogger(["bailiwick", room]);
}

function formatRecord(record: LogRecord): string {
  const text = record.message.map((part) => typeof part === "string" ? part : String(part)).join("");
  const room = record.category.slice(1).join(".");
  // One record is one line, whatever a peer put into a name: nobody forges log lines.
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, " ");
  return `${new Date(record.timestamp).toISOString()} ${record.level} ${room}: ${line}\n`;
}

const encoder = new TextEncoder();

function writeLine(line: string): void {
  const bytes = encoder.encode(line);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}
