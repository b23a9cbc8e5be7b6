/** A fetch by protocol v0 or v1 (gitprotocol-pack "Packfile Negotiation"; over HTTP gitprotocol-http "stateless-rpc"). */
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { readAcknowledgment } from "./acknowledgment.ts";
import { BandSource } from "./band_source.ts";
import type { FetchAnswer, FetchRequest } from "./fetch_conversation.ts";
import {
  emptyReply,
  neededCapabilities,
  readShallowLine,
  shallowLines,
  type ShallowReply,
} from "./fetch_shallow.ts";
import { FIRST_WINDOW, MAX_IN_VAIN, nextWindow } from "./negotiator/window.ts";
import { encodePkt, FLUSH } from "./pkt_line.ts";

export async function fetchVersion0(request: FetchRequest): Promise<FetchAnswer> {
  const { channel, advertisement } = request.session;
  const asked = askedCapabilities(request);
  const conversation = new Conversation(request, asked);
  const shallow = channel.stateless ? await conversation.stateless() : await conversation.standing();
  // A server that is shallow itself says so with its refs.
  for (const oid of advertisement.shallow) if (request.deepening === undefined) shallow.shallow.add(oid);
  const banded = asked.includes("side-band-64k") || asked.includes("side-band");
  return { pack: banded ? new BandSource(channel, request.progress) : channel.raw(), shallow };
}

class Conversation {
  readonly #request: FetchRequest;
  readonly #noDone: boolean;
  readonly #head: readonly Uint8Array[];
  #inVain = 0;

