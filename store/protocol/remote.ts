/** The client's side up to the refs: opening, the advertisement, `ls-refs`. */
import type { Flow, Result } from "../../conduit/mod.ts";
import { StoreError } from "../types.ts";
import {
  type Advertisement,
  AdvertisementReader,
  emptyRefs,
  filterRefs,
  oneLine,
  type ProtocolVersion,
  readLsRefsLine,
  refuseError,
  type RemoteRefs,
} from "./advertisement.ts";
import { agentValue } from "./capabilities.ts";
import { Channel, type ChannelBounds, DEFAULT_BOUNDS, type StatelessFlow } from "./channel.ts";
import type { GitService } from "./git_command.ts";
import { DELIM, encodePkt, FLUSH } from "./pkt_line.ts";

/**
 * Opens a flow to the service: a standing conversation, or one of requests and answers. The version goes where the
 * transport has a place for it (`GIT_PROTOCOL`, `Git-Protocol`). An error that is a `StoreError` keeps its code; any other
 * is `unreachable`.
 */
export type OpenService = (
  service: GitService,
  protocolVersion: ProtocolVersion,
) => Promise<Result<Flow | StatelessFlow, { readonly message: string }>>;

export interface RemoteOptions {
  readonly open: OpenService;
  /** Which refs are asked for, by the beginning of their names; none for all. v2 servers send no others. */
  readonly refPrefixes: readonly string[];
  /** What to ask for; the server may answer with an older one. Default 2. */
  readonly version?: ProtocolVersion | undefined;
  readonly bounds?: Partial<ChannelBounds> | undefined;
  readonly signal?: AbortSignal | undefined;
  /** The most refs that are taken from a server. Default 100,000. */
  readonly maxRefs?: number | undefined;
  readonly agent?: string | undefined;
}

/** A conversation in which the refs are known. */
export interface RemoteSession {
  readonly channel: Channel;
  readonly advertisement: Advertisement;
  readonly refs: RemoteRefs;
  readonly agent: string;
}

/** The refs of a remote repository: the cheap question of a poll. */
export function lsRefs(options: RemoteOptions): Promise<Result<RemoteRefs, StoreError>> {
  return withRemote(options, async (session) => {
    await session.channel.leave(FLUSH);
    return session.refs;
  });
}

/** Opens, learns the refs, hands over; closes whatever happens. Faults become values with what the server said. */
export async function withRemote<T>(
  options: RemoteOptions,
  use: (session: RemoteSession) => Promise<T>,
  service: GitService = "git-upload-pack",
): Promise<Result<T, StoreError>> {
  let opened: Awaited<ReturnType<OpenService>>;
  try {
    opened = await options.open(service, options.version ?? 2);
  } catch (error) {
    return failed(error);
  }
  if (!opened.ok) return failed(opened.error);
  const channel = new Channel(opened.value, { ...DEFAULT_BOUNDS, ...options.bounds, signal: options.signal });
  try {
    const agent = agentValue(options.agent ?? "bailiwick");
    const maxRefs = options.maxRefs ?? 100_000;
    const advertisement = await readAdvertisement(channel, maxRefs);
    const refs = advertisement.version === 2
      ? await requestRefs(channel, advertisement, options.refPrefixes, maxRefs, agent)
      : filterRefs(advertisement.refs, options.refPrefixes);
    return { ok: true, value: await use({ channel, advertisement, refs, agent }) };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { ok: false, error: attributed(error, channel) };
  } finally {
    channel.close();
  }
}

/** The lines that begin a v2 request: the command and the capabilities that the server knows. */
export async function writeV2Head(session: Omit<RemoteSession, "refs">, command: string): Promise<void> {
  const { channel, advertisement, agent } = session;
  await channel.write(encodePkt(`command=${command}\n`));
  if (advertisement.capabilities.has("agent")) await channel.write(encodePkt(`agent=${agent}\n`));
  if (advertisement.capabilities.has("object-format")) await channel.write(encodePkt("object-format=sha1\n"));
  await channel.write(DELIM);
}

async function readAdvertisement(channel: Channel, maxRefs: number): Promise<Advertisement> {
  // A tag takes two lines, a version and the capabilities of v2 some more.
  const reader = new AdvertisementReader(2 * maxRefs + 100);
  for (;;) {
    const advertisement = reader.feed(await channel.expect("the server's advertisement"));
    if (advertisement === undefined) continue;
    const formats = advertisement.capabilities.get("object-format") ?? [];
    if (formats.length > 0 && !formats.includes("sha1")) {
      throw new StoreError(
        "protocol",
        `the server's object format is ${oneLine(formats.join(" "))}, not sha1`,
      );
    }
    return advertisement;
  }
}

async function requestRefs(
  channel: Channel,
  advertisement: Advertisement,
  prefixes: readonly string[],
  maxRefs: number,
  agent: string,
): Promise<RemoteRefs> {
  const features = advertisement.capabilities.get("ls-refs");
  if (features === undefined) throw new StoreError("protocol", "the server offers no ls-refs");
  await writeV2Head({ channel, advertisement, agent }, "ls-refs");
  await channel.write(encodePkt("peel\n"));
  await channel.write(encodePkt("symrefs\n"));
  if (features.some((value) => value.split(" ").includes("unborn"))) {
    await channel.write(encodePkt("unborn\n"));
  }
  for (const prefix of prefixes) await channel.write(encodePkt(`ref-prefix ${prefix}\n`));
  await channel.write(FLUSH);
  await channel.flush();
  const refs = emptyRefs();
  for (let count = 0;; count++) {
    const pkt = await channel.expect("the list of refs");
    if (pkt.kind === "flush") return filterRefs(refs, prefixes); // Prefixes are a hint that a server may ignore.
    if (count >= maxRefs) throw new StoreError("limit", `the server has more than ${maxRefs} refs`);
    refuseError(pkt);
    readLsRefsLine(pkt, refs);
  }
}

/** Says of whom the error speaks, and what that one wrote beside the stream. */
function attributed(error: StoreError, channel: Channel): StoreError {
  const theirs = error.code === "remote" || error.code === "protocol" || error.code === "limit";
  const named = !theirs || error.message.includes(channel.description);
  const said = oneLine(channel.diagnostics());
  if (named && said === "") return error;
  const message = named ? error.message : `${channel.description}: ${error.message}`;
  return new StoreError(
    error.code,
    said === "" ? message : `${message}; the server's error output: ${said}`,
    { cause: error },
  );
}

function failed(cause: unknown): Result<never, StoreError> {
  if (cause instanceof StoreError) return { ok: false, error: cause };
  const message = typeof cause === "object" && cause !== null && "message" in cause ? cause.message : cause;
  return { ok: false, error: new StoreError("unreachable", String(message), { cause }) };
}
