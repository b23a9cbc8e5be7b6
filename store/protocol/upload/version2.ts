/** Protocol v2 (gitprotocol-v2): capabilities, then one command after the other; none needs what was before. */
import type { Oid } from "../../types.ts";
import { StoreError } from "../../types.ts";
import { oneLine } from "../advertisement.ts";
import { DELIM, FLUSH } from "../pkt_line.ts";
import {
  type FetchArgs,
  parseFetch,
  parseLsRefs,
  type V2Request,
  V2RequestReader,
} from "../upload_request.ts";
import { NO_BOUNDARY, notOffered, tagsOf, type UploadSession } from "./session.ts";

export async function serveVersion2(session: UploadSession): Promise<void> {
  const { channel } = session;
  if (session.advertise !== "skip") {
    await session.say("version 2");
    for (const capability of CAPABILITIES) await session.say(capability);
    await session.say(`agent=${session.agent}`);
    await channel.write(FLUSH);
    await channel.flush();
    if (session.advertise === "only") return;
  }
  for (;;) {
    const request = await nextRequest(session);
    if (request === undefined) return;
    checkCapabilities(request);
    if (request.command === "ls-refs") await lsRefs(session, request.args);
    else if (request.command === "fetch") await fetch(session, parseFetch(request.args, session.limits));
    else throw new StoreError("protocol", `unknown command ${JSON.stringify(request.command.slice(0, 100))}`);
    await channel.flush();
    if (session.stateless) return;
  }
}

const CAPABILITIES = [
  "ls-refs=unborn",
  "fetch=shallow wait-for-done filter ref-in-want",
  "object-format=sha1",
];

async function nextRequest(session: UploadSession): Promise<V2Request | undefined> {
  const reader = new V2RequestReader(session.limits.requestBytes);
  for (;;) {
    const pkt = reader.idle
      ? await session.channel.read()
      : await session.channel.expect("the rest of a request");
    if (pkt === undefined) return undefined;
    const request = reader.feed(pkt);
    if (request === "end") return undefined;
    if (request !== undefined) return request;
  }
}

function checkCapabilities({ capabilities }: V2Request): void {
  for (const [name, values] of capabilities) {
    if (name === "agent") continue;
    if (name !== "object-format") throw notOffered(name);
    if (values.some((value) => value !== "sha1")) {
      throw new StoreError("protocol", `object format ${oneLine(values.join(" "))} is not sha1`);
    }
  }
}

async function lsRefs(session: UploadSession, args: readonly string[]): Promise<void> {
  const { peel, symrefs, unborn, prefixes } = parseLsRefs(args);
  const wanted = (name: string) =>
    prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix));
  const { refs, head } = await session.visibleRefs();
  if (wanted("HEAD") && head !== undefined) {
    const target = symrefs && head.to !== undefined ? ` symref-target:${head.to}` : "";
    if (head.oid !== undefined) await session.say(`${head.oid} HEAD${target}`);
    else if (unborn) await session.say(`unborn HEAD${target}`);
  }
  for (const [name, oid] of refs) {
    if (!wanted(name)) continue;
    const peeled = peel ? (await session.advertised(name, oid)).peeled : undefined;
    await session.say(`${oid} ${name}${peeled === undefined ? "" : ` peeled:${peeled}`}`);
  }
  await session.channel.write(FLUSH);
}

/** The sections of the answer in their order, a delimiter between two, a flush at the end. */
async function fetch(session: UploadSession, args: FetchArgs): Promise<void> {
  const { channel } = session;
  const visible = await session.visibleRefs();
  const { refs, head } = visible;
  const wants = new Set(args.wants);
  const wantedRefs = args.wantRefs.map((name) => {
    const oid = name === "HEAD" ? head?.oid : refs.get(name);
    if (oid === undefined) throw new StoreError("protocol", `unknown ref ${oneLine(name)}`);
    wants.add(oid);
    return { name, oid };
  });
  await session.checkWants(wants, visible);
  if (wants.size === 0 && !args.waitForDone) return await channel.write(FLUSH);
  const common: Oid[] = [];
  for (const oid of args.haves) if (await session.repository.has(oid)) common.push(oid);
  if (args.haves.size > 0 && !args.done) {
    await session.say("acknowledgments");
    if (common.length === 0) await session.say("NAK");
    for (const oid of common) await session.say(`ACK ${oid}`);
    const ready = !args.waitForDone && await session.enough(wants, new Set(common));
    if (!ready) return await channel.write(FLUSH);
    await session.say("ready");
    await channel.write(DELIM);
  }
  const boundary = await session.boundary(args.depth, wants, visible);
  if (boundary !== undefined) {
    await session.say("shallow-info");
    await session.sayBoundary(boundary);
    await channel.write(DELIM);
  }
  if (wantedRefs.length > 0) {
    await session.say("wanted-refs");
    for (const { name, oid } of wantedRefs) await session.say(`${oid} ${name}`);
    await channel.write(DELIM);
  }
  await session.say("packfile");
  session.errors = "band";
  await session.sendPack({
    wants,
    common,
    shallow: args.depth.shallow,
    boundary: boundary ?? NO_BOUNDARY,
    tags: args.includeTag ? tagsOf(refs) : [],
    filter: args.filter,
    thin: args.thin,
    offsetDeltas: args.offsetDeltas,
    progress: !args.noProgress,
  });
  session.errors = "packet";
}
