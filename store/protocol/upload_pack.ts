/** The server's side of a fetch: protocol v0, v1 and v2 over one standing flow. */
import type { Flow, Result } from "../../conduit/mod.ts";
import { utf8 } from "../object/bytes.ts";
import type { NewSha1 } from "../object/hash.ts";
import { type PackSource, writePack } from "../pack/write_pack.ts";
import type { ObjectReader, Oid, PackSummary, Pause, Refs } from "../types.ts";
import { StoreError } from "../types.ts";
import type { Zlib } from "../zlib/zlib.ts";
import { type AdvertisedRef, encodeAdvertisement, oneLine, type ProtocolVersion } from "./advertisement.ts";
import { agentValue } from "./capabilities.ts";
import { Channel, type ChannelBounds, DEFAULT_BOUNDS } from "./channel.ts";
import { CommitGraph, DateQueue, reachableAmong } from "./commit_graph.ts";
import { DELIM, encodePkt, FLUSH } from "./pkt_line.ts";
import { selectObjects } from "./selection.ts";
import { BAND_64K, BAND_SMALL, encodeBand } from "./side_band.ts";
import {
  addBounded,
  type FetchArgs,
  parseFetch,
  parseLsRefs,
  readHaveLine,
  type V2Request,
  V2RequestReader,
  WantReader,
} from "./upload_request.ts";

export interface UploadPackOptions {
  readonly repository: ObjectReader & PackSource<Oid> & { readonly refs: Refs };
  readonly flow: Flow;
  /** What the client asked for in `GIT_PROTOCOL`; see `requestedVersion`. */
  readonly version: ProtocolVersion;
  /** Which refs the client may see; what only other refs reach cannot be fetched. Default: all. */
  readonly visible?: ((name: string) => boolean) | undefined;
  readonly limits?: Partial<UploadLimits> | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  /** Default `bailiwick`. */
  readonly agent?: string | undefined;
}

export interface UploadLimits {
  readonly wants: number;
  /** In one conversation (v0, v1) or request (v2). */
  readonly haves: number;
  /** Of one v2 request. */
  readonly requestBytes: number;
}

/** What the runtime gives. Handed in, so that the protocol loads where there is no `node:` module. */
export interface PackTools {
  readonly zlib: Zlib;
  readonly newSha1: NewSha1;
  /** A pause for one conversation. */
  readonly newPause?: () => Pause;
}

export interface UploadSummary {
  /** The last pack that was sent; `undefined` where the client asked for refs alone. */
  readonly sent: PackSummary | undefined;
}

/**
 * Serves one client until it is content, then ends our side of the flow; closing it (an exit status, with SSH) is
 * the caller's. A fault is told to the client where it still listens, and returned.
 */
export async function uploadPack(
  options: UploadPackOptions,
  tools: PackTools,
): Promise<Result<UploadSummary, StoreError>> {
  const channel = new Channel(options.flow, { ...DEFAULT_BOUNDS, ...options.bounds });
  const session = new UploadSession(options, tools, channel);
  try {
    await (options.version === 2 ? session.version2() : session.version0(options.version));
    await channel.finish(DRAIN);
    return { ok: true, value: { sent: session.sent } };
  } catch (error) {
    const failure = error instanceof StoreError
      ? error
      : new StoreError("io", "internal error while serving a fetch", { cause: error });
    await session.tell(failure);
    return { ok: false, error: failure };
  } finally {
    channel.release();
  }
}

class UploadSession {
  sent: PackSummary | undefined;
  readonly #options: UploadPackOptions;
  readonly #tools: PackTools;
  readonly #channel: Channel;
  readonly #limits: UploadLimits;
  readonly #graph: CommitGraph;
  readonly #pause: Pause | undefined;
  /** How a fatal error is said at the moment: an ERR packet, side band 3, or not at all (in a bare pack). */
  #errors: "packet" | "band" | "none" = "packet";
  #bandRoom = BAND_64K;

  constructor(options: UploadPackOptions, tools: PackTools, channel: Channel) {
    this.#options = options;
    this.#tools = tools;
    this.#channel = channel;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#pause = tools.newPause?.();
    this.#graph = new CommitGraph(options.repository, this.#pause);
  }

