/** Protocol v0 and v1 (gitprotocol-pack): refs at once, a list of wants, a negotiation, a pack. */
import type { Oid } from "../../types.ts";
import { type AdvertisedRef, encodeAdvertisement } from "../advertisement.ts";
import { encodePkt, FLUSH } from "../pkt_line.ts";
import { BAND_64K, BAND_SMALL } from "../side_band.ts";
import { addBounded, readHaveLine, WantReader } from "../upload_request.ts";
import { asksForDepth } from "./depth.ts";
import { NO_BOUNDARY, notOffered, tagsOf, type UploadSession, type VisibleRefs } from "./session.ts";

export async function serveVersion0(session: UploadSession, version: 0 | 1): Promise<void> {
  const { channel } = session;
  const visible = await session.visibleRefs();
  if (session.advertise !== "skip") {
    await advertise(session, version, visible);
    if (session.advertise === "only") return;
  }

  const reader = new WantReader(session.limits);
  for (;;) {
    const pkt = reader.wants.size === 0 ? await channel.read() : await channel.expect("a list of wants");
    if (pkt === undefined || reader.feed(pkt)) break;
  }
  const { wants, capabilities: asked, depth, filter } = reader;
  if (wants.size === 0) return;
  const offered = new Set([...CAPABILITIES, ...(session.stateless ? ["no-done"] : [])]);
  for (const name of asked.keys()) {
    if (!offered.has(name) && !ALWAYS.has(name)) throw notOffered(name);
  }
  await session.checkWants(wants, visible);
  const boundary = asksForDepth(depth) ? await session.boundary(depth, wants, visible) : NO_BOUNDARY;
  if (asksForDepth(depth) && boundary !== undefined) {
    await session.sayBoundary(boundary);
    await channel.write(FLUSH);
    await channel.flush();
  }
  const common = await negotiate(session, wants, {
    mode: asked.has("multi_ack_detailed") ? "detailed" : asked.has("multi_ack") ? "multi" : "single",
    noDone: asked.has("no-done"),
  });
  if (common === undefined) return;
  session.errors = asked.has("side-band-64k") || asked.has("side-band") ? "band" : "none";
  session.bandRoom = asked.has("side-band-64k") ? BAND_64K : BAND_SMALL;
  await session.sendPack({
    wants,
    common,
    shallow: depth.shallow,
    boundary: boundary ?? NO_BOUNDARY,
    tags: asked.has("include-tag") ? tagsOf(visible.refs) : [],
    filter,
    thin: asked.has("thin-pack"),
    offsetDeltas: asked.has("ofs-delta"),
    progress: session.errors === "band" && !asked.has("no-progress"),
  });
}

const CAPABILITIES = [
  "multi_ack",
  "thin-pack",
  "side-band",
  "side-band-64k",
  "ofs-delta",
  "shallow",
  "deepen-since",
  "deepen-not",
  "deepen-relative",
  "no-progress",
  "include-tag",
  "multi_ack_detailed",
  "allow-tip-sha1-in-want",
  "allow-reachable-sha1-in-want",
  "filter",
];
const ALWAYS: ReadonlySet<string> = new Set(["agent", "object-format", "session-id"]);

async function advertise(
  session: UploadSession,
  version: 0 | 1,
  { refs, head }: VisibleRefs,
): Promise<void> {
  const advertised: AdvertisedRef[] = head?.oid === undefined ? [] : [{ name: "HEAD", oid: head.oid }];
  for (const [name, oid] of refs) advertised.push(await session.advertised(name, oid));
  const capabilities = [
    ...CAPABILITIES,
    ...(session.stateless ? ["no-done"] : []),
    ...(head?.oid === undefined || head.to === undefined ? [] : [`symref=HEAD:${head.to}`]),
    "object-format=sha1",
    `agent=${session.agent}`,
  ];
  for (const packet of encodeAdvertisement(version, advertised, capabilities, session.shallow)) {
    await session.channel.write(packet);
  }
  await session.channel.flush();
}

/**
 * The negotiation ("Packfile Negotiation"); gives what is common, or `undefined` where the client comes back with
 * another request.
 */
async function negotiate(
  session: UploadSession,
  wants: ReadonlySet<Oid>,
  { mode, noDone }: { readonly mode: "single" | "multi" | "detailed"; readonly noDone: boolean },
): Promise<Set<Oid> | undefined> {
  const { channel, stateless } = session;
  const common = new Set<Oid>();
  const haves = new Set<Oid>();
  let last: Oid | undefined;
  let ready = false;
  let someCommon = false;
  let someOther = false;
  const reply = (line: string) => channel.write(encodePkt(`${line}\n`));
  for (let first = true;; first = false) {
    // A client that asked for its boundary alone ends its request here, and comes back with haves.
    const pkt = stateless && first ? await channel.read() : await channel.expect("a have, or done");
    if (pkt === undefined) return undefined;
    const line = readHaveLine(pkt);
    if (line === "done") {
      if (common.size === 0) await reply("NAK");
      else if (mode !== "single") await reply(`ACK ${last}`);
      return common;
    }
    if (line === "flush") {
      if (mode === "detailed" && someCommon && !someOther && !ready && await session.enough(wants, common)) {
        ready = true;
        await reply(`ACK ${last} ready`);
      }
      if (common.size === 0 || mode !== "single") await reply("NAK");
      if (noDone && ready) {
        await reply(`ACK ${last}`);
        return common;
      }
      await channel.flush();
      if (stateless) return undefined;
      someCommon = someOther = false;
      continue;
    }
    const oid = line.have;
    addBounded(haves, oid, session.limits.haves, "haves");
    if (await session.repository.has(oid)) {
      common.add(oid);
      last = oid;
      someCommon = true;
      if (mode === "detailed") await reply(`ACK ${oid} common`);
      else if (mode === "multi") await reply(`ACK ${oid} continue`);
      else if (common.size === 1) await reply(`ACK ${oid}`);
    } else {
      someOther = true;
      // Enough is common already: what the client goes on to offer would change nothing.
      if (mode !== "single" && common.size > 0 && (ready ||= await session.enough(wants, common))) {
        last = oid;
        await reply(`ACK ${oid} ${mode === "detailed" ? "ready" : "continue"}`);
      }
    }
  }
}