  constructor(request: FetchRequest, asked: readonly string[]) {
    this.#request = request;
    this.#noDone = asked.includes("no-done");
    this.#head = [
      ...request.wants.map((oid, index) =>
        encodePkt(index === 0 ? `want ${oid} ${asked.join(" ")}\n` : `want ${oid}\n`)
      ),
      ...[...shallowLines(request.marks, request.deepening, 0)].map((line) => encodePkt(line)),
      FLUSH,
    ];
  }

  /** Windows of haves, one of them always on its way while an answer is read. */
  async standing(): Promise<ShallowReply> {
    const { session: { channel }, haves, deepening } = this.#request;
    for (const packet of this.#head) await channel.write(packet);
    let boundaries = emptyReply();
    if (deepening !== undefined) {
      await channel.flush();
      boundaries = await this.#readBoundaries();
    }
    const found: Found = { common: false, ready: false, final: false };
    let count = 0;
    let window = FIRST_WINDOW;
    let unanswered = 0;
    for (let oid = await haves.next(); oid !== undefined; oid = await haves.next()) {
      await channel.write(encodePkt(`have ${oid}\n`));
      this.#inVain++;
      if (++count < window) continue;
      await channel.write(FLUSH);
      await channel.flush();
      unanswered++;
      window = nextWindow(count, false);
      if (count === FIRST_WINDOW) continue; // The window that stays on its way.
      await this.#readAnswer(found);
      if (found.final) break;
      unanswered--;
      if ((found.common && this.#inVain > MAX_IN_VAIN) || found.ready) break;
    }
    await channel.write(encodePkt("done\n"));
    await channel.flush();
    if (!found.final) await this.#awaitLastAnswer(found.common, unanswered);
    return boundaries;
  }

  /** Requests that stand alone: each begins anew with the wants and all that was found common. */
  async stateless(): Promise<ShallowReply> {
    const { session: { channel }, haves, deepening } = this.#request;
    const common: Oid[] = [];
    const found: Found = { common: false, ready: false, final: false };
    let count = 0;
    let window = FIRST_WINDOW;
    for (;;) {
      for (const packet of this.#head) await channel.write(packet);
      for (const oid of common) await channel.write(encodePkt(`have ${oid}\n`));
      let through = found.ready || found.final || (found.common && this.#inVain > MAX_IN_VAIN);
      while (!through && count < window) {
        const oid = await haves.next();
        if (oid === undefined) through = true;
        else {
          await channel.write(encodePkt(`have ${oid}\n`));
          this.#inVain++;
          count++;
        }
      }
      await channel.write(through ? encodePkt("done\n") : FLUSH);
      await channel.flush();
      const boundaries = deepening === undefined ? emptyReply() : await this.#readBoundaries();
      if (through) {
        await this.#awaitLastAnswer(found.common, 0);
        return boundaries;
      }
      await this.#readAnswer(found, common);
      if (found.ready && this.#noDone) {
        await this.#awaitLastAnswer(true, 0);
        return boundaries;
      }
      window = nextWindow(count, true);
    }
  }

  /** The answer to one window: acknowledgments up to a NAK, or the one that ends the negotiation. */
  async #readAnswer(found: Found, replay?: Oid[]): Promise<void> {
    const { haves } = this.#request;
    const budget = haves.answerBudget();
    for (;;) {
      const answer = await this.#acknowledgment();
      if (answer.kind !== "ack") return;
      budget();
      const known = await haves.acknowledge(answer.oid);
      // One that ends the search with "ready" need not be theirs; one that was replayed is no news.
      const repeated = replay !== undefined && known && answer.status === "common";
      if (!repeated) this.#inVain = 0;
      if (!known && answer.status === "common") replay?.push(answer.oid);
      if (answer.status === "final") {
        found.final = true;
        return;
      }
      found.common = true;
      if (answer.status === "ready") found.ready = true;
    }
  }

  /** After `done`: a NAK for each window still unanswered, then the last ACK where anything is common, else one NAK. */
  async #awaitLastAnswer(common: boolean, unanswered: number): Promise<void> {
    const budget = this.#request.haves.answerBudget();
    let expectAck = common;
    let naks = common ? unanswered : unanswered + 1;
    while (naks > 0 || expectAck) {
      const answer = await this.#acknowledgment();
      budget();
      if (answer.kind !== "ack") naks--;
      else if (answer.status === "final") return;
      else expectAck = true;
    }
  }

  async #acknowledgment(): Promise<Exclude<ReturnType<typeof readAcknowledgment>, { kind: "ready" }>> {
    const answer = readAcknowledgment(await this.#request.session.channel.expect("an acknowledgment"));
    if (answer.kind === "ready") throw new StoreError("protocol", "a ready where ACK or NAK was due");
    return answer;
  }

  async #readBoundaries(): Promise<ShallowReply> {
    const { session: { channel }, marks, maxShallow } = this.#request;
    const reply = emptyReply();
    for (let left = maxShallow + marks.size;; left--) {
      const pkt = await channel.expect("boundaries");
      if (pkt.kind === "flush") return reply;
      if (left <= 0) throw new StoreError("limit", `the server has more than ${maxShallow} boundaries`);
      readShallowLine(pkt, reply, { marks, maximum: maxShallow });
    }
  }
}

interface Found {
  common: boolean;
  ready: boolean;
  /** The negotiation is over by the server's word (no multi_ack). */
  final: boolean;
}

function askedCapabilities(request: FetchRequest): string[] {
  const { session, deepening, marks } = request;
  const offered = session.advertisement.capabilities;
  const needed = neededCapabilities(deepening, marks.size);
  for (const name of needed) {
    if (!offered.has(name)) {
      throw new StoreError(
        "protocol",
        `the server offers no ${name}, which the asked depth of history needs`,
      );
    }
  }
  const detailed = offered.has("multi_ack_detailed");
  const asked: string[] = [];
  if (detailed) asked.push("multi_ack_detailed");
  else if (offered.has("multi_ack")) asked.push("multi_ack");
  if (detailed && session.channel.stateless && offered.has("no-done")) asked.push("no-done");
  if (offered.has("side-band-64k")) asked.push("side-band-64k");
  else if (offered.has("side-band")) asked.push("side-band");
  // `shallow` itself is never asked back: its lines say it (as git has it).
  for (const name of needed) if (name !== "shallow") asked.push(name);
  if (request.thin && offered.has("thin-pack")) asked.push("thin-pack");
  if (offered.has("ofs-delta")) asked.push("ofs-delta");
  if (request.includeTags && offered.has("include-tag")) asked.push("include-tag");
  if (request.progress === undefined && offered.has("no-progress")) asked.push("no-progress");
  if (offered.has("object-format")) asked.push("object-format=sha1");
  if (offered.has("agent")) asked.push(`agent=${session.agent}`);
  return asked;
}
