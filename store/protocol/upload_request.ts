/** What a client asks of upload-pack, read packet by packet: pure, with a bound on what is kept. */
import { parseOid } from "../object/oid.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { type Capabilities, parseCapabilities, parseCapabilityLine } from "./capabilities.ts";
import { lineOf, type Pkt } from "./pkt_line.ts";

/** The wants of v0 and v1: `want` lines, the first with the capabilities, up to a flush. */
export class WantReader {
  readonly wants = new Set<Oid>();
  capabilities: Capabilities = new Map();
  #first = true;

  constructor(readonly maxWants: number) {}

  /** True when the list is complete. @throws {StoreError} `protocol`, `limit` */
  feed(pkt: Pkt): boolean {
    if (pkt.kind === "flush") return true;
    const line = lineIn(pkt, "a list of wants");
    if (!line.startsWith("want ")) throw unexpected(line);
    const oid = parseOid(line.slice(5, 45));
    const rest = line.slice(45);
    if (oid === undefined || (rest !== "" && !(this.#first && rest.startsWith(" ")))) throw unexpected(line);
    if (this.#first) this.capabilities = parseCapabilityLine(rest);
    this.#first = false;
    addBounded(this.wants, oid, this.maxWants, "wants");
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
  readonly haves: ReadonlySet<Oid>;
  readonly done: boolean;
  readonly noProgress: boolean;
  readonly includeTag: boolean;
  readonly offsetDeltas: boolean;
}

/** @throws {StoreError} `protocol` on what was not advertised (`deepen`, `filter`, …), `limit` */
export function parseFetch(args: readonly string[], limits: { wants: number; haves: number }): FetchArgs {
  const wants = new Set<Oid>();
  const haves = new Set<Oid>();
  for (const arg of args) {
    const oid = parseOid(arg.slice(5));
    if (arg.startsWith("want ") && oid !== undefined) addBounded(wants, oid, limits.wants, "wants");
    else if (arg.startsWith("have ") && oid !== undefined) addBounded(haves, oid, limits.haves, "haves");
    else if (!FETCH_FLAGS.has(arg)) throw unexpected(arg);
  }
  return {
    wants,
    haves,
    done: args.includes("done"),
    noProgress: args.includes("no-progress"),
    includeTag: args.includes("include-tag"),
    offsetDeltas: args.includes("ofs-delta"),
  };
}

export function addBounded(set: Set<Oid>, oid: Oid, limit: number, what: string): void {
  set.add(oid);
  if (set.size > limit) throw new StoreError("limit", `more than ${limit} ${what}`);
}

const MAX_PREFIXES = 1024;
const FETCH_FLAGS: ReadonlySet<string> = new Set([
  "done",
  "thin-pack",
  "no-progress",
  "include-tag",
  "ofs-delta",
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
