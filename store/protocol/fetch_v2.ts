/** A fetch by protocol v2 (gitprotocol-v2 "fetch"): requests that stand alone, over any transport. */
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { readAcknowledgment } from "./acknowledgment.ts";
import { oneLine, refuseError } from "./advertisement.ts";
import { BandSource } from "./band_source.ts";
import type { FetchAnswer, FetchRequest } from "./fetch_conversation.ts";
import { emptyReply, readShallowLine, shallowLines, type ShallowReply } from "./fetch_shallow.ts";
import { FIRST_WINDOW, MAX_IN_VAIN, nextWindow } from "./negotiator/window.ts";
import { encodePkt, FLUSH, lineOf } from "./pkt_line.ts";
import { writeV2Head } from "./remote.ts";

/** Each request says everything found common so far, until the server is ready or we are through. */
export async function fetchVersion2(request: FetchRequest): Promise<FetchAnswer> {
  const { haves } = request;
  refuseUnable(request);
  const common = new Set<Oid>();
  let window = FIRST_WINDOW;
  let inVain = 0;
  for (;;) {
    const offer: Oid[] = [];
    while (offer.length < window) {
      const oid = await haves.next();
      if (oid === undefined) break;
      offer.push(oid);
    }
    inVain += offer.length;
    const done = offer.length === 0 || (common.size > 0 && inVain >= MAX_IN_VAIN);
    await writeFetch(request, [...common, ...offer], done);
    if (!done) {
      const answer = await readAcknowledgments(request, common);
      if (answer.some) inVain = 0;
      if (!answer.ready) {
        window = nextWindow(window, true);
        continue;
      }
    }
    return await readSections(request);
  }
}

function refuseUnable({ session, marks, deepening }: FetchRequest): void {
  const features = session.advertisement.capabilities.get("fetch");
  if (features === undefined) throw new StoreError("protocol", "the server offers no fetch");
  const shallow = features.some((value) => value.split(" ").includes("shallow"));
  if (!shallow && (marks.size > 0 || deepening !== undefined)) {
    throw new StoreError("protocol", "the server offers no shallow: it knows whole histories only");
  }
}

async function writeFetch(request: FetchRequest, haves: readonly Oid[], done: boolean): Promise<void> {
  const { session, wants, marks, deepening } = request;
  const { channel } = session;
  await writeV2Head(session, "fetch");
  const flags = [
    ...(request.thin ? ["thin-pack"] : []),
    ...(request.progress === undefined ? ["no-progress"] : []),
    ...(request.includeTags ? ["include-tag"] : []),
    "ofs-delta",
  ];
  for (const flag of flags) await channel.write(encodePkt(`${flag}\n`));
  for (const line of shallowLines(marks, deepening, 2)) await channel.write(encodePkt(line));
  for (const oid of wants) await channel.write(encodePkt(`want ${oid}\n`));
  for (const oid of haves) await channel.write(encodePkt(`have ${oid}\n`));
  if (done) await channel.write(encodePkt("done\n"));
  await channel.write(FLUSH);
  await channel.flush();
}

/** The section of acknowledgments: ended by a flush (go on), or after `ready` by a delimiter (the pack follows). */
async function readAcknowledgments(
  { session, haves }: FetchRequest,
  common: Set<Oid>,
): Promise<{ readonly some: boolean; readonly ready: boolean }> {
  const { channel } = session;
  const section = await readSectionName(session);
  if (section !== "acknowledgments") throw unexpected(section, "acknowledgments");
  const count = haves.answerBudget();
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
    count();
    const answer = readAcknowledgment(pkt);
    if (answer.kind === "ready") ready = true;
    if (answer.kind !== "ack") continue;
    await haves.acknowledge(answer.oid);
    some = true;
    common.add(answer.oid);
  }
}

/** What comes before the pack: boundaries, where there are any. Sections that were not asked for are refused. */
async function readSections(request: FetchRequest): Promise<FetchAnswer> {
  const { session } = request;
  const shallow = emptyReply();
  let section = await readSectionName(session);
  if (section === "shallow-info") {
    await readShallowInfo(request, shallow);
    section = await readSectionName(session);
  }
  if (section !== "packfile") throw unexpected(section, "packfile");
  return { pack: new BandSource(session.channel, request.progress), shallow };
}

async function readShallowInfo(request: FetchRequest, into: ShallowReply): Promise<void> {
  const bounds = { marks: request.marks, maximum: request.maxShallow };
  let left = request.maxShallow + request.marks.size;
  for (;;) {
    const pkt = await request.session.channel.expect("boundaries");
    if (pkt.kind === "delim") return;
    if (--left < 0) throw new StoreError("limit", `the server has more than ${bounds.maximum} boundaries`);
    readShallowLine(pkt, into, bounds);
  }
}

async function readSectionName({ channel }: FetchRequest["session"]): Promise<string> {
  const pkt = await channel.expect("a section of the answer");
  refuseError(pkt);
  return pkt.kind === "data" ? lineOf(pkt.payload) ?? "" : pkt.kind;
}

function unexpected(found: string, due: string): StoreError {
  return new StoreError("protocol", `${oneLine(found)} where ${due} was due`);
}
