/** The client's side of a fetch. Objects come in; refs are for the caller to move. */
import type { Result } from "../../conduit/mod.ts";
import { breather } from "../repository/breather.ts";
import { checkConnectivity } from "../repository/connectivity.ts";
import type {
  ObjectReader,
  Oid,
  PackLimits,
  PackSummary,
  Refs,
  Repository,
  ShallowCommits,
  StoreError,
} from "../types.ts";
import type { RemoteRefs } from "./advertisement.ts";
import { BandSource } from "./band_source.ts";
import { CommitGraph } from "./commit_graph.ts";
import { type FetchAnswer, type FetchRequest, Haves } from "./fetch_conversation.ts";
import { commonCommits, type LocalTips, localTips, missingWants } from "./fetch_local.ts";
import { deepeningOf, type DepthOptions, type MarkChange, planMarks } from "./fetch_shallow.ts";
import { fetchVersion0 } from "./fetch_v0.ts";
import { fetchVersion2 } from "./fetch_v2.ts";
import { createNegotiator, type NegotiatorName } from "./negotiator/negotiator.ts";
import { FLUSH } from "./pkt_line.ts";
import { type RemoteOptions, type RemoteSession, withRemote } from "./remote.ts";

/** What a fetch needs of the repository that it fetches into. */
export interface FetchRepository extends ObjectReader {
  readonly refs: Pick<Refs, "list">;
  readonly shallow: ShallowCommits;
  readonly quarantine: Repository["quarantine"];
}

export interface FetchOptions extends RemoteOptions, DepthOptions {
  readonly repository: FetchRepository;
  /** What to fetch, out of what the remote has. */
  readonly want: (remoteRefs: Map<string, Oid>) => readonly Oid[];
  readonly limits: PackLimits;
  /** What the server says beside the pack, made fit for a terminal or log. */
  readonly progress?: ((text: string) => void) | undefined;
  /** How common ground is looked for; default `consecutive`. */
  readonly negotiator?: NegotiatorName | undefined;
  /** Everything again, whatever is here: what arrives takes the place of what is damaged. */
  readonly refetch?: boolean | undefined;
  /** Annotated tags come along with what they name. */
  readonly includeTags?: boolean | undefined;
  /**
   * Whether the boundaries of a server that is shallow itself may become ours. Default: where there are no refs yet, as
   * for git's clone; else such a fetch fails as `connectivity` and changes nothing.
   */
  readonly acceptShallow?: boolean | undefined;
  /** The most boundaries that are taken from a server. Default 100,000. */
  readonly maxShallow?: number | undefined;
}

export interface FetchOutcome extends RemoteRefs {
  /** `undefined` where everything wanted was there already. */
  readonly received: PackSummary | undefined;
  /** The commits that lost their parents, and those that got them. */
  readonly boundaries: { readonly added: ReadonlySet<Oid>; readonly removed: ReadonlySet<Oid> };
}

/**
 * Fetches what is wanted into a quarantine, checks it and takes it into the repository. The pack that came is
 * kept whole or not at all. The error's code: `malformed` for options that make no sense, `unreachable`, `remote`,
 * `protocol` and `limit` for the server, `connectivity`, `fsck` and `corrupt` for what it sent, `io` for our disk.
 */
export function fetchFrom(options: FetchOptions): Promise<Result<FetchOutcome, StoreError>> {
  return withRemote(options, async (session) => {
    const { channel, refs, advertisement } = session;
    const here = await takeStock(options);
    const deepening = deepeningOf(options, here.marks);
    const wanted = new Set(options.want(refs.refs));
    // A boundary moves, and what is damaged heals, only if the server is asked for what is there as well.
    const wants = deepening !== undefined || options.refetch === true
      ? [...wanted]
      : await missingWants(wanted, here.tips, { reader: options.repository, graph: here.graph });
    if (wants.length === 0) {
      await channel.leave(FLUSH);
      return { ...refs, received: undefined, boundaries: { added: new Set(), removed: new Set() } };
    }
    const request: FetchRequest = {
      session,
      wants,
      haves: await offers(options, here, deepening === undefined ? refs.refs.values() : []),
      marks: here.present,
      deepening,
      thin: options.refetch !== true,
      includeTags: options.includeTags ?? false,
      progress: options.progress,
      maxShallow: options.maxShallow ?? 100_000,
    };
    const answer = advertisement.version === 2 ? await fetchVersion2(request) : await fetchVersion0(request);
    const taken = await takePack(options, here, request, answer);
    return { ...refs, ...taken };
  });
}

