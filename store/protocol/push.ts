/** The client's side of a push: one conversation, told in full. What it means for the caller is `face/publish.ts`. */
import type { PackSource } from "../pack/write_pack.ts";
import { isRefName } from "../repository/ref_name.ts";
import type { ObjectReader, Oid, RefMove, ShallowCommits } from "../types.ts";
import { StoreError } from "../types.ts";
import { oneLine, refuseError, type RemoteRefs, ZERO_OID } from "./advertisement.ts";
import { encodePkt, FLUSH, type Pkt, PktDecoder } from "./pkt_line.ts";
import { listeningFlow } from "./push_flow.ts";
import { type PackToPush, pushedPack } from "./push_pack.ts";
import { type RemoteOptions, type RemoteSession, withRemote } from "./remote.ts";
import { type PushEffect, type PushStatus, ReportReader } from "./report.ts";
import { decodeBand, terminalText } from "./side_band.ts";
import type { PackTools } from "./upload_pack.ts";

/** What is pushed from: objects, and which of its commits have parents that were left behind. */
export type PushSource = ObjectReader & PackSource<Oid> & {
  readonly shallow?: Pick<ShallowCommits, "list"> | undefined;
};

export interface PushRefsOptions extends Omit<RemoteOptions, "refPrefixes"> {
  readonly repository: PushSource;
  /**
   * What to move, each with the value that the change was based on as `old`. A ref that the server has elsewhere is not
   * touched (git: `--force-with-lease`), whether or not the move would be a fast-forward; `new` undefined deletes.
   */
  readonly moves: readonly RefMove[];
  /** All or nothing. Default true: then one move that cannot be made keeps the others from being sent. */
  readonly atomic?: boolean | undefined;
  /** Words for the server's hooks; a server that does not take any refuses the push. */
  readonly pushOptions?: readonly string[] | undefined;
  /** What the server says beside its report, made fit for a terminal or log. */
  readonly progress?: ((text: string) => void) | undefined;
  /** Asks the server to say less. */
  readonly quiet?: boolean | undefined;
}

/** What became of one ref. */
export type RefOutcome =
  | { readonly kind: "moved"; readonly effect?: PushEffect | undefined }
  /** The server had it there already; nothing was sent. */
  | { readonly kind: "unchanged" }
  /** The server's ref is not where the change was based on; nothing was sent. */
  | { readonly kind: "stale"; readonly actual: Oid | undefined }
  | { readonly kind: "rejected"; readonly reason: string };

export type PushConversation =
  | {
    readonly kind: "answered";
    readonly results: ReadonlyMap<string, RefOutcome>;
    /** The server's refs as it told them before. */
    readonly remote: RemoteRefs;
  }
  /** `doubt`: the commands were on their way when it broke off, so the refs may have moved or may yet move. */
  | { readonly kind: "failed"; readonly error: StoreError; readonly doubt: boolean };

/**
 * Pushes once. The pack holds what the advertised refs do not reach, thin where the server takes that. Faults of the way
 * or of the server are values; @throws {StoreError} `missing`, `malformed` where the moves themselves cannot be.
 */
export async function pushRefs(options: PushRefsOptions, tools: PackTools): Promise<PushConversation> {
  await checkMoves(options);
  let doubt = false;
  const outcome = await withRemote(
    { ...options, open: listening(options.open), refPrefixes: [], version: options.version ?? 0 },
    async (session) => {
      const { results, due } = planned(options, session);
      if (due.length === 0) {
        await session.channel.leave(FLUSH);
        return { results, remote: session.refs };
      }
      const pack = await preparePack(options, session, due);
      doubt = true;
      await sendCommands(options, session, due);
      const broken = await sendPack(session, pack, tools);
      const status = await readReport(options, session, broken);
      for (const [name, result] of reported(due, status)) results.set(name, result);
      return { results, remote: session.refs };
    },
    "git-receive-pack",
  );
  return outcome.ok
    ? { kind: "answered", ...outcome.value }
    : { kind: "failed", error: outcome.error, doubt };
}

