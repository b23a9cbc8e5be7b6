/** What a client asks of upload-pack, read packet by packet: pure, with a bound on what is kept. */
import { parseOid } from "../object/oid.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { type Capabilities, parseCapabilities, parseCapabilityLine } from "./capabilities.ts";
import { lineOf, type Pkt } from "./pkt_line.ts";
import { type Filter, parseFilter } from "./upload/filter.ts";

/** Bounds on what one client may ask for. */
export interface UploadLimits {
  readonly wants: number;
  /** In one conversation (v0, v1) or request (v2). */
  readonly haves: number;
  /** Shallow commits of the client's. */
  readonly shallow: number;
  /** Refs in `deepen-not`. */
  readonly deepenNot: number;
  /** Of one v2 request. */
  readonly requestBytes: number;
}

/** How much history is asked for, and where the client's ends (gitprotocol-pack "shallow-line", "depth-request"). */
export interface DepthRequest {
  /** Commits that the client has without their parents. */
  readonly shallow: ReadonlySet<Oid>;
  /** Commits from the tips (or, `relative`, from where the client's history ends) downwards. */
  readonly depth: number | undefined;
  readonly relative: boolean;
  /** Seconds since 1970. */
  readonly since: number | undefined;
  /** Refs whose history is left out. */
  readonly not: readonly string[];
}

/** As much as there is. */
export const INFINITE_DEPTH = 0x7fffffff;

/** Takes the lines on depth and filters, which are the same in every version. */
class ShapeReader {
  readonly shallow = new Set<Oid>();
  readonly not: string[] = [];
  depth: number | undefined;
  since: number | undefined;
  filter: Filter | undefined;

  constructor(readonly limits: UploadLimits) {}

  /** False where the line is about something else. @throws {StoreError} `protocol`, `limit` */
  take(line: string): boolean {
    const space = line.indexOf(" ");
    const value = line.slice(space + 1);
    switch (line.slice(0, space)) {
      case "shallow": {
        const oid = parseOid(value);
        if (oid === undefined) throw unexpected(line);
        addBounded(this.shallow, oid, this.limits.shallow, "shallow commits");
        return true;
      }
      case "deepen":
        if (this.depth !== undefined) throw unexpected(line);
        this.depth = Math.min(numberIn(value, line), INFINITE_DEPTH);
        if (this.depth === 0) throw unexpected(line);
        return true;
      case "deepen-since":
        if (this.since !== undefined) throw unexpected(line);
        this.since = numberIn(value, line);
        return true;
      case "deepen-not":
        if (this.not.length >= this.limits.deepenNot) {
          throw new StoreError("limit", `more than ${this.limits.deepenNot} refs in deepen-not`);
        }
        this.not.push(value);
        return true;
      case "filter":
        if (this.filter !== undefined) throw unexpected(line);
        this.filter = parseFilter(value);
        return true;
      default:
        return false;
    }
  }

  /** @throws {StoreError} `protocol` for what cannot go together */
  request(relative: boolean): DepthRequest {
    const { shallow, depth, since, not } = this;
    if (depth !== undefined && (since !== undefined || not.length > 0)) {
      throw new StoreError("protocol", "deepen does not go with deepen-since or deepen-not");
    }
    return { shallow, depth, relative, since, not };
  }
}

/** The wants of v0 and v1: `want` lines, the first with the capabilities, then depth and filter, up to a flush. */
export class WantReader {
  readonly wants = new Set<Oid>();
  capabilities: Capabilities = new Map();
  readonly #shape: ShapeReader;
  readonly #limits: UploadLimits;
  #first = true;

  constructor(limits: UploadLimits) {
    this.#limits = limits;
    this.#shape = new ShapeReader(limits);
  }

  get filter(): Filter | undefined {
    return this.#shape.filter;
  }

  get depth(): DepthRequest {
    return this.#shape.request(this.capabilities.has("deepen-relative"));
  }

