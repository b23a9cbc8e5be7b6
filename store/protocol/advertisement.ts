/** What a server says first (gitprotocol-pack "Reference Discovery", gitprotocol-v2 "Capability Advertisement"). */
import { parseOid } from "../object/oid.ts";
import { isRefName } from "../repository/ref_name.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { type Capabilities, parseCapabilities, parseCapabilityLine } from "./capabilities.ts";
import { encodePkt, FLUSH, lineOf, type Pkt } from "./pkt_line.ts";

export type ProtocolVersion = 0 | 1 | 2;

export interface AdvertisedRef {
  readonly name: string;
  readonly oid: Oid;
  /** What an annotated tag names at last. */
  readonly peeled?: Oid | undefined;
}

/** The packets of a v0 or v1 advertisement; `shallow`: commits that the server has without their parents. */
export function* encodeAdvertisement(
  version: 0 | 1,
  refs: readonly AdvertisedRef[],
  capabilities: readonly string[],
  shallow: Iterable<Oid> = [],
): Generator<Uint8Array> {
  if (version === 1) yield encodePkt("version 1\n");
  const list = capabilities.join(" ");
  if (refs.length === 0) yield encodePkt(`${ZERO_OID} capabilities^{}\0${list}\n`);
  for (const [index, ref] of refs.entries()) {
    yield encodePkt(index === 0 ? `${ref.oid} ${ref.name}\0${list}\n` : `${ref.oid} ${ref.name}\n`);
    if (ref.peeled !== undefined) yield encodePkt(`${ref.peeled} ${ref.name}^{}\n`);
  }
  for (const oid of shallow) yield encodePkt(`shallow ${oid}\n`);
  yield FLUSH;
}

/** What a server said first. In v2 there are no refs yet. */
export interface Advertisement {
  readonly version: ProtocolVersion;
  readonly capabilities: Capabilities;
  readonly refs: RemoteRefs;
  /** Where the server's own history ends early (v0, v1: v2 tells with the pack). */
  readonly shallow: ReadonlySet<Oid>;
}

/** A server's refs. Names that no ref may have are left out, as git leaves them out. */
export interface RemoteRefs {
  /** `HEAD` is among them where it has a commit. */
  readonly refs: Map<string, Oid>;
  /** What annotated tags name at last. */
  readonly peeled: Map<string, Oid>;
  /** Symbolic refs and what they stand for: `HEAD`, also one without a commit where the server tells. */
  readonly symrefs: Map<string, string>;
}

/** Packets in, an advertisement out. */
export class AdvertisementReader {
  #version: ProtocolVersion | undefined;
  #items: string[] | undefined;
  #first = true;
  #capabilities: Capabilities = new Map();
  readonly #refs = emptyRefs();
  readonly #shallow = new Set<Oid>();
  #count = 0;

  constructor(readonly maxRefs: number) {}

