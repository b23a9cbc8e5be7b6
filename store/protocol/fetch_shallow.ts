/** Histories that end early: how deep is asked for, what a server says of it, which marks come of that. */
import { decodeCommit } from "../object/commit.ts";
import { parseOid } from "../object/oid.ts";
import type { ObjectReader, Oid, Quarantine } from "../types.ts";
import { StoreError } from "../types.ts";
import { oneLine, refuseError } from "./advertisement.ts";
import type { CommitGraph } from "./commit_graph.ts";
import { lineOf, type Pkt } from "./pkt_line.ts";

/** How much history to have. One of these at a time; none leaves the boundaries where they are. */
export interface DepthOptions {
  /**
   * So many commits from each wanted tip, counting it; fewer than are there cuts off the rest. Wanted tips that did not
   * move count too (`git fetch` asks for those alone that moved). Boundaries stay for later fetches without a depth.
   */
  readonly depth?: number | undefined;
  /** The commits made since then. */
  readonly since?: Date | undefined;
  /** So many commits further than now. Without effect where the history is whole. */
  readonly deepenBy?: number | undefined;
  /** All of it. Without effect where the history is whole. */
  readonly unshallow?: boolean | undefined;
}

/** What to say to the server. */
export type Deepening =
  | { readonly kind: "depth"; readonly depth: number; readonly relative: boolean }
  | { readonly kind: "since"; readonly seconds: number };

/** @throws {StoreError} `malformed` for options that make no sense together or at all */
export function deepeningOf(options: DepthOptions, marks: ReadonlySet<Oid>): Deepening | undefined {
  const { depth, since, deepenBy, unshallow } = options;
  const given = [depth, since, deepenBy, unshallow === true ? true : undefined];
  if (given.filter((value) => value !== undefined).length > 1) {
    throw new StoreError("malformed", "depth, since, deepenBy and unshallow exclude one another");
  }
  for (const count of [depth, deepenBy]) {
    if (count !== undefined && !(Number.isInteger(count) && count >= 1 && count < INFINITE_DEPTH)) {
      throw new StoreError("malformed", `a depth of ${count}: it is a whole number of commits, from 1`);
    }
  }
  if (since !== undefined) {
    const seconds = Math.floor(since.getTime() / 1000);
    // Zero is how a server reads no date at all.
    if (!(seconds > 0)) throw new StoreError("malformed", "since needs a date after 1970-01-01");
    return { kind: "since", seconds };
  }
  if (depth !== undefined) return { kind: "depth", depth, relative: false };
  if (marks.size === 0) return undefined;
  if (deepenBy !== undefined) return { kind: "depth", depth: deepenBy, relative: true };
  return unshallow === true ? { kind: "depth", depth: INFINITE_DEPTH, relative: false } : undefined;
}

/** The capabilities of v0 that a request needs beyond plain ones. */
export function neededCapabilities(deepening: Deepening | undefined, marks: number): string[] {
  if (deepening === undefined) return marks > 0 ? ["shallow"] : [];
  if (deepening.kind === "since") return ["shallow", "deepen-since"];
  return deepening.relative ? ["shallow", "deepen-relative"] : ["shallow"];
}

/** The lines of a request: where our history ends, and what is asked for. `deepen-relative` is a line in v2 alone. */
export function* shallowLines(
  marks: Iterable<Oid>,
  deepening: Deepening | undefined,
  version: 0 | 2,
): Generator<string> {
  for (const oid of marks) yield `shallow ${oid}\n`;
  if (deepening === undefined) return;
  if (deepening.kind === "since") yield `deepen-since ${deepening.seconds}\n`;
  else {
    yield `deepen ${deepening.depth}\n`;
    if (deepening.relative && version === 2) yield "deepen-relative\n";
  }
}

/** What a server says of the boundaries that come of a request. */
export interface ShallowReply {
  /** Commits that it sends without their parents. */
  readonly shallow: Set<Oid>;
  /** Commits of ours that get their parents. */
  readonly unshallow: Set<Oid>;
}

export function emptyReply(): ShallowReply {
  return { shallow: new Set(), unshallow: new Set() };
}

/** Takes one `shallow` or `unshallow` line in. @throws {StoreError} `remote`, `protocol`, `limit` */
export function readShallowLine(
  pkt: Pkt,
  into: ShallowReply,
  { marks, maximum }: { readonly marks: ReadonlySet<Oid>; readonly maximum: number },
): void {
  refuseError(pkt);
  const line = pkt.kind === "data" ? lineOf(pkt.payload) ?? "" : pkt.kind;
  const [word, id, ...more] = line.split(" ");
  const oid = id === undefined || more.length > 0 ? undefined : parseOid(id);
  if (oid === undefined || (word !== "shallow" && word !== "unshallow")) {
    throw new StoreError("protocol", `${oneLine(line)} where shallow or unshallow was due`);
  }
  if (word === "shallow") into.shallow.add(oid);
  else if (marks.has(oid)) into.unshallow.add(oid);
  else throw new StoreError("protocol", `unshallow ${oid}, which is no boundary of ours`);
  if (into.shallow.size > maximum) {
    throw new StoreError("limit", `the server has more than ${maximum} boundaries`);
  }
}