  async version2(): Promise<void> {
    const channel = this.#channel;
    for (
      const line of ["version 2", `agent=${this.#agent()}`, "ls-refs=unborn", "fetch", "object-format=sha1"]
    ) {
      await channel.write(encodePkt(`${line}\n`));
    }
    await channel.write(FLUSH);
    await channel.flush();
    for (;;) {
      const request = await this.#nextRequest();
      if (request === undefined) return;
      checkV2Capabilities(request);
      if (request.command === "ls-refs") await this.#lsRefs(request.args);
      else if (request.command === "fetch") await this.#fetch(parseFetch(request.args, this.#limits));
      else {throw new StoreError(
          "protocol",
          `unknown command ${JSON.stringify(request.command.slice(0, 100))}`,
        );}
      await channel.flush();
    }
  }

  async version0(version: 0 | 1): Promise<void> {
    const channel = this.#channel;
    const { refs, head } = await this.#visibleRefs();
    const headOid = refs.get(head);
    const advertised: AdvertisedRef[] = headOid === undefined ? [] : [{ name: "HEAD", oid: headOid }];
    for (const [name, oid] of refs) advertised.push({ name, oid, peeled: await this.#peeled(name, oid) });
    const capabilities = [
      ...V0_CAPABILITIES,
      ...(headOid === undefined ? [] : [`symref=HEAD:${head}`]),
      "object-format=sha1",
      `agent=${this.#agent()}`,
    ];
    for (const packet of encodeAdvertisement(version, advertised, capabilities)) await channel.write(packet);
    await channel.flush();

    const reader = new WantReader(this.#limits.wants);
    for (;;) {
      const pkt = reader.wants.size === 0 ? await channel.read() : await channel.expect("a list of wants");
      if (pkt === undefined || reader.feed(pkt)) break;
    }
    if (reader.wants.size === 0) return;
    const asked = reader.capabilities;
    for (const name of asked.keys()) {
      if (!V0_KNOWN.has(name)) {
        throw new StoreError("protocol", `capability ${oneLine(name)} was not offered`);
      }
    }
    await this.#checkWants(reader.wants, refs.values());
    const mode = asked.has("multi_ack_detailed") ? "detailed" : asked.has("multi_ack") ? "multi" : "single";
    const common = await this.#negotiate(reader.wants, mode);
    this.#errors = asked.has("side-band-64k") || asked.has("side-band") ? "band" : "none";
    this.#bandRoom = asked.has("side-band-64k") ? BAND_64K : BAND_SMALL;
    await this.#sendPack({
      wants: reader.wants,
      common,
      tags: asked.has("include-tag") ? tagsOf(refs) : [],
      progress: this.#errors === "band" && !asked.has("no-progress"),
      offsetDeltas: asked.has("ofs-delta"),
    });
  }

  /** Tells the client of a fault as far as that can still be done. */
  async tell(failure: StoreError): Promise<void> {
    if (failure.code === "unreachable" || this.#errors === "none") return;
    // What happened inside is for our log; the client learns what it did wrong.
    const text = failure.code === "protocol" || failure.code === "limit" ? failure.message : "internal error";
    const message = `upload-pack: ${oneLine(text)}`;
    try {
      await this.#channel.write(
        this.#errors === "packet"
          ? encodePkt(`ERR ${message}\n`)
          : encodeBand(3, utf8(`${message}\n`), this.#bandRoom),
      );
      await this.#channel.finish(DRAIN);
    } catch (error) {
      // The flow is gone too: the failure that is returned was first, and is the one that matters.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  async #nextRequest(): Promise<V2Request | undefined> {
    const reader = new V2RequestReader(this.#limits.requestBytes);
    for (;;) {
      const pkt = reader.idle
        ? await this.#channel.read()
        : await this.#channel.expect("the rest of a request");
      if (pkt === undefined) return undefined;
      const request = reader.feed(pkt);
      if (request === "end") return undefined;
      if (request !== undefined) return request;
    }
  }

  async #lsRefs(args: readonly string[]): Promise<void> {
    const { peel, symrefs, unborn, prefixes } = parseLsRefs(args);
    const wanted = (name: string) =>
      prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix));
    const { refs, head } = await this.#visibleRefs();
    const channel = this.#channel;
    if (wanted("HEAD") && this.#isVisible(head)) {
      const oid = refs.get(head);
      const target = symrefs ? ` symref-target:${head}` : "";
      if (oid !== undefined) await channel.write(encodePkt(`${oid} HEAD${target}\n`));
      else if (unborn) await channel.write(encodePkt(`unborn HEAD${target}\n`));
    }
    for (const [name, oid] of refs) {
      if (!wanted(name)) continue;
      const peeled = peel ? await this.#peeled(name, oid) : undefined;
      await channel.write(encodePkt(`${oid} ${name}${peeled === undefined ? "" : ` peeled:${peeled}`}\n`));
    }
    await channel.write(FLUSH);
  }

  async #fetch(args: FetchArgs): Promise<void> {
    const channel = this.#channel;
    const { refs } = await this.#visibleRefs();
    await this.#checkWants(args.wants, refs.values());
    if (args.wants.size === 0) return await channel.write(FLUSH);
    const common: Oid[] = [];
    for (const oid of args.haves) if (await this.#options.repository.has(oid)) common.push(oid);
    if (args.haves.size > 0 && !args.done) {
      await channel.write(encodePkt("acknowledgments\n"));
      if (common.length === 0) await channel.write(encodePkt("NAK\n"));
      for (const oid of common) await channel.write(encodePkt(`ACK ${oid}\n`));
      if (!await this.#enough(args.wants, new Set(common))) return await channel.write(FLUSH);
      await channel.write(encodePkt("ready\n"));
      await channel.write(DELIM);
    }
    await channel.write(encodePkt("packfile\n"));
    this.#errors = "band";
    await this.#sendPack({
      wants: args.wants,
      common,
      tags: args.includeTag ? tagsOf(refs) : [],
      progress: !args.noProgress,
      offsetDeltas: args.offsetDeltas,
    });
    this.#errors = "packet";
  }

