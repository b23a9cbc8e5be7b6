import {
  type Fault,
  type Name,
  parseZoneWire,
  type Position,
  type RRset,
  RRTYPE,
  type WireSink,
  type Zone,
} from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { checkZone, isPreSigned, topOf } from "./check.ts";
import { mentionsSoa } from "./mentions_soa.ts";
import { includedPath } from "./included_path.ts";
import { closeFaults, locator, type OpenFault, type Place, type RRsetKey } from "./open_fault.ts";
import { pourZone } from "./pour.ts";
import { LARGEST_FILE, readContent, regularFile, type TreeFiles } from "./tree_files.ts";

/** A zone as its files give it. */
export interface ReadZone {
  readonly origin: Name;
  readonly file: string;
  /** Every file that was read or looked for, with the id of its content. */
  readonly inputs: ReadonlyMap<string, Oid | undefined>;
  /** Without `faults` that are errors it is there, and has an SOA. */
  readonly zone: Zone | undefined;
  readonly soa: RRset | undefined;
  /** Where the SOA is written; the top of the file where it is not. */
  readonly soaPosition: Position;
  readonly dnames: ReadonlySet<Name>;
  readonly preSigned: boolean;
  readonly faults: readonly Fault[];
}

/**
 * Parses and checks the zone of one file, with the files it includes.
 *
 * @param wanted `errors`: the warnings were said before and are not looked for again
 */
export async function readZone(
  files: TreeFiles,
  file: string,
  origin: Name,
  wanted: "all" | "errors" = "all",
): Promise<ReadZone> {
  const top = topOf(file);
  const found = await readTexts(files, file, origin, (octets) => pourZone(origin, top, octets));
  if ("fault" in found) return unread(origin, file, found.inputs, found.fault);
  const { texts, inputs, faults: parsed, pouring } = found;
  const { zone, soa, hasBelow, faults: placed, open } = pouring.finish();
  const checked = zone === undefined ? undefined : checkZone(zone, { soa, hasBelow }, top);

  // With lines unread, what "is missing" in the zone may well stand in one of them.
  const unparsed = hasErrors(parsed);
  const doubtful = ({ code }: OpenFault) =>
    unparsed && (NEEDS_ALL.has(code) || (code === "no-soa" && [...texts.values()].some(mentionsSoa)));
  const openFaults = [...open.kept, ...(checked?.faults.kept ?? []).filter((each) => !doubtful(each))]
    .filter(({ severity }) => severity === "error" || wanted === "all");
  const closed = closeFaults(openFaults, (sink) => void parseTexts(texts, file, origin, sink), top);
  for (const text of texts.values()) files.release?.(text);

  const unlisted = [placed, open, ...(checked === undefined ? [] : [checked.faults])].flatMap(({ dropped }) =>
    SEVERITIES.filter((severity) => dropped[severity] > 0).map((severity): Fault => ({
      position: top,
      severity,
      code: "more-faults",
      message: `${dropped[severity]} more ${severity}s of the file are not listed`,
    }))
  );
  return {
    origin,
    file,
    inputs,
    zone,
    soa: soa === undefined ? undefined : zone?.rrset(origin, RRTYPE.SOA),
    soaPosition: soa ?? top,
    dnames: checked?.dnames ?? new Set(),
    preSigned: zone !== undefined && isPreSigned(zone),
    faults: inOrder([...parsed, ...placed.kept, ...closed, ...unlisted]),
  };
}

/** Where an RRset of a zone's files is written; `undefined` where it is not, or they cannot be read. */
export async function placeOf(
  files: TreeFiles,
  file: string,
  origin: Name,
  wanted: RRsetKey,
): Promise<Place | undefined> {
  const found = await readTexts(files, file, origin, () => locator([wanted]));
  if ("fault" in found) return undefined;
  for (const text of found.texts.values()) files.release?.(text);
  return found.pouring.placeOf(wanted.owner, wanted.type);
}

/** The texts of a zone, by path, and what came of parsing them. */
interface Texts<Pouring> {
  readonly texts: ReadonlyMap<string, Uint8Array>;
  readonly inputs: ReadonlyMap<string, Oid | undefined>;
  readonly faults: readonly Fault[];
  readonly pouring: Pouring;
}