/**
 * The change of marks that goes with what arrived: `add` before the objects are taken in, `remove` after, so that no
 * commit is ever there whose missing parents look as if they had to be there.
 */
export interface MarkChange {
  readonly add: ReadonlySet<Oid>;
  readonly remove: ReadonlySet<Oid>;
  /** The marks that will hold. */
  readonly after: ReadonlySet<Oid>;
  /** Parents that are no longer left out: what must be whole beside the wants. */
  readonly uncovered: readonly Oid[];
}

export interface MarkRequest {
  readonly arrived: Pick<Quarantine, "kindOf"> & ObjectReader;
  /** Commits as they will be, without any marks. */
  readonly graph: CommitGraph;
  readonly wants: Iterable<Oid>;
  /** The marks that hold now, and those of them whose commit is there: of the others nothing was said to the server. */
  readonly marks: ReadonlySet<Oid>;
  readonly present: ReadonlySet<Oid>;
  readonly reply: ShallowReply;
  /** Whether we asked for boundaries; else those that the server names are its own. */
  readonly asked: boolean;
  /** Whether a server's own boundaries may become ours. */
  readonly acceptOwn: boolean;
}

/** @throws {StoreError} `connectivity` where the server's history ends early and ours is not to */
export async function planMarks(request: MarkRequest): Promise<MarkChange> {
  const { arrived, marks, present, reply } = request;
  const add = request.asked ? await reachedBoundaries(request) : await ownBoundaries(request);
  const remove = new Set(reply.unshallow);
  for (const oid of marks) {
    // Left by a fetch that was killed before its objects were in; now the commit came, with what is before it.
    const stale = !present.has(oid) && !reply.shallow.has(oid) && arrived.kindOf(oid) !== undefined;
    if (stale) remove.add(oid);
  }
  for (const oid of add) remove.delete(oid);
  const uncovered: Oid[] = [];
  for (const oid of remove) uncovered.push(...await parentsOf(arrived, oid));
  const after = new Set([...marks, ...add]);
  for (const oid of remove) after.delete(oid);
  return { add, remove, after, uncovered };
}

/** git's INFINITE_DEPTH: a depth that is all. */
const INFINITE_DEPTH = 0x7fffffff;

/**
 * Of the boundaries asked for, those that what was wanted really comes to: nobody is to cut off history that this
 * fetch is not about.
 */
async function reachedBoundaries({ arrived, graph, wants, marks, reply }: MarkRequest): Promise<Set<Oid>> {
  const add = new Set<Oid>();
  const unproven = new Set<Oid>();
  for (const oid of reply.shallow) {
    if (marks.has(oid)) continue;
    if (arrived.kindOf(oid) === "commit") add.add(oid);
    else unproven.add(oid);
  }
  if (unproven.size === 0) return add;
  const ends = new Set([...marks, ...reply.shallow]);
  for (const oid of reply.unshallow) ends.delete(oid);
  const stack: Oid[] = [];
  for (const want of wants) {
    const peeled = await graph.peel(want);
    if (peeled?.kind === "commit") stack.push(peeled.oid);
  }
  const seen = new Set<Oid>();
  for (let oid = stack.pop(); oid !== undefined && unproven.size > 0; oid = stack.pop()) {
    if (seen.has(oid)) continue;
    seen.add(oid);
    if (unproven.delete(oid)) add.add(oid);
    if (!ends.has(oid)) stack.push(...(await graph.load(oid))?.parents ?? []);
  }
  return add;
}

/** The boundaries of a server that is shallow itself: those that arrived and whose parents are nowhere. */
async function ownBoundaries({ arrived, marks, reply, acceptOwn }: MarkRequest): Promise<Set<Oid>> {
  const add = new Set<Oid>();
  for (const oid of reply.shallow) {
    if (marks.has(oid) || arrived.kindOf(oid) !== "commit") continue;
    for (const parent of await parentsOf(arrived, oid)) if (!await arrived.has(parent)) add.add(oid);
  }
  const [first] = add;
  if (first !== undefined && !acceptOwn) {
    const others = add.size > 1 ? ` and ${add.size - 1} other commits` : "";
    throw new StoreError(
      "connectivity",
      `the server's repository is shallow: its history ends at ${first}${others}, and ours is not to end there`,
    );
  }
  return add;
}

async function parentsOf(reader: ObjectReader, oid: Oid): Promise<readonly Oid[]> {
  const object = await reader.read(oid);
  return object?.kind === "commit" ? decodeCommit(object.content).parents : [];
}