  /** The v0 and v1 negotiation (gitprotocol-pack "Packfile Negotiation"); gives the common commits. */
  async #negotiate(wants: ReadonlySet<Oid>, mode: "single" | "multi" | "detailed"): Promise<Set<Oid>> {
    const channel = this.#channel;
    const common = new Set<Oid>();
    const haves = new Set<Oid>();
    let last: Oid | undefined;
    let ready = false;
    let someCommon = false;
    let someOther = false;
    const reply = (line: string) => channel.write(encodePkt(`${line}\n`));
    for (;;) {
      const line = readHaveLine(await channel.expect("a have, or done"));
      if (line === "done") {
        if (common.size === 0) await reply("NAK");
        else if (mode !== "single") await reply(`ACK ${last}`);
        return common;
      }
      if (line === "flush") {
        if (mode === "detailed" && someCommon && !someOther && !ready && await this.#enough(wants, common)) {
          ready = true;
          await reply(`ACK ${last} ready`);
        }
        if (common.size === 0 || mode !== "single") await reply("NAK");
        await channel.flush();
        someCommon = someOther = false;
        continue;
      }
      const oid = line.have;
      addBounded(haves, oid, this.#limits.haves, "haves");
      if (await this.#options.repository.has(oid)) {
        common.add(oid);
        last = oid;
        someCommon = true;
        if (mode === "detailed") await reply(`ACK ${oid} common`);
        else if (mode === "multi") await reply(`ACK ${oid} continue`);
        else if (common.size === 1) await reply(`ACK ${oid}`);
      } else {
        someOther = true;
        // Enough is common already: what the client goes on to offer would change nothing.
        if (mode !== "single" && common.size > 0 && (ready ||= await this.#enough(wants, common))) {
          last = oid;
          await reply(`ACK ${oid} ${mode === "detailed" ? "ready" : "continue"}`);
        }
      }
    }
  }

  /** Whether every want has a common commit among its ancestors, so that a pack can be made without sending all. */
  async #enough(wants: Iterable<Oid>, common: ReadonlySet<Oid>): Promise<boolean> {
    if (common.size === 0) return false;
    let oldest = Infinity;
    for (const oid of common) {
      const node = await this.#graph.load(oid);
      if (node !== undefined) oldest = Math.min(oldest, node.date);
    }
    for (const want of wants) {
      const peeled = await this.#graph.peel(want);
      if (peeled?.kind !== "commit" || !await this.#meets(peeled.oid, common, oldest)) return false;
    }
    return true;
  }

  async #meets(start: Oid, common: ReadonlySet<Oid>, oldest: number): Promise<boolean> {
    const seen = new Set<Oid>([start]);
    const queue = new DateQueue();
    queue.push(await this.#graph.require(start));
    for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
      if (common.has(node.oid)) return true;
      if (node.date < oldest) continue;
      for (const parent of node.parents) {
        if (seen.has(parent)) continue;
        seen.add(parent);
        queue.push(await this.#graph.require(parent));
      }
    }
    return false;
  }

  /** Only what visible refs reach may be fetched: a tip, or (the refs may have moved meanwhile) below one. */
  async #checkWants(wants: ReadonlySet<Oid>, tips: Iterable<Oid>): Promise<void> {
    const visible = [...tips];
    const tipSet = new Set<Oid>(visible);
    const others = new Set<Oid>();
    for (const want of wants) if (!tipSet.has(want)) others.add(want);
    for (const want of others) {
      if (!await this.#options.repository.has(want)) throw notOurs(want);
    }
    if (others.size === 0) return;
    const reached = await reachableAmong(this.#graph, visible, others);
    for (const want of others) if (!reached.has(want)) throw notOurs(want);
  }

  async #sendPack(pack: {
    readonly wants: Iterable<Oid>;
    readonly common: Iterable<Oid>;
    readonly tags: Iterable<Oid>;
    readonly progress: boolean;
    readonly offsetDeltas: boolean;
  }): Promise<void> {
    const channel = this.#channel;
    const { repository } = this.#options;
    const pause = this.#pause;
    const banded = this.#errors === "band";
    const room = this.#bandRoom;
    const oids = await selectObjects({ ...pack, reader: repository, graph: this.#graph, pause });
    if (pack.progress) await channel.write(encodeBand(2, utf8(`Sending ${oids.length} objects.\n`), room));
    let bytes = 0;
    for await (
      const chunk of writePack(oids, repository, { ...this.#tools, offsetDeltas: pack.offsetDeltas, pause })
    ) {
      bytes += chunk.length;
      await channel.write(banded ? encodeBand(1, chunk, room) : chunk);
    }
    if (banded) await channel.write(FLUSH);
    this.sent = { objects: oids.length, bytes };
  }

  async #visibleRefs(): Promise<{ readonly refs: Map<string, Oid>; readonly head: string }> {
    const { refs } = this.#options.repository;
    const all = await refs.list();
    return {
      refs: new Map([...all].filter(([name]) => this.#isVisible(name))),
      head: await refs.head(),
    };
  }

  #isVisible(name: string): boolean {
    return this.#options.visible?.(name) ?? true;
  }

  async #peeled(name: string, oid: Oid): Promise<Oid | undefined> {
    if (name.startsWith("refs/heads/")) return undefined; // Branches are commits.
    const peeled = await this.#graph.peel(oid);
    return peeled !== undefined && peeled.tags.length > 0 ? peeled.oid : undefined;
  }

  #agent(): string {
    return agentValue(this.#options.agent ?? "bailiwick");
  }
}

/** The version that a `GIT_PROTOCOL` value asks for (`version=2`, among other keys parted by colons). */
export function requestedVersion(gitProtocol: string | undefined): ProtocolVersion {
  const keys = (gitProtocol ?? "").split(":");
  return keys.includes("version=2") ? 2 : keys.includes("version=1") ? 1 : 0;
}

const DEFAULT_LIMITS: UploadLimits = { wants: 65_536, haves: 262_144, requestBytes: 16 << 20 };
/** What is still taken from a client that was told an error or has its pack. */
const DRAIN = 1 << 20;

const V0_CAPABILITIES = [
  "multi_ack",
  "thin-pack",
  "side-band",
  "side-band-64k",
  "ofs-delta",
  "no-progress",
  "include-tag",
  "multi_ack_detailed",
  "allow-tip-sha1-in-want",
  "allow-reachable-sha1-in-want",
];
const V0_KNOWN: ReadonlySet<string> = new Set([...V0_CAPABILITIES, "agent", "object-format"]);

function checkV2Capabilities({ capabilities }: V2Request): void {
  for (const [name, values] of capabilities) {
    if (name === "agent") continue;
    if (name !== "object-format") {
      throw new StoreError("protocol", `capability ${oneLine(name)} was not offered`);
    }
    if (values.some((value) => value !== "sha1")) {
      throw new StoreError("protocol", `object format ${oneLine(values.join(" "))} is not sha1`);
    }
  }
}

function tagsOf(refs: ReadonlyMap<string, Oid>): Oid[] {
  return [...refs].filter(([name]) => name.startsWith("refs/tags/")).map(([, oid]) => oid);
}

function notOurs(oid: Oid): StoreError {
  return new StoreError("protocol", `not our ref ${oid}`);
}
