/** The server's side of a push. Whatever goes wrong, nothing of it stays and the client is told. */
import type { Flow, Result } from "../../conduit/mod.ts";
import { utf8 } from "../object/bytes.ts";
import { checkConnectivity } from "../repository/connectivity.ts";
import { breather } from "../repository/breather.ts";
import { isRefName } from "../repository/ref_name.ts";
import type { ObjectReader, Oid, PackLimits, Quarantine, RefMove, Repository } from "../types.ts";
import { unreachableAmong } from "../tree/reachable.ts";
import { StoreError } from "../types.ts";
import { type AdmitPush, type PushResult, refuseAll } from "./admit_push.ts";
import { encodeAdvertisement, oneLine, type ProtocolVersion } from "./advertisement.ts";
import { agentValue, type Capabilities } from "./capabilities.ts";
import { Channel, type ChannelBounds, DEFAULT_BOUNDS } from "./channel.ts";
import { CommitGraph, isAncestor } from "./commit_graph.ts";
import { encodePkt, FLUSH } from "./pkt_line.ts";
import { type PushCommand, type PushRequest, PushRequestReader } from "./receive_request.ts";
import { ReceiveVoice } from "./receive_voice.ts";
import { encodeReport } from "./report.ts";
import { encodeBand } from "./side_band.ts";

export interface ReceivePackOptions {
  readonly repository: Repository;
  readonly flow: Flow;
  /** As the client asked. There is no push in v2: a client that asks for it is served v0, as git does. */
  readonly version: ProtocolVersion;
  readonly admit: AdmitPush;
  readonly limits?: Partial<ReceiveLimits> | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  /** What git refuses to nobody and we refuse to all, unless told otherwise. */
  readonly allow?: { readonly deletes?: boolean; readonly nonFastForward?: boolean } | undefined;
  /**
   * Default `always`: a push of several refs is taken whole or not at all, whether or not the client said `--atomic`.
   * `as-asked` is git's way: without `--atomic` each ref stands for itself, though a pack that is not whole still
   * refuses them all, since every object of it would come in.
   */
  readonly atomic?: "always" | "as-asked" | undefined;
  /** Over HTTP the refs and the push are two requests: `only` the one or, with `skip`, only the other. Default `both`. */
  readonly advertise?: "both" | "only" | "skip" | undefined;
  /** Milliseconds after which a client with a side band is told that we are still at it. Default 5000, as git's. */
  readonly keepAlive?: number | undefined;
  readonly agent?: string | undefined;
}

export interface ReceiveLimits {
  readonly pack: PackLimits;
  readonly commands: number;
  /** Of commands and push options together. */
  readonly requestBytes: number;
}

export interface ReceiveSummary {
  /** What was asked and what came of it, by ref name; empty where the client had nothing to push. */
  readonly results: ReadonlyMap<string, PushResult>;
}

/**
 * Serves one push and ends our side of the flow; closing it (an exit status, with SSH) is the caller's. A push that was refused in good order is `ok`: the
 * refusal is in `results`. An error is a client that broke the protocol or went away, or a fault of ours.
 */
export async function serveReceivePack(
  options: ReceivePackOptions,
): Promise<Result<ReceiveSummary, StoreError>> {
  const channel = new Channel(options.flow, { ...DEFAULT_BOUNDS, ...options.bounds });
  const session = new ReceiveSession(options, channel);
  try {
    const results = await session.serve();
    return session.failure === undefined
      ? { ok: true, value: { results } }
      : { ok: false, error: session.failure };
  } catch (error) {
    const failure = error instanceof StoreError
      ? error
      : new StoreError("io", "internal error while serving a push", { cause: error });
    await session.tell(failure);
    return { ok: false, error: failure };
  } finally {
    session.release();
    channel.release();
  }
}

class ReceiveSession {
  /** A fault of ours that the client was told of in its report. */
  failure: StoreError | undefined;
  readonly #options: ReceivePackOptions;
  readonly #channel: Channel;
  readonly #limits: ReceiveLimits;
  readonly #voice: ReceiveVoice;

