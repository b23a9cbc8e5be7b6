import { type Fault, type Name, parseZoneFile, type RRset, RRTYPE } from "../../dns/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { checkZone, isPreSigned, topOf } from "./check.ts";
import { collectZone, type PlacedContents } from "./collect.ts";
import { mentionsSoa } from "./mentions_soa.ts";
import { includedPath } from "./included_path.ts";
import { LARGEST_FILE, readContent, regularFile, type TreeFiles } from "./tree_files.ts";

/** A zone as its files give it. */
export interface ReadZone {
  readonly origin: Name;
  readonly file: string;
  /** Every file that was read or looked for, with the id of its content. */
  readonly inputs: ReadonlyMap<string, Oid | undefined>;
  readonly contents: PlacedContents;
  readonly records: number;
  readonly soa: RRset | undefined;
  readonly preSigned: boolean;
  readonly faults: readonly Fault[];
}

/**
 * Parses and checks the zone of one file, with the files it includes. The parser is synchronous and git is not: what
 * it asks for is fetched, and the zone parsed again, until nothing is missing.
 */
export async function readZone(files: TreeFiles, file: string, origin: Name): Promise<ReadZone> {
  const inputs = new Map<string, Oid | undefined>();
  const held = new Map<string, Uint8Array>();
  const wanted = [file];
  for (;;) {
    for (const path of wanted.splice(0)) {
      const oid = regularFile(files, path);
      inputs.set(path, oid);
      if (oid === undefined) continue;
      const content = await readContent(files, path, oid);
      // Without inputs, so that it is tried again.
      if ("fault" in content) return unread(origin, file, new Map(), content.fault);
      const { bytes } = content;
      if (bytes.length > LARGEST_FILE) return unread(origin, file, inputs, tooLarge(path, bytes.length));
      held.set(path, bytes);
    }
    const bytes = held.get(file);
    if (bytes === undefined) {
      return unread(
        origin,
        file,
        inputs,
        error(file, "missing", `the file of the zone ${origin} is not there`),
      );
    }
    const zone = collectZone(origin);
    const parsed = parseZoneFile({
      file,
      bytes,
      origin,
      include: (written, from) => {
        const path = includedPath(written, from);
        if (path === undefined) return { reason: `"${written}" lies outside the repository` };
        const bytes = held.get(path);
        if (bytes !== undefined) return { file: path, bytes };
        if (inputs.has(path)) return undefined;
        if (!wanted.includes(path)) wanted.push(path);
        // Read in the next round; until then it is empty, and nothing of this round counts.
        return { file: path, bytes: new Uint8Array() };
      },
    }, zone.take);
    if (wanted.length > 0 && inputs.size + wanted.length <= MOST_INPUTS) continue;
    if (wanted.length > 0) {
      return unread(
        origin,
        file,
        inputs,
        error(file, "include", `the zone ${origin} includes more than ${MOST_INPUTS} files`),
      );
    }

    const { contents, records, faults } = zone.finish();
    // With lines unread, what "is missing" in the zone may well stand in one of them.
    const unparsed = parsed.some((fault) => fault.severity === "error");
    const doubtful = (fault: Fault) =>
      unparsed &&
      (NEEDS_ALL.has(fault.code) || (fault.code === "no-soa" && [...held.values()].some(mentionsSoa)));
    const whole = checkZone(origin, file, contents).filter((fault) => !doubtful(fault));
    return {
      origin,
      file,
      inputs,
      contents,
      records,
      soa: contents.get(origin)?.find((set) => set.type === RRTYPE.SOA),
      preSigned: isPreSigned(origin, contents),
      faults: inOrder([...parsed, ...faults, ...whole]),
    };
  }
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
    contents: new Map(),
    records: 0,
    soa: undefined,
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
