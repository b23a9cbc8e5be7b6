/** What a server reports of a push (gitprotocol-pack "Report Status"), both ways; pure. */
import { concatBytes } from "../object/bytes.ts";
import { parseOid } from "../object/oid.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { oneLine, ZERO_OID } from "./advertisement.ts";
import { encodePkt, FLUSH, lineOf, type Pkt } from "./pkt_line.ts";

/** What became of one ref. */
export type RefStatus =
  | { readonly name: string; readonly ok: true; readonly effect?: PushEffect | undefined }
  | { readonly name: string; readonly ok: false; readonly reason: string };

/** Where a server did something else than it was asked for: only `report-status-v2` can say so. */
export interface PushEffect {
  /** The ref that was really moved. */
  readonly name?: string | undefined;
  readonly old?: Oid | undefined;
  readonly new?: Oid | undefined;
  readonly forced?: boolean | undefined;
}

export interface PushStatus {
  /** `undefined` for `unpack ok`; else why the pack was not taken. */
  readonly unpack: string | undefined;
  readonly refs: readonly RefStatus[];
}

/** The report as packets, the flush at its end included. `detailed`: with the options of `report-status-v2`. */
export function encodeReport(status: PushStatus, detailed: boolean): Uint8Array {
  const lines = [encodePkt(`unpack ${status.unpack === undefined ? "ok" : oneLine(status.unpack)}\n`)];
  for (const ref of status.refs) {
    const line = ref.ok ? `ok ${ref.name}` : `ng ${printable(ref.name)} ${oneLine(ref.reason)}`;
    lines.push(encodePkt(`${line}\n`));
    if (!detailed || !ref.ok || ref.effect === undefined) continue;
    const { effect } = ref;
    const options = [
      ...(effect.name === undefined ? [] : [`refname ${effect.name}`]),
      ...("old" in effect ? [`old-oid ${effect.old ?? ZERO_OID}`] : []),
      ...("new" in effect ? [`new-oid ${effect.new ?? ZERO_OID}`] : []),
      ...(effect.forced === true ? ["forced-update"] : []),
    ];
    for (const option of options) lines.push(encodePkt(`option ${option}\n`));
  }
  lines.push(FLUSH);
  return concatBytes(lines);
}

/** Packets in, a report out. */
export class ReportReader {
  #unpack: { readonly reason: string | undefined } | undefined;
  readonly #refs: RefStatus[] = [];
  #lines = 0;

  constructor(readonly maxLines: number) {}

  /** The report when it is complete. @throws {StoreError} `protocol`, `limit` */
  feed(pkt: Pkt): PushStatus | undefined {
    if (pkt.kind === "flush") {
      if (this.#unpack === undefined) throw new StoreError("protocol", "an empty report of a push");
      return { unpack: this.#unpack.reason, refs: this.#refs };
    }
    const line = pkt.kind === "data" ? lineOf(pkt.payload) : undefined;
    if (line === undefined) {
      throw new StoreError("protocol", "a report of a push with something else than text");
    }
    if (++this.#lines > this.maxLines) {
      throw new StoreError("limit", `a report of more than ${this.maxLines} lines`);
    }
    if (this.#unpack === undefined) this.#unpack = unpackLine(line);
    else if (line.startsWith("option ")) this.#option(line.slice(7));
    else this.#refs.push(refLine(line));
    return undefined;
  }

  /** Belongs to the `ok` before it. Keys that are not known are for those who know them. */
  #option(text: string): void {
    const last = this.#refs.pop();
    if (last === undefined || !last.ok) throw new StoreError("protocol", "an option of no ref in a report");
    const [key, value = ""] = text.split(" ");
    let effect = last.effect ?? {};
    if (key === "refname") effect = { ...effect, name: value };
    else if (key === "old-oid") effect = { ...effect, old: reportedOid(value) };
    else if (key === "new-oid") effect = { ...effect, new: reportedOid(value) };
    else if (key === "forced-update") effect = { ...effect, forced: true };
    this.#refs.push({ ...last, effect });
  }
}

function unpackLine(line: string): { readonly reason: string | undefined } {
  if (!line.startsWith("unpack ")) throw notAReport(line);
  const said = oneLine(line.slice(7));
  return { reason: said === "ok" ? undefined : said };
}

function refLine(line: string): RefStatus {
  const [verdict, name = "", ...words] = line.split(" ");
  if (verdict === "ok" && name !== "") return { name, ok: true };
  if (verdict !== "ng" || name === "") throw notAReport(line);
  return { name, ok: false, reason: oneLine(words.join(" ")) || "no reason was given" };
}

function reportedOid(text: string): Oid | undefined {
  const oid = parseOid(text);
  if (oid === undefined) throw new StoreError("protocol", "a report with something that is no object id");
  return oid === ZERO_OID ? undefined : oid;
}

function notAReport(line: string): StoreError {
  return new StoreError("protocol", `not a line of a report: ${JSON.stringify(line.slice(0, 200))}`);
}

/** A name as it may stand in one line of a report. */
function printable(name: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what it is about
  return name.replace(/[\x00-\x20\x7f-\x9f]/g, "?").slice(0, 1024);
}