  constructor(options: ReceivePackOptions, channel: Channel) {
    this.#options = options;
    this.#channel = channel;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#voice = new ReceiveVoice(channel, options.keepAlive ?? KEEP_ALIVE, options.bounds?.timer);
  }

  async serve(): Promise<Map<string, PushResult>> {
    const { advertise } = this.#options;
    if (advertise !== "skip") await this.#advertise();
    const request = advertise === "only" ? undefined : await this.#readRequest();
    if (request === undefined || request.commands.length === 0) {
      await this.#channel.finish(0);
      return new Map();
    }
    this.#voice.start(request.capabilities.has("quiet"));
    const { unpack, results } = await this.#judge(request);
    await this.#voice.stop();
    if (REPORTS.some((name) => request.capabilities.has(name))) await this.#report(unpack, request, results);
    if (this.#voice.banded) await this.#channel.write(FLUSH);
    // A refused client may still be sending its pack: it is to read our report, not a broken pipe.
    await this.#channel.finish(this.#limits.pack.packBytes);
    return results;
  }

  /** Stops the clock. */
  release(): void {
    void this.#voice.stop();
  }

  /** Tells the client of a fault that ends everything, as far as that can still be done. */
  async tell(failure: StoreError): Promise<void> {
    if (failure.code === "unreachable") return;
    const text = CLIENTS_FAULT.has(failure.code) ? failure.message : "internal error";
    const message = `receive-pack: ${oneLine(text)}\n`;
    try {
      await this.#voice.stop();
      await this.#channel.write(
        this.#voice.banded ? encodeBand(3, utf8(message)) : encodePkt(`ERR ${message}`),
      );
      await this.#channel.finish(DRAIN);
    } catch (error) {
      // The flow is gone too: the failure that is returned was first, and is the one that matters.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  async #advertise(): Promise<void> {
    const { repository, version, allow, agent } = this.#options;
    const refs = [...await repository.refs.list()].map(([name, oid]) => ({ name, oid }));
    const capabilities = [
      ...CAPABILITIES,
      ...(allow?.deletes === true ? ["delete-refs"] : []),
      "object-format=sha1",
      `agent=${agentValue(agent ?? "bailiwick")}`,
    ];
    const shallow = await repository.shallow.list();
    for (const packet of encodeAdvertisement(version === 1 ? 1 : 0, refs, capabilities, shallow)) {
      await this.#channel.write(packet);
    }
    await this.#channel.flush();
  }

  async #readRequest(): Promise<PushRequest | undefined> {
    const reader = new PushRequestReader(this.#limits);
    for (;;) {
      const pkt = reader.idle ? await this.#channel.read() : await this.#channel.expect("the rest of a push");
      if (pkt === undefined) return undefined;
      const request = reader.feed(pkt);
      this.#voice.banded = reader.capabilities.has("side-band-64k");
      if (request === undefined) continue;
      checkCapabilities(request.capabilities);
      return request;
    }
  }

  /** The order of checks: names and old values, pack and fsck in quarantine, connectivity, history, then `admit`. */
  async #judge(request: PushRequest): Promise<Judgement> {
    const { commands } = request;
    const atomic = this.#options.atomic !== "as-asked" || request.capabilities.has("atomic");
    const faults = await this.#checkCommands(commands);
    const standing = () => atomic && faults.size > 0 ? [] : commands.filter(({ name }) => !faults.has(name));
    // Nothing was unpacked, and nothing went wrong in unpacking: git shows the refs' reasons after an "ok".
    if (standing().length === 0) return { unpack: undefined, results: refuseAll(commands, faults) };
    const { repository } = this.#options;
    const quarantine = await repository.quarantine();
    try {
      // Also what was asked for refs that are refused by now: the whole pack comes in, so all of it has to be whole.
      const tips = commands.flatMap((command) => command.new ?? []);
      if (tips.length > 0) {
        const received = await quarantine.receivePack(
          this.#voice.counting(this.#channel.raw()),
          this.#limits.pack,
        );
        if (!received.ok) return this.#unpackFailed(commands, received.error);
        await this.#voice.unpacked(received.value);
        const shallow = await repository.shallow.list();
        const foreign = await this.#foreignBase(quarantine, shallow);
        if (foreign !== undefined) return this.#unpackFailed(commands, foreign);
        const connected = await checkConnectivity(quarantine, tips, (oid) => repository.has(oid), {
          shallow,
        });
        if (!connected.ok) {
          const reason = await this.#newBoundary(request, quarantine)
            ? "shallow update not allowed"
            // Sent by one who knows where our history ends, and built on what is before it: nothing is wrong with the pack.
            : shallow.size > 0
            ? `missing necessary objects: ${oneLine(connected.error.message)}`
            : undefined;
          if (reason === undefined) return this.#unpackFailed(commands, connected.error);
          return {
            unpack: undefined,
            results: refuseAll(commands, new Map(commands.map(({ name }) => [name, reason]))),
          };
        }
      }
      for (const [name, fault] of await this.#checkHistory(standing(), quarantine)) faults.set(name, fault);
      const results = refuseAll(commands, faults);
      const moves = standing();
      if (moves.length > 0) {
        for (const [name, result] of await this.#admit(moves, atomic, request, quarantine)) {
          results.set(name, result);
        }
      }
      return { unpack: undefined, results };
    } finally {
      await quarantine.discard();
    }
  }

  /**
   * A delta on an object that the client was not shown: whoever knows its id alone could read it by what is made of it.
   */
  async #foreignBase(quarantine: Quarantine, shallow: ReadonlySet<Oid>): Promise<StoreError | undefined> {
    const { repository } = this.#options;
    const tips = (await repository.refs.list()).values();
    const [foreign] = await unreachableAmong(repository, tips, quarantine.bases(), {
      shallow,
      pause: breather(),
    });
    if (foreign === undefined) return undefined;
    return new StoreError("malformed", `a delta is built on object ${foreign}, which no ref leads to`);
  }