  /** True when the list is complete. @throws {StoreError} `protocol`, `limit` */
  feed(pkt: Pkt): boolean {
    if (pkt.kind === "flush") return true;
    const line = lineIn(pkt, "a list of wants");
    if (!line.startsWith("want ")) {
      if (this.#first || !this.#shape.take(line)) throw unexpected(line);
      return false;
    }
    const oid = parseOid(line.slice(5, 45));
    const rest = line.slice(45);
    if (oid === undefined || (rest !== "" && !(this.#first && rest.startsWith(" ")))) throw unexpected(line);
    if (this.#first) this.capabilities = parseCapabilityLine(rest);
    this.#first = false;
    addBounded(this.wants, oid, this.#limits.wants, "wants");
    return false;
  }
}

/** A line of the v0 and v1 negotiation. @throws {StoreError} `protocol` */
export function readHaveLine(pkt: Pkt): { readonly have: Oid } | "done" | "flush" {
  if (pkt.kind === "flush") return "flush";
  const line = lineIn(pkt, "a list of haves");
  if (line === "done") return "done";
  const oid = line.startsWith("have ") ? parseOid(line.slice(5)) : undefined;
  if (oid === undefined) throw unexpected(line);
  return { have: oid };
}

/** A v2 request. */
export interface V2Request {
  readonly command: string;
  readonly capabilities: Capabilities;
  readonly args: readonly string[];
}

/** Packets of v2 requests in, one request out at its flush; `"end"` for a flush where a request could begin. */
export class V2RequestReader {
  #command: string | undefined;
  readonly #capabilities: string[] = [];
  #args: string[] | undefined;
  #bytes = 0;

  constructor(readonly maxBytes: number) {}

  /** Whether nothing of a request came yet, so that the peer may end here. */
  get idle(): boolean {
    return this.#bytes === 0;
  }

  /** @throws {StoreError} `protocol`, `limit` */
  feed(pkt: Pkt): V2Request | "end" | undefined {
    if (pkt.kind === "flush") {
      if (this.#bytes === 0) return "end";
      if (this.#command === undefined) throw new StoreError("protocol", "a request without a command");
      return {
        command: this.#command,
        capabilities: parseCapabilities(this.#capabilities),
        args: this.#args ?? [],
      };
    }
    if (pkt.kind === "delim") {
      if (this.#args !== undefined) throw new StoreError("protocol", "two delimiters in one request");
      this.#args = [];
      this.#bytes += 4;
      return undefined;
    }
    const line = lineIn(pkt, "a request");
    this.#bytes += line.length + 4;
    if (this.#bytes > this.maxBytes) {
      throw new StoreError("limit", `a request of more than ${this.maxBytes} bytes`);
    }
    if (this.#args !== undefined) this.#args.push(line);
    else if (line.startsWith("command=")) {
      if (this.#command !== undefined) throw new StoreError("protocol", "two commands in one request");
      this.#command = line.slice(8);
    } else this.#capabilities.push(line);
    return undefined;
  }
}

export interface LsRefsArgs {
  readonly peel: boolean;
  readonly symrefs: boolean;
  readonly unborn: boolean;
  /** None: all refs. */
  readonly prefixes: readonly string[];
}

/** @throws {StoreError} `protocol` */
export function parseLsRefs(args: readonly string[]): LsRefsArgs {
  const prefixes: string[] = [];
  for (const arg of args) {
    if (arg.startsWith("ref-prefix ")) prefixes.push(arg.slice(11));
    else if (arg !== "peel" && arg !== "symrefs" && arg !== "unborn") throw unexpected(arg);
  }
  return {
    peel: args.includes("peel"),
    symrefs: args.includes("symrefs"),
    unborn: args.includes("unborn"),
    // The work is prefixes times refs. As in git, a client with very many gets everything and sorts it out itself.
    prefixes: prefixes.length > MAX_PREFIXES ? [] : prefixes,
  };
}

export interface FetchArgs {
  readonly wants: ReadonlySet<Oid>;
  /** Refs wanted by name (`ref-in-want`). */
  readonly wantRefs: readonly string[];
  readonly haves: ReadonlySet<Oid>;
  readonly done: boolean;
  /** The client says itself when it has heard enough: never `ready`. */
  readonly waitForDone: boolean;
  readonly thin: boolean;
  readonly noProgress: boolean;
  readonly includeTag: boolean;
  readonly offsetDeltas: boolean;
  readonly depth: DepthRequest;
  readonly filter: Filter | undefined;
}

/** @throws {StoreError} `protocol` on what was not advertised, `limit` */
export function parseFetch(args: readonly string[], limits: UploadLimits): FetchArgs {
  const wants = new Set<Oid>();
  const wantRefs = new Set<string>();
  const haves = new Set<Oid>();
  const shape = new ShapeReader(limits);
  for (const arg of args) {
    const oid = parseOid(arg.slice(5));
    if (arg.startsWith("want ") && oid !== undefined) addBounded(wants, oid, limits.wants, "wants");
    else if (arg.startsWith("have ") && oid !== undefined) addBounded(haves, oid, limits.haves, "haves");
    else if (arg.startsWith("want-ref ")) addBounded(wantRefs, arg.slice(9), limits.wants, "wants");
    else if (!FETCH_FLAGS.has(arg) && !shape.take(arg)) throw unexpected(arg);
  }
  return {
    wants,
    wantRefs: [...wantRefs],
    haves,
    done: args.includes("done"),
    waitForDone: args.includes("wait-for-done"),
    thin: args.includes("thin-pack"),
    noProgress: args.includes("no-progress"),
    includeTag: args.includes("include-tag"),
    offsetDeltas: args.includes("ofs-delta"),
    depth: shape.request(args.includes("deepen-relative")),
    filter: shape.filter,
  };
}

export function addBounded<T>(set: Set<T>, item: T, limit: number, what: string): void {
  set.add(item);
  if (set.size > limit) throw new StoreError("limit", `more than ${limit} ${what}`);
}

const MAX_PREFIXES = 1024;
const FETCH_FLAGS: ReadonlySet<string> = new Set([
  "done",
  "thin-pack",
  "no-progress",
  "include-tag",
  "ofs-delta",
  "deepen-relative",
  "wait-for-done",
]);

function lineIn(pkt: Pkt, where: string): string {
  if (pkt.kind !== "data") throw new StoreError("protocol", `a ${pkt.kind} packet in ${where}`);
  const line = lineOf(pkt.payload);
  if (line === undefined) throw new StoreError("protocol", `a line in ${where} that is not UTF-8`);
  return line;
}

function unexpected(line: string): StoreError {
  return new StoreError("protocol", `unexpected line: ${JSON.stringify(line.slice(0, 200))}`);
}

function numberIn(text: string, line: string): number {
  if (!/^\d{1,15}$/.test(text)) throw unexpected(line);
  return Number(text);
}