  /** @throws {StoreError} `remote` where the server refuses, `protocol`, `limit` */
  feed(pkt: Pkt): Advertisement | undefined {
    if (pkt.kind === "flush") {
      if (this.#items !== undefined) this.#capabilities = parseCapabilities(this.#items);
      return {
        version: this.#version ?? 0,
        capabilities: this.#capabilities,
        refs: this.#refs,
        shallow: this.#shallow,
      };
    }
    if (pkt.kind !== "data") throw new StoreError("protocol", `a ${pkt.kind} packet in an advertisement`);
    refuseError(pkt);
    if (++this.#count > this.maxRefs) {
      throw new StoreError("limit", `the server has more than ${this.maxRefs} refs`);
    }
    const line = lineOf(pkt.payload);
    if (this.#version === undefined) {
      this.#version = line === "version 2" ? 2 : line === "version 1" ? 1 : 0;
      if (this.#version === 2) this.#items = [];
      if (this.#version !== 0) return undefined;
    }
    if (this.#items !== undefined) {
      if (this.#items.length >= MAX_V2_LINES) {
        throw new StoreError("limit", `the server has more than ${MAX_V2_LINES} capabilities`);
      }
      this.#items.push(line ?? "");
    } else this.#ref(pkt.payload, line);
    return undefined;
  }

  #ref(payload: Uint8Array, line: string | undefined): void {
    // A name that is not UTF-8 hides only itself, yet a first line carries the capabilities as well.
    const text = line ?? new TextDecoder().decode(payload).replace(/\n$/, "");
    const nul = text.indexOf("\0");
    const head = nul < 0 ? text : text.slice(0, nul);
    if (this.#first) {
      this.#first = false;
      if (nul >= 0) this.#capabilities = parseCapabilityLine(text.slice(nul + 1));
      for (const pair of this.#capabilities.get("symref") ?? []) {
        const colon = pair.indexOf(":");
        if (colon > 0) addSymref(this.#refs, pair.slice(0, colon), pair.slice(colon + 1));
      }
    }
    if (head.startsWith("shallow ")) {
      const boundary = parseOid(head.slice(8));
      if (boundary === undefined) throw new StoreError("protocol", `not a shallow line: ${oneLine(text)}`);
      this.#shallow.add(boundary);
      return;
    }
    const oid = parseOid(head.slice(0, 40));
    if (oid === undefined || head[40] !== " ") {
      throw new StoreError("protocol", `not a line of a git server: ${JSON.stringify(text.slice(0, 200))}`);
    }
    const name = head.slice(41);
    if (name === "capabilities^{}") return;
    if (name.endsWith("^{}")) this.#refs.peeled.set(name.slice(0, -3), oid);
    else addRef(this.#refs, name, oid);
  }
}

/** One line of the answer to v2 `ls-refs`, added to what is there. @throws {StoreError} `protocol` */
export function readLsRefsLine(pkt: Pkt, into: RemoteRefs): void {
  const line = pkt.kind === "data" ? lineOf(pkt.payload) : "";
  if (line === undefined) return; // The name is not UTF-8: no ref of ours.
  const [id, name, ...attributes] = line.split(" ");
  const oid = parseOid(id);
  if (name === undefined || (oid === undefined && id !== "unborn")) {
    throw new StoreError("protocol", `not a line of ls-refs: ${JSON.stringify(line.slice(0, 200))}`);
  }
  if (oid !== undefined) addRef(into, name, oid);
  for (const attribute of attributes) {
    if (attribute.startsWith("symref-target:")) addSymref(into, name, attribute.slice(14));
    const peeled = attribute.startsWith("peeled:") ? parseOid(attribute.slice(7)) : undefined;
    if (peeled !== undefined && isName(name)) into.peeled.set(name, peeled);
  }
}

export function emptyRefs(): RemoteRefs {
  return { refs: new Map(), peeled: new Map(), symrefs: new Map() };
}

/** The part of the refs that the prefixes choose; none chooses all. */
export function filterRefs(all: RemoteRefs, prefixes: readonly string[]): RemoteRefs {
  if (prefixes.length === 0) return all;
  const keep = <V>(map: Map<string, V>) =>
    new Map([...map].filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix))));
  return { refs: keep(all.refs), peeled: keep(all.peeled), symrefs: keep(all.symrefs) };
}

/** Throws what an `ERR` packet says. @throws {StoreError} `remote` */
export function refuseError(pkt: Pkt): void {
  if (pkt.kind !== "data" || pkt.payload.length < 4) return;
  const [e, r1, r2, space] = pkt.payload;
  if (e === 0x45 && r1 === 0x52 && r2 === 0x52 && space === 0x20) {
    throw new StoreError(
      "remote",
      `the server says: ${oneLine(new TextDecoder().decode(pkt.payload.subarray(4)))}`,
    );
  }
}

/** A peer's text as it may stand in a message: one line, printable, read in one direction, not long. */
export function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what it is about
  return text.replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+/g, " ").trim().slice(0, 500);
}

/** In commands and in an empty advertisement: no object. */
export const ZERO_OID = "0".repeat(40);

const MAX_V2_LINES = 256;

function addRef(into: RemoteRefs, name: string, oid: Oid): void {
  if (isName(name)) into.refs.set(name, oid);
}

function addSymref(into: RemoteRefs, name: string, target: string): void {
  if (isName(name) && isRefName(target)) into.symrefs.set(name, target);
}

function isName(name: string): boolean {
  return name === "HEAD" || isRefName(name);
}
