/** The client's side of a fetch. Objects come in; refs are for the caller to move. */
import type { Result } from "../../conduit/mod.ts";
import { breather } from "../repository/breather.ts";
import { checkConnectivity } from "../repository/connectivity.ts";
import type { Oid, PackLimits, PackSummary, Repository } from "../types.ts";
import { StoreError } from "../types.ts";
import { readAcknowledgment } from "./acknowledgment.ts";
import { oneLine, refuseError, type RemoteRefs } from "./advertisement.ts";
import { BandSource } from "./band_source.ts";
import type { Capabilities } from "./capabilities.ts";
import { CommitGraph } from "./commit_graph.ts";
import { FIRST_WINDOW, MAX_IN_VAIN, Negotiator, nextWindow } from "./negotiator.ts";
import { encodePkt, FLUSH, lineOf } from "./pkt_line.ts";
import { type RemoteOptions, type RemoteSession, withRemote, writeV2Head } from "./remote.ts";

export interface FetchOptions extends RemoteOptions {
  readonly repository: Repository;
  /** What to fetch, out of what the remote has. */
  readonly want: (remoteRefs: Map<string, Oid>) => readonly Oid[];
  readonly limits: PackLimits;
  /** What the server says beside the pack, made fit for a terminal or log. */
  readonly progress?: ((text: string) => void) | undefined;
}

export interface FetchOutcome extends RemoteRefs {
  /** `undefined` where everything wanted was there already. */
  readonly received: PackSummary | undefined;
}

/**
 * Fetches what is wanted into a quarantine, checks it and takes it into the repository. The pack that came is
 * kept whole or not at all.
 */
export function fetchFrom(options: FetchOptions): Promise<Result<FetchOutcome, StoreError>> {
  return withRemote(options, async (session) => {
    const { channel, refs } = session;
    const missing = await missingWants(options, refs);
    if (missing.length === 0) {
      await channel.leave(FLUSH);
      return { ...refs, received: undefined };
    }
    const fetching = new Fetching(session, options, missing);
    const pack = session.advertisement.version === 2 ? await fetching.version2() : await fetching.version0();
    return { ...refs, received: await takePack(options, session, pack, missing) };
  });
}

/** Of what is wanted, that which is not there yet. What is there is whole: nothing gets in without that proof. */
async function missingWants({ repository, want }: FetchOptions, { refs }: RemoteRefs): Promise<Oid[]> {
  const missing: Oid[] = [];
  for (const oid of new Set(want(refs))) if (!await repository.has(oid)) missing.push(oid);
  return missing;
}

async function takePack(
  options: FetchOptions,
  session: RemoteSession,
  pack: BandSource | AsyncIterable<Uint8Array>,
  wants: readonly Oid[],
): Promise<PackSummary> {
  const { repository, limits } = options;
  const quarantine = await repository.quarantine();
  try {
    const received = await quarantine.receivePack(pack, limits);
    const broken = pack instanceof BandSource ? pack.failure : undefined;
    if (broken !== undefined) throw broken;
    if (!received.ok) throw received.error;
    if (pack instanceof BandSource) await pack.finish();
    if (session.advertisement.version === 2) await session.channel.leave(FLUSH);
    const connected = await checkConnectivity(quarantine, wants, (oid) => repository.has(oid));
    if (!connected.ok) throw connected.error;
    await quarantine.migrate();
    return received.value;
  } finally {
    await quarantine.discard();
  }
}

class Fetching {
  readonly #session: RemoteSession;
  readonly #options: FetchOptions;
  readonly #wants: readonly Oid[];
  readonly #negotiator: Negotiator;
  readonly #graph: CommitGraph;
  readonly #offered = new Set<Oid>();

  constructor(session: RemoteSession, options: FetchOptions, wants: readonly Oid[]) {
    this.#session = session;
    this.#options = options;
    this.#wants = wants;
    this.#graph = new CommitGraph(options.repository, breather());
    this.#negotiator = new Negotiator(this.#graph);
  }