  /** Whether the push would make our history end where the client's does (git: `receive.shallowUpdate`, off by default). */
  async #newBoundary({ shallow }: PushRequest, objects: ObjectReader): Promise<boolean> {
    const graph = new CommitGraph(objects, breather());
    for (const oid of shallow) {
      for (const parent of (await graph.load(oid))?.parents ?? []) {
        if (!await objects.has(parent)) return true;
      }
    }
    return false;
  }

  #unpackFailed(commands: readonly PushCommand[], error: StoreError): Judgement {
    if (error.code === "unreachable") throw error;
    if (!CLIENTS_FAULT.has(error.code)) this.failure = error;
    const reason = CLIENTS_FAULT.has(error.code)
      ? oneLine(error.message)
      : error.code === "io"
      ? "the server cannot store what was sent; its log says why"
      : "internal error";
    const results = new Map<string, PushResult>();
    for (const { name } of commands) results.set(name, { ok: false, reason: "unpacker error" });
    return { unpack: reason, results };
  }

  async #checkCommands(commands: readonly PushCommand[]): Promise<Map<string, string>> {
    const { repository, allow } = this.#options;
    const faults = new Map<string, string>();
    const seen = new Set<string>();
    for (const command of commands) {
      const { name } = command;
      const fault = !isRefName(name)
        ? "funny refname"
        : seen.has(name)
        ? "more than one update for this ref"
        : command.new === undefined && allow?.deletes !== true
        ? "deletion prohibited"
        : command.new === undefined && command.old === undefined
        ? "nothing to delete"
        : stale(command, await repository.refs.get(name));
      seen.add(name);
      if (fault !== undefined) faults.set(name, fault);
    }
    return faults;
  }

  async #checkHistory(commands: readonly PushCommand[], objects: ObjectReader): Promise<Map<string, string>> {
    const faults = new Map<string, string>();
    const graph = new CommitGraph(objects, breather());
    for (const { name, old, new: new_ } of commands) {
      if (new_ === undefined) continue;
      const isCommit = await graph.load(new_) !== undefined;
      if (name.startsWith("refs/heads/") && !isCommit) faults.set(name, "a branch must be a commit");
      else if (old === undefined || this.#options.allow?.nonFastForward === true) continue;
      else if (!isCommit || await graph.load(old) === undefined || !await isAncestor(graph, old, new_)) {
        faults.set(name, "non-fast-forward");
      }
    }
    return faults;
  }

  async #admit(
    moves: readonly RefMove[],
    atomic: boolean,
    { pushOptions }: PushRequest,
    quarantine: Quarantine,
  ): Promise<Map<string, PushResult>> {
    let results: ReadonlyMap<string, PushResult>;
    try {
      ({ results } = await this.#options.admit({
        moves,
        atomic,
        objects: quarantine,
        pushOptions,
        migrate: () => quarantine.migrate(),
        say: (text) => this.#voice.say(text),
      }));
    } catch (error) {
      this.failure = error instanceof StoreError
        ? error
        : new StoreError("io", "internal error while admitting a push", { cause: error });
      return refuseAll(moves, new Map(moves.map(({ name }) => [name, "internal error"])));
    }
    return new Map(
      moves.map(({ name }) => [name, results.get(name) ?? NOT_ANSWERED]),
    );
  }

  async #report(
    unpack: string | undefined,
    { commands, capabilities }: PushRequest,
    results: ReadonlyMap<string, PushResult>,
  ): Promise<void> {
    const refs = commands.map(({ name }) => ({ name, ...results.get(name) ?? NOT_ANSWERED }));
    const report = encodeReport({ unpack, refs }, capabilities.has("report-status-v2"));
    await this.#channel.write(this.#voice.banded ? encodeBand(1, report) : report);
  }
}