/** What is here before the fetch. */
interface Stock {
  readonly graph: CommitGraph;
  readonly tips: LocalTips;
  /** Where our history ends, and of that what is really there: a fetch that was killed may have left a mark alone. */
  readonly marks: ReadonlySet<Oid>;
  readonly present: ReadonlySet<Oid>;
}

async function takeStock({ repository, refetch }: FetchOptions): Promise<Stock> {
  const marks = await repository.shallow.list();
  const present = new Set<Oid>();
  for (const oid of marks) if (await repository.has(oid)) present.add(oid);
  const graph = new CommitGraph(repository, breather(), marks);
  // Asked for everything, we look at nothing of our own: it may be what is damaged.
  const tips = refetch === true
    ? { values: new Set((await repository.refs.list()).values()), commits: new Set<Oid>() }
    : await localTips(repository.refs, graph);
  return { graph, tips, marks, present };
}

async function offers(options: FetchOptions, here: Stock, theirs: Iterable<Oid>): Promise<Haves> {
  const { graph, tips } = here;
  if (options.refetch === true) return new Haves(createNegotiator("noop", graph));
  const negotiator = createNegotiator(options.negotiator ?? "consecutive", graph);
  // Theirs first: what they have a ref to is common without asking, where we have it too.
  for (const oid of await commonCommits(theirs, tips, { reader: options.repository, graph })) {
    await negotiator.knownCommon(oid);
  }
  for (const oid of tips.commits) await negotiator.addTip(oid);
  return new Haves(negotiator);
}

async function takePack(
  options: FetchOptions,
  here: Stock,
  request: FetchRequest,
  { pack, shallow }: FetchAnswer,
): Promise<Pick<FetchOutcome, "received" | "boundaries">> {
  const { repository, limits } = options;
  const { session, wants } = request;
  const quarantine = await repository.quarantine();
  try {
    const received = await quarantine.receivePack(pack, limits);
    const broken = pack instanceof BandSource ? pack.failure : undefined;
    if (broken !== undefined) throw broken;
    if (!received.ok) throw received.error;
    await leave(session, pack);
    const change = await planMarks({
      arrived: quarantine,
      graph: new CommitGraph(quarantine, breather()),
      wants,
      marks: here.marks,
      present: here.present,
      reply: shallow,
      asked: request.deepening !== undefined,
      // A server that gives our boundaries their parents, unasked, is shallow and puts its own in their place.
      acceptOwn: options.acceptShallow ?? (here.tips.values.size === 0 || shallow.unshallow.size > 0),
    });
    const connected = await checkConnectivity(
      quarantine,
      [...wants, ...change.uncovered],
      // Asked for everything, we trust nothing of our own.
      options.refetch === true ? () => Promise.resolve(false) : (oid) => repository.has(oid),
      { shallow: change.after },
    );
    if (!connected.ok) throw connected.error;
    await admit(repository, here, change, () => quarantine.migrate());
    return { received: received.value, boundaries: { added: change.add, removed: change.remove } };
  } finally {
    await quarantine.discard();
  }
}

async function leave({ channel, advertisement }: RemoteSession, pack: FetchAnswer["pack"]): Promise<void> {
  if (pack instanceof BandSource) await pack.finish();
  if (advertisement.version === 2) await channel.leave(FLUSH);
}

/** New boundaries before the objects, old ones gone after: killed between any two, no commit lacks parents unmarked. */
async function admit(
  { shallow }: FetchRepository,
  { graph }: Stock,
  { add, remove }: MarkChange,
  migrate: () => Promise<void>,
): Promise<void> {
  if (add.size > 0) await shallow.update({ add });
  try {
    await migrate();
  } catch (error) {
    await takeBack(shallow, add, graph);
    throw error;
  }
  if (remove.size > 0) await shallow.update({ remove });
}

/** Nothing came in, so no history that was whole is to end early. Marks of what may have come in half stay. */
async function takeBack(
  shallow: ShallowCommits,
  added: Iterable<Oid>,
  graph: CommitGraph,
): Promise<void> {
  const whole: Oid[] = [];
  for (const oid of added) {
    const parents = (await graph.load(oid))?.parents;
    if (parents === undefined) continue;
    let there = true;
    for (const parent of parents) if (await graph.load(parent) === undefined) there = false;
    if (there) whole.push(oid);
  }
  if (whole.length > 0) await shallow.update({ remove: whole });
}
