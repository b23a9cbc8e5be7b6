/** What both conversations share: refs that may be seen, what may be wanted, when enough is common, the pack. */
import { utf8 } from "../../object/bytes.ts";
import type { Oid, PackSummary, Pause } from "../../types.ts";
import { StoreError } from "../../types.ts";
import { type AdvertisedRef, oneLine } from "../advertisement.ts";
import { agentValue } from "../capabilities.ts";
import type { Channel } from "../channel.ts";
import { CommitGraph, DateQueue } from "../commit_graph.ts";
import { encodePkt, FLUSH } from "../pkt_line.ts";
import { selectObjects } from "../selection.ts";
import { BAND_64K, encodeBand } from "../side_band.ts";
import type { PackTools, UploadPackOptions, UploadSource } from "../upload_pack.ts";
import type { DepthRequest, UploadLimits } from "../upload_request.ts";
import { asksForDepth, type Boundary, boundaryFor, ownBoundary } from "./depth.ts";
import type { Filter } from "./filter.ts";
import { packStream } from "./pack_stream.ts";
import { reachableObjects } from "./reachable.ts";
import { storedObjects } from "./stored_objects.ts";

export interface PackRequest {
  readonly wants: ReadonlySet<Oid>;
  readonly common: Iterable<Oid>;
  readonly shallow: ReadonlySet<Oid>;
  readonly boundary: Boundary;
  readonly tags: Iterable<Oid>;
  readonly filter: Filter | undefined;
  readonly thin: boolean;
  readonly offsetDeltas: boolean;
  readonly progress: boolean;
}

export class UploadSession {
  sent: PackSummary | undefined;
  readonly repository: UploadSource;
  readonly channel: Channel;
  readonly limits: UploadLimits;
  readonly graph: CommitGraph;
  /** Our own commits without their parents. */
  readonly shallow: ReadonlySet<Oid>;
  readonly stateless: boolean;
  readonly advertise: "only" | "skip" | "both";
  readonly agent: string;
  /** How a fatal error is said at the moment: an ERR packet, side band 3, or not at all (in a bare pack). */
  errors: "packet" | "band" | "none" = "packet";
  bandRoom = BAND_64K;
  readonly #visible: (name: string) => boolean;
  readonly #tools: PackTools;
  readonly #pause: Pause | undefined;

  constructor(
    parts: Omit<UploadPackOptions, "flow" | "bounds"> & {
      readonly shallow: ReadonlySet<Oid>;
      readonly tools: PackTools;
      readonly channel: Channel;
    },
  ) {
    this.repository = parts.repository;
    this.channel = parts.channel;
    this.shallow = parts.shallow;
    this.stateless = parts.stateless ?? false;
    this.advertise = parts.advertise ?? "both";
    this.agent = agentValue(parts.agent ?? "bailiwick");
    this.limits = { ...DEFAULT_LIMITS, ...parts.limits };
    this.#visible = parts.visible ?? (() => true);
    this.#tools = parts.tools;
    this.#pause = parts.tools.newPause?.();
    this.graph = new CommitGraph(
      storedObjects(parts.repository, parts.tools.zlib),
      this.#pause,
      parts.shallow,
    );
  }

  say(line: string): Promise<void> {
    return this.channel.write(encodePkt(`${line}\n`));
  }