async function checkMoves({ repository, moves }: PushRefsOptions): Promise<void> {
  const seen = new Set<string>();
  for (const { name, new: new_ } of moves) {
    if (!isRefName(name)) {
      throw new StoreError("malformed", `${JSON.stringify(name)} is not a valid ref name`);
    }
    if (seen.has(name)) throw new StoreError("malformed", `${name} twice in one push`);
    seen.add(name);
    if (new_ !== undefined && !await repository.has(new_)) {
      throw new StoreError("missing", `object ${new_} is not here to be pushed`);
    }
  }
}

/** What can be said before anything is sent, and what is to be sent. */
function planned(
  { moves, atomic, pushOptions }: PushRefsOptions,
  { advertisement: { version, capabilities }, refs: { refs } }: RemoteSession,
): { readonly results: Map<string, RefOutcome>; readonly due: RefMove[] } {
  if (version === 2) {
    throw new StoreError("protocol", "the server answers a push in protocol v2, which has none");
  }
  const results = new Map<string, RefOutcome>();
  const due: RefMove[] = [];
  const refusal = (move: RefMove): string | undefined =>
    !REPORTS.some((name) => capabilities.has(name))
      ? "the server does not report what becomes of a push"
      : move.new === undefined && !capabilities.has("delete-refs")
      ? "the server takes no deletions"
      : (pushOptions?.length ?? 0) > 0 && !capabilities.has("push-options")
      ? "the server takes no push options"
      : atomic !== false && moves.length > 1 && !capabilities.has("atomic")
      ? "the server takes no atomic pushes"
      : undefined;
  for (const move of moves) {
    const actual = refs.get(move.name);
    const reason = refusal(move);
    if (actual === move.new) results.set(move.name, { kind: "unchanged" });
    else if (actual !== move.old) results.set(move.name, { kind: "stale", actual });
    else if (reason !== undefined) results.set(move.name, { kind: "rejected", reason });
    else due.push(move);
  }
  const held = [...results.values()].some(({ kind }) => kind !== "unchanged");
  if (atomic === false || !held) return { results, due };
  for (const { name } of due) {
    results.set(name, { kind: "rejected", reason: "another ref of this push cannot be moved" });
  }
  return { results, due: [] };
}

/** `undefined` where nothing but deletions is asked for: then there is no pack, not even an empty one. */
async function preparePack(
  { repository }: PushRefsOptions,
  { advertisement: { capabilities, shallow }, refs: { refs } }: RemoteSession,
  due: readonly RefMove[],
): Promise<PackToPush | undefined> {
  const wants = due.flatMap((move) => move.new ?? []);
  if (wants.length === 0) return undefined;
  const common = new Set<Oid>();
  for (const oid of new Set(refs.values())) if (await repository.has(oid)) common.add(oid);
  return {
    repository,
    wants,
    common,
    // Where the server's own history ends, what it has says nothing of what lies below.
    shallow: new Set([...await repository.shallow?.list() ?? [], ...shallow]),
    offsetDeltas: capabilities.has("ofs-delta"),
    thin: !capabilities.has("no-thin"),
  };
}

async function sendCommands(
  options: PushRefsOptions,
  session: RemoteSession,
  due: readonly RefMove[],
): Promise<void> {
  const { channel, advertisement: { capabilities }, agent } = session;
  const offered = (name: string) => capabilities.has(name);
  const pushOptions = options.pushOptions ?? [];
  const asked = [
    offered("report-status-v2") ? "report-status-v2" : "report-status",
    ...(offered("side-band-64k") ? ["side-band-64k"] : []),
    ...(offered("quiet") && options.quiet === true ? ["quiet"] : []),
    ...(offered("atomic") && options.atomic !== false ? ["atomic"] : []),
    ...(pushOptions.length > 0 ? ["push-options"] : []),
    ...(offered("object-format") ? ["object-format=sha1"] : []),
    ...(offered("agent") ? [`agent=${agent}`] : []),
  ];
  for (const oid of await options.repository.shallow?.list() ?? []) {
    await channel.write(encodePkt(`shallow ${oid}\n`));
  }
  for (const [index, { name, old, new: new_ }] of due.entries()) {
    const command = `${old ?? ZERO_OID} ${new_ ?? ZERO_OID} ${name}`;
    await channel.write(encodePkt(index === 0 ? `${command}\0 ${asked.join(" ")}` : command));
  }
  await channel.write(FLUSH);
  if (pushOptions.length > 0) {
    for (const option of pushOptions) await channel.write(encodePkt(option));
    await channel.write(FLUSH);
  }
}