interface Judgement {
  /** Why the pack was not taken; `undefined` where nothing is wrong with it. */
  readonly unpack: string | undefined;
  readonly results: Map<string, PushResult>;
}

const CAPABILITIES = [
  "report-status",
  "report-status-v2",
  "side-band-64k",
  "quiet",
  "atomic",
  "ofs-delta",
  "push-options",
];
const NOT_ANSWERED: PushResult = { ok: false, reason: "not answered" };
const REPORTS = ["report-status", "report-status-v2"];
const KNOWN: ReadonlySet<string> = new Set([...CAPABILITIES, "delete-refs", "object-format", "agent"]);

/** Faults of these kinds are the client's, and it may read what they say. */
const CLIENTS_FAULT: ReadonlySet<string> = new Set([
  "protocol",
  "limit",
  "malformed",
  "fsck",
  "connectivity",
  "missing",
  "corrupt",
  "collision",
]);

const DEFAULT_LIMITS: ReceiveLimits = {
  pack: {
    packBytes: 256 << 20,
    objectBytes: 64 << 20,
    objects: 1_000_000,
    deltaDepth: 4096,
    deltaWork: 4 * 2 ** 30,
  },
  commands: 1024,
  requestBytes: 1 << 20,
};
/** As git's `receive.keepAlive`. */
const KEEP_ALIVE = 5000;
/** What is still taken from a client that was told an error. */
const DRAIN = 1 << 20;

function checkCapabilities(capabilities: Capabilities): void {
  for (const [name, values] of capabilities) {
    if (!KNOWN.has(name)) throw new StoreError("protocol", `capability ${oneLine(name)} was not offered`);
    if (name === "object-format" && values.some((value) => value !== "sha1")) {
      throw new StoreError("protocol", `object format ${oneLine(values.join(" "))} is not sha1`);
    }
  }
}

function stale(command: PushCommand, actual: Oid | undefined): string | undefined {
  if (command.old === actual) return undefined;
  return actual === undefined ? "stale info: it does not exist" : `stale info: it is at ${actual}`;
}