  async visibleRefs(): Promise<VisibleRefs> {
    const refs = new Map([...await this.repository.refs.list()].filter(([name]) => this.#visible(name)));
    const to = await this.repository.refs.head();
    if (!this.#visible(to ?? "HEAD")) return { refs, head: undefined, tips: new Set(refs.values()) };
    const oid = to === undefined ? await this.repository.refs.get("HEAD") : refs.get(to);
    return {
      refs,
      head: { to, oid },
      tips: new Set([...refs.values(), ...(oid === undefined ? [] : [oid])]),
    };
  }

  async advertised(name: string, oid: Oid): Promise<AdvertisedRef> {
    // Branches are commits.
    const peeled = name.startsWith("refs/heads/") ? undefined : await this.graph.peel(oid);
    return { name, oid, peeled: peeled !== undefined && peeled.tags.length > 0 ? peeled.oid : undefined };
  }

  /** Only what visible refs reach may be fetched: a tip, or (the refs may have moved meanwhile) below one. */
  async checkWants(wants: ReadonlySet<Oid>, { tips }: VisibleRefs): Promise<void> {
    const others = new Set<Oid>();
    for (const want of wants) if (!tips.has(want)) others.add(want);
    if (others.size === 0) return;
    for (const want of others) if (!await this.repository.has(want)) throw notOurs(want);
    const reached = await reachableObjects(others, {
      tips,
      graph: this.graph,
      reader: this.repository,
      pause: this.#pause,
    });
    for (const want of others) if (!reached.has(want)) throw notOurs(want);
  }

  /** Whether every want has a common commit among its ancestors, so that a pack can be made without sending all. */
  async enough(wants: Iterable<Oid>, common: ReadonlySet<Oid>): Promise<boolean> {
    if (common.size === 0) return false;
    let oldest = Infinity;
    for (const oid of common) {
      const node = await this.graph.load(oid);
      if (node !== undefined) oldest = Math.min(oldest, node.date);
    }
    for (const want of wants) {
      const peeled = await this.graph.peel(want);
      if (peeled?.kind !== "commit" || !await this.#meets(peeled.oid, common, oldest)) return false;
    }
    return true;
  }

  /** What changes for a client that has, or asks for, less than the whole history; `undefined` where nobody speaks of it. */
  async boundary(
    depth: DepthRequest,
    wants: ReadonlySet<Oid>,
    { refs, tips }: VisibleRefs,
  ): Promise<Boundary | undefined> {
    if (!asksForDepth(depth)) {
      if (this.shallow.size === 0) return depth.shallow.size === 0 ? undefined : NO_BOUNDARY;
      // What it has heard of already it need not be told again, yet may be.
      return { shallow: [...await ownBoundary(this.graph, wants)], unshallow: [] };
    }
    const not = depth.not.map((name) => {
      const oid = refNamed(name, refs);
      if (oid === undefined) throw new StoreError("protocol", `deepen-not ${oneLine(name)} is not a ref`);
      return oid;
    });
    const known = new Set<Oid>();
    for (const oid of depth.shallow) if (await this.graph.load(oid) !== undefined) known.add(oid);
    return await boundaryFor({ ...depth, shallow: known }, { graph: this.graph, wants, tips, not });
  }

  /** Says what changes, a line each. */
  async sayBoundary(boundary: Boundary): Promise<void> {
    for (const oid of boundary.shallow) await this.say(`shallow ${oid}`);
    for (const oid of boundary.unshallow) await this.say(`unshallow ${oid}`);
  }

  async sendPack(request: PackRequest): Promise<void> {
    const { channel, repository } = this;
    const banded = this.errors === "band";
    const room = this.bandRoom;
    const pause = this.#pause;
    const { zlib, newSha1 } = this.#tools;
    const { unshallow } = request.boundary;
    // What the client gets the parents of, it has itself: the walk ends there, and its parents are wanted.
    const wants = new Set(request.wants);
    for (const oid of unshallow) {
      for (const parent of (await this.graph.require(oid)).parents) wants.add(parent);
    }
    const graph = this.graph.cutAt([...request.shallow, ...request.boundary.shallow]);
    const { chosen, known, predecessors } = await selectObjects({
      reader: repository,
      zlib,
      newSha1,
      graph,
      wants,
      common: [...request.common, ...unshallow],
      tags: request.tags,
      filter: request.filter,
      pause,
    });
    if (request.progress) {
      await channel.write(encodeBand(2, utf8(`Sending ${chosen.size} objects.\n`), room));
    }
    // What a partial clone has of a tree that it has is not known: it gets no delta on that.
    const hasBase = request.thin && request.filter === undefined
      ? (oid: Oid) => known.hasOid(oid)
      : undefined;
    let bytes = 0;
    for await (
      const chunk of packStream(chosen, repository, {
        zlib,
        newSha1,
        offsetDeltas: request.offsetDeltas,
        hasBase,
        predecessors,
        pause,
      })
    ) {
      bytes += chunk.length;
      await channel.write(banded ? encodeBand(1, chunk, room) : chunk);
    }
    if (banded) await channel.write(FLUSH);
    this.sent = { objects: chosen.size, bytes };
  }

  /** Tells the client of a fault as far as that can still be done. */
  async tell(failure: StoreError, drainBytes: number): Promise<void> {
    if (failure.code === "unreachable" || this.errors === "none") return;
    // What happened inside is for our log; the client learns what it did wrong.
    const text = failure.code === "protocol" || failure.code === "limit" ? failure.message : "internal error";
    const message = `upload-pack: ${oneLine(text)}`;
    try {
      await this.channel.write(
        this.errors === "packet"
          ? encodePkt(`ERR ${message}\n`)
          : encodeBand(3, utf8(`${message}\n`), this.bandRoom),
      );
      await this.channel.finish(drainBytes);
    } catch (error) {
      // The flow is gone too: the failure that is returned was first, and is the one that matters.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  async #meets(start: Oid, common: ReadonlySet<Oid>, oldest: number): Promise<boolean> {
    const seen = new Set<Oid>([start]);
    const queue = new DateQueue();
    queue.push(await this.graph.require(start));
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (common.has(node.oid)) return true;
      if (node.date < oldest) continue;
      for (const parent of node.parents) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        queue.push(await this.graph.require(parent));
      }
    }
    return false;
  }
}

export interface VisibleRefs {
  readonly refs: ReadonlyMap<string, Oid>;
  /** `to`: the ref that HEAD stands for; without, it is detached. `oid`: `undefined` for a ref that is yet to be born. */
  readonly head: { readonly to: string | undefined; readonly oid: Oid | undefined } | undefined;
  /** What they all stand for. */
  readonly tips: ReadonlySet<Oid>;
}

export const NO_BOUNDARY: Boundary = { shallow: [], unshallow: [] };

export function tagsOf(refs: ReadonlyMap<string, Oid>): Oid[] {
  return [...refs].filter(([name]) => name.startsWith("refs/tags/")).map(([, oid]) => oid);
}

/** A capability that was asked for and not offered. */
export function notOffered(name: string): StoreError {
  return new StoreError("protocol", `capability ${oneLine(name)} was not offered`);
}

const DEFAULT_LIMITS: UploadLimits = {
  wants: 65_536,
  haves: 262_144,
  shallow: 65_536,
  deepenNot: 256,
  requestBytes: 16 << 20,
};

/** A ref by its name or a short form of it, in git's order (gitrevisions). */
function refNamed(name: string, refs: ReadonlyMap<string, Oid>): Oid | undefined {
  for (const prefix of ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"]) {
    const oid = refs.get(prefix + name);
    if (oid !== undefined) return oid;
  }
  return undefined;
}

function notOurs(oid: Oid): StoreError {
  return new StoreError("protocol", `not our ref ${oid}`);
}