/**
 * Sends the pack, if any, and ends our side. A server that has seen enough may stop listening and still say why: so what
 * broke off the sending is given back, and thrown only if no report follows.
 */
async function sendPack(
  { channel }: RemoteSession,
  pack: PackToPush | undefined,
  tools: PackTools,
): Promise<StoreError | undefined> {
  let broken: StoreError | undefined;
  const put = async (chunk: Uint8Array) => {
    try {
      await channel.write(chunk);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      broken = error;
    }
  };
  if (pack !== undefined) {
    for await (const chunk of pushedPack(pack, tools)) {
      await put(chunk);
      if (broken !== undefined) break;
    }
  }
  // Over HTTP the next read ends the request.
  if (channel.stateless) await channel.flush();
  else await channel.leave(new Uint8Array());
  return broken;
}

async function readReport(
  options: PushRefsOptions,
  session: RemoteSession,
  broken: StoreError | undefined,
): Promise<PushStatus> {
  try {
    const reader = new ReportReader(REPORT_LINES);
    for await (const pkt of reportPackets(options, session)) {
      refuseError(pkt);
      const status = reader.feed(pkt);
      if (status !== undefined) return status;
    }
    throw new StoreError("unreachable", "the server went away without a report");
  } catch (error) {
    // What a server managed to say explains more than that it stopped listening.
    const said = error instanceof StoreError && error.code !== "unreachable";
    throw broken === undefined || said ? error : broken;
  }
}

async function* reportPackets(
  { progress }: PushRefsOptions,
  { channel, advertisement: { capabilities } }: RemoteSession,
): AsyncGenerator<Pkt> {
  if (!capabilities.has("side-band-64k")) {
    for (let pkt = await channel.read(); pkt !== undefined; pkt = await channel.read()) yield pkt;
    return;
  }
  // Inside the side band the report is packets again.
  const decoder = new PktDecoder();
  for (let pkt = await channel.read(); pkt !== undefined; pkt = await channel.read()) {
    refuseError(pkt);
    const item = decodeBand(pkt);
    if (item === "end") return;
    const { band, bytes } = item;
    if (band === 2) progress?.(terminalText(new TextDecoder().decode(bytes)));
    else if (band === 3) {
      throw new StoreError("remote", `the server says: ${oneLine(new TextDecoder().decode(bytes))}`);
    } else {
      decoder.push(bytes);
      for (let inner = decoder.next(); inner !== undefined; inner = decoder.next()) yield inner;
    }
  }
}

function reported(due: readonly RefMove[], status: PushStatus): Map<string, RefOutcome> {
  const results = new Map<string, RefOutcome>();
  for (const { name } of due) {
    const found = status.refs.find((ref) => ref.name === name);
    if (found === undefined) throw new StoreError("protocol", `the server's report says nothing of ${name}`);
    if (found.ok && status.unpack === undefined) results.set(name, { kind: "moved", effect: found.effect });
    else {results.set(name, {
        kind: "rejected",
        reason: reasonOf(found.ok ? undefined : found.reason, status),
      });}
  }
  return results;
}

function reasonOf(reason: string | undefined, { unpack }: PushStatus): string {
  if (unpack === undefined) return reason ?? "";
  return oneLine(reason === undefined ? unpack : `${reason}: ${unpack}`);
}

function listening(open: RemoteOptions["open"]): RemoteOptions["open"] {
  return async (service, version) => {
    const opened = await open(service, version);
    // Over HTTP the answer begins when the request is through: there is nothing to listen to before.
    return opened.ok && !("stateless" in opened.value)
      ? { ok: true, value: listeningFlow(opened.value) }
      : opened;
  };
}

const REPORTS = ["report-status", "report-status-v2"];
const REPORT_LINES = 100_000;