  /** Stateless requests, each with everything found common so far, until the server is ready or we are through. */
  async version2(): Promise<BandSource> {
    const { channel, advertisement } = this.#session;
    if (!advertisement.capabilities.has("fetch")) {
      throw new StoreError("protocol", "the server offers no fetch");
    }
    await this.#offerTips();
    const common = new Set<Oid>();
    let window = FIRST_WINDOW;
    let inVain = 0;
    for (;;) {
      const haves: Oid[] = [];
      while (haves.length < window) {
        const oid = await this.#nextHave();
        if (oid === undefined) break;
        haves.push(oid);
      }
      inVain += haves.length;
      const done = haves.length === 0 || (common.size > 0 && inVain >= MAX_IN_VAIN);
      await this.#writeFetch([...common, ...haves], done);
      if (!done) {
        const answer = await this.#readAcknowledgments(common);
        if (answer.some) inVain = 0;
        if (!answer.ready) {
          window = nextWindow(window, true);
          continue;
        }
      }
      await this.#expectSection("packfile");
      return new BandSource(channel, this.#options.progress);
    }
  }

  /** One standing conversation: windows of haves, one of them always on its way while an answer is read. */
  async version0(): Promise<BandSource | AsyncIterable<Uint8Array>> {
    const { channel, advertisement: { capabilities } } = this.#session;
    const asked = this.#v0Capabilities(capabilities);
    for (const [index, oid] of this.#wants.entries()) {
      await channel.write(encodePkt(index === 0 ? `want ${oid} ${asked.join(" ")}\n` : `want ${oid}\n`));
    }
    await channel.write(FLUSH);
    await this.#offerTips();

    const found = { common: false, ready: false, final: false };
    let count = 0;
    let window = FIRST_WINDOW;
    let flushes = 0;
    let inVain = 0;
    for (let oid = await this.#nextHave(); oid !== undefined; oid = await this.#nextHave()) {
      await channel.write(encodePkt(`have ${oid}\n`));
      inVain++;
      if (++count < window) continue;
      await channel.write(FLUSH);
      await channel.flush();
      flushes++;
      window = nextWindow(count, false);
      if (count === FIRST_WINDOW) continue; // The window that stays on its way.
      for (;;) {
        const answer = await this.#acknowledgment();
        if (answer.kind !== "ack") break;
        inVain = 0;
        if (answer.status === "final") {
          found.final = true;
          break;
        }
        await this.#acknowledge(answer.oid);
        found.common = true;
        if (answer.status === "ready") found.ready = true;
      }
      if (found.final) break;
      flushes--;
      if ((found.common && inVain > MAX_IN_VAIN) || found.ready) break;
    }
    await channel.write(encodePkt("done\n"));
    await channel.flush();
    if (!found.final) await this.#awaitLastAnswer(found.common, flushes);

    if (asked.includes("side-band-64k") || asked.includes("side-band")) {
      return new BandSource(channel, this.#options.progress);
    }
    return channel.raw();
  }

  /** After `done`: a NAK for each window still unanswered, then the last ACK where anything is common, else one NAK. */
  async #awaitLastAnswer(common: boolean, flushes: number): Promise<void> {
    let expectAck = common;
    let naks = common ? flushes : flushes + 1;
    while (naks > 0 || expectAck) {
      const answer = await this.#acknowledgment();
      if (answer.kind !== "ack") naks--;
      else if (answer.status === "final") return;
      else expectAck = true;
    }
  }

  async #acknowledgment(): Promise<Exclude<ReturnType<typeof readAcknowledgment>, { kind: "ready" }>> {
    const answer = readAcknowledgment(await this.#session.channel.expect("an acknowledgment"));
    if (answer.kind === "ready") throw new StoreError("protocol", "a ready where ACK or NAK was due");
    return answer;
  }

  async #nextHave(): Promise<Oid | undefined> {
    const oid = await this.#negotiator.next();
    if (oid !== undefined) this.#offered.add(oid);
    return oid;
  }

  /** Only what was offered can be common: a server cannot make us remember what it likes. */
  async #acknowledge(oid: Oid): Promise<void> {
    if (!this.#offered.has(oid)) {
      throw new StoreError("protocol", `${oid} was acknowledged and never offered`);
    }
    await this.#negotiator.acknowledge(oid);
  }

  async #offerTips(): Promise<void> {
    // Theirs first: what they have a ref to is common without asking, where we have it too.
    for (const oid of new Set(this.#session.refs.refs.values())) {
      if (await this.#graph.load(oid) !== undefined) await this.#negotiator.knownCommon(oid);
    }
    for (const oid of new Set((await this.#options.repository.refs.list()).values())) {
      const peeled = await this.#graph.peel(oid);
      if (peeled?.kind === "commit") await this.#negotiator.addTip(peeled.oid);
    }
  }

  async #writeFetch(haves: readonly Oid[], done: boolean): Promise<void> {
    const { channel } = this.#session;
    await writeV2Head(this.#session, "fetch");
    const flags = [
      "thin-pack",
      ...(this.#options.progress === undefined ? ["no-progress"] : []),
      "ofs-delta",
    ];
    for (const flag of flags) await channel.write(encodePkt(`${flag}\n`));
    for (const oid of this.#wants) await channel.write(encodePkt(`want ${oid}\n`));
    for (const oid of haves) await channel.write(encodePkt(`have ${oid}\n`));
    if (done) await channel.write(encodePkt("done\n"));
    await channel.write(FLUSH);
    await channel.flush();
  }

  /** The section of acknowledgments: ended by a flush (go on), or after `ready` by a delimiter (the pack follows). */
  async #readAcknowledgments(common: Set<Oid>): Promise<{ readonly some: boolean; readonly ready: boolean }> {
    const { channel } = this.#session;
    await this.#expectSection("acknowledgments");
    let some = false;
    let ready = false;
    for (;;) {
      const pkt = await channel.expect("acknowledgments");
      if (pkt.kind === "flush" || pkt.kind === "delim") {
        if ((pkt.kind === "delim") !== ready) {
          throw new StoreError("protocol", "acknowledgments that end too early");
        }
        return { some, ready };
      }
      const answer = readAcknowledgment(pkt);
      if (answer.kind === "ready") ready = true;
      if (answer.kind !== "ack") continue;
      some = true;
      common.add(answer.oid);
      await this.#acknowledge(answer.oid);
    }
  }

  async #expectSection(name: string): Promise<void> {
    const pkt = await this.#session.channel.expect(name);
    refuseError(pkt);
    const line = pkt.kind === "data" ? lineOf(pkt.payload) : pkt.kind;
    if (line !== name) throw new StoreError("protocol", `${oneLine(line ?? "")} where ${name} was due`);
  }

  #v0Capabilities(offered: Capabilities): string[] {
    const asked: string[] = [];
    if (offered.has("multi_ack_detailed")) asked.push("multi_ack_detailed");
    else if (offered.has("multi_ack")) asked.push("multi_ack");
    if (offered.has("side-band-64k")) asked.push("side-band-64k");
    else if (offered.has("side-band")) asked.push("side-band");
    for (const name of ["thin-pack", "ofs-delta"]) if (offered.has(name)) asked.push(name);
    if (this.#options.progress === undefined && offered.has("no-progress")) asked.push("no-progress");
    if (offered.has("object-format")) asked.push("object-format=sha1");
    if (offered.has("agent")) asked.push(`agent=${this.#session.agent}`);
    return asked;
  }
}