/**
 * Reads a zone's file and all that it includes. The parser is synchronous and git is not: what it asks for is fetched, and
 * the zone parsed again, until nothing is missing.
 *
 * @param pour makes what takes the records; made anew for each round, and the last one counts
 */
async function readTexts<Pouring extends { readonly take: WireSink }>(
  files: TreeFiles,
  file: string,
  origin: Name,
  pour: (octets: number) => Pouring,
): Promise<Texts<Pouring> | { readonly inputs: Texts<Pouring>["inputs"]; readonly fault: Fault }> {
  const inputs = new Map<string, Oid | undefined>();
  const texts = new Map<string, Uint8Array>();
  const wanted = new Set([file]);
  for (;;) {
    for (const path of wanted) {
      const oid = regularFile(files, path);
      inputs.set(path, oid);
      if (oid === undefined) continue;
      const content = await readContent(files, path, oid);
      // Without inputs, so that it is tried again.
      if ("fault" in content) return { inputs: new Map(), fault: content.fault };
      const { bytes } = content;
      if (bytes.length > LARGEST_FILE) return { inputs, fault: tooLarge(path, bytes.length) };
      texts.set(path, bytes);
    }
    wanted.clear();
    if (!texts.has(file)) {
      return { inputs, fault: error(file, "missing", `the file of the zone ${origin} is not there`) };
    }
    const pouring = pour([...texts.values()].reduce((sum, { length }) => sum + length, 0));
    const { take } = pouring;
    const faults = parseTexts(
      texts,
      file,
      origin,
      // Nothing of a round counts in which something is missing.
      (entry) => wanted.size > 0 ? undefined : take(entry),
      (path) => {
        if (!inputs.has(path)) wanted.add(path);
      },
    );
    if (wanted.size === 0) return { texts, inputs, faults, pouring };
    if (inputs.size + wanted.size > MOST_INPUTS) {
      const message = `the zone ${origin} includes more than ${MOST_INPUTS} files`;
      return { inputs, fault: error(file, "include", message) };
    }
  }
}

/** @param missing told of each included file that is not among the texts; it is taken for an empty one then, or for none */
function parseTexts(
  texts: ReadonlyMap<string, Uint8Array>,
  file: string,
  origin: Name,
  sink: WireSink,
  missing: (path: string) => void = () => {},
): Fault[] {
  return parseZoneWire({
    file,
    bytes: texts.get(file) ?? new Uint8Array(),
    origin,
    include: (written, from) => {
      const path = includedPath(written, from);
      if (path === undefined) return { reason: `"${written}" lies outside the repository` };
      const bytes = texts.get(path);
      if (bytes === undefined) missing(path);
      return bytes && { file: path, bytes };
    },
  }, sink);
}

export function hasErrors(faults: readonly Fault[]): boolean {
  return faults.some((fault) => fault.severity === "error");
}

/** By file, line and column. */
export function inOrder(faults: readonly Fault[]): Fault[] {
  return [...faults].sort((a, b) =>
    a.position.file !== b.position.file
      ? (a.position.file < b.position.file ? -1 : 1)
      : a.position.line - b.position.line || a.position.column - b.position.column
  );
}

/** Included files a zone may have. */
const MOST_INPUTS = 1000;

const SEVERITIES: readonly Fault["severity"][] = ["error", "warning"];

/** Faults of something not being there. */
const NEEDS_ALL: ReadonlySet<string> = new Set(["no-ns", "missing-glue"]);

function unread(
  origin: Name,
  file: string,
  inputs: ReadonlyMap<string, Oid | undefined>,
  fault: Fault,
): ReadZone {
  return {
    origin,
    file,
    inputs,
    zone: undefined,
    soa: undefined,
    soaPosition: topOf(file),
    dnames: new Set(),
    preSigned: false,
    faults: [fault],
  };
}

function tooLarge(path: string, size: number): Fault {
  return error(path, "too-large", `the file has ${size} bytes; at most ${LARGEST_FILE} are read`);
}

function error(file: string, code: string, message: string): Fault {
  return { position: topOf(file), severity: "error", code, message };
}
