import type { Result } from "../conduit/mod.ts";
import {
  EDE,
  isAtOrBelow,
  type Name,
  type OwnerChange,
  RCODE,
  serialGreater,
  type UpdateOperation,
  type ZoneView,
} from "../dns/mod.ts";
import { checkPrerequisites, covers, keyRight } from "../dns/mod.ts";
import {
  findEntry,
  isAncestor,
  type ObjectReader,
  type Oid,
  type Person,
  type PushProposal,
  type PushReply,
  type PushResult,
  type RefMove,
  StoreError,
} from "../store/mod.ts";
import { findInFiles } from "./history/zone_history.ts";
import { placeOf } from "./gate/read_zone.ts";
import type { SniffCache } from "./gate/zone_set.ts";
import type { RefusedCommits } from "./signing/signing.ts";
import { faultLine, isForbiddenRef, pushSummary } from "./push_words.ts";
import type {
  Adopted,
  Changed,
  ChangeError,
  Primary,
  PrimaryOptions,
  PublishedZone,
  ServedChange,
  UpdateOutcome,
  UpdateRequest,
  ZoneStatus,
} from "./primary.ts";
import { commitChange, completePending, type PreparedChange, takeBackPending } from "./transaction/commit.ts";
import { MACHINE, MAIN } from "./transaction/branches.ts";
import { createCompactor } from "./transaction/compactor.ts";
import { readMachineLayer, writeMachineCommit } from "./transaction/machine_layer.ts";
import { firstParent, treeFiles } from "./transaction/objects.ts";
import { type KeptSerials, keptSerials } from "./serial/kept_serials.ts";
import { troubleNotes } from "./state/troubles.ts";
import { planTree, readGoodLayer, type TreePlan, type TreeTarget } from "./transaction/plan_tree.ts";
import { ownerOf, planUpdate, type Reason, type UpdatePlan } from "./transaction/plan_update.ts";
import { createQueue } from "./transaction/queue.ts";
import { afterSteps, NOTHING_SERVED, type ServedState, zoneOf } from "./transaction/served_state.ts";
import type { GoodLayer, ServedZone } from "./transaction/served_zone.ts";
import type { ZoneStep } from "./transaction/step.ts";
import { mendSerialNotes } from "./transaction/last_serials.ts";
import { loadServed } from "./transaction/load_served.ts";
import { updateMessage } from "./transaction/update_message.ts";

/**
 * Opens the heart over a repository and its state: completes what the last run left under way, loads what was served
 * last, publishes it, and then serves what the refs have come to since, zone by zone.
 *
 * @throws {StoreError} when the repository cannot be read
 * @throws {Error} when the database cannot be written
 */
export async function openPrimary(options: PrimaryOptions): Promise<Primary> {
  const { repository, state, log, mode } = options;
  const inTurn = createQueue();
  const sniffed: SniffCache = new Map();
  const listeners = new Set<(changes: readonly ServedChange[]) => void>();
  let served: ServedState = NOTHING_SERVED;
  /** A ref was found elsewhere than where we left it. */
  let outOfStep = false;
  /** A change was left half made by a fault of disk or database, and is to be taken back before the next. */
  let halfMade = false;
  /** Why no further change is taken. */
  let ended: ChangeError | undefined;

  /** A store that cannot be written keeps no history of what was served. */
  const kept: KeptSerials | undefined = mode.kind === "read-only"
    ? keptSerials(state.collection("served-content"))
    : undefined;

  /** Makes a base anew that many versions lie over. */
  const compactor = createCompactor({
    replace: (zone, make) => inTurn(() => replaceServed(zone, make)),
    soon: (slice) => {
      const timer = setTimeout(slice, 1);
      Deno.unrefTimer(timer);
      return () => clearTimeout(timer);
    },
    failed: (zone, error) => log.error(`${zone} is served as it is, not compacted: ${wordsOf(error)}`),
  });

  const troubles = troubleNotes(state.collection("zone-trouble"));

  if (mode.kind !== "read-only") {
    for (const line of await completePending(repository, state)) log.warn(line);
    await mendSerialNotes({ repository, state, log, person: person(), sign: options.signing?.sign });
  }
  served = await loadServed({ repository, state, log });
  options.publish(everyZone(served));
  await takeUpRefs();
  noteTroubles(undefined);

  return {
    zones: () => [...served.zones.values()].sort((a, b) => (a.origin < b.origin ? -1 : 1)).map(zoneStatus),
    view: (zone) => {
      const found = served.zones.get(zone);
      return found?.good === undefined ? undefined : found.served;
    },
    zoneOf: (name) => zoneOf(served, name)?.origin,
    keys: () => served.keys,
    journal: (zone, from) => {
      const found = served.zones.get(zone);
      return found === undefined ? undefined : state.journal(zone, from, found.serial);
    },
    historyOf: async (zone, serial, deepen = () => Promise.resolve(false)) => {
      const found = served.zones.get(zone);
      if (found?.good === undefined) return undefined;
      const deltas = state.journal(zone, serial, found.serial);
      if (deltas !== undefined) return { kind: "journal", deltas };
      const commit = found.good.heldAt ?? served.main;
      return commit === undefined ? undefined : await findInFiles(repository, found, commit, serial, deepen);
    },
    admitPush: (proposal, pusher) => inTurn(() => guardedPush(proposal, pusher)),
    update: (request) => inTurn(() => guardedUpdate(request)),
    change: (operations, by) => inTurn(() => guarded(() => change(operations, by))),
    adopt: (commit, how) => inTurn(() => guarded(() => adopt(commit, how?.track))),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    close: () =>
      inTurn(() => {
        ended ??= { code: "closed", message: "the server is stopping" };
        compactor.stop();
        return Promise.resolve();
      }),
  };

  // --- the flavours -------------------------------------------------------------------------------------------

  /** Serves what the refs came to without us: while no server ran, with a database lost, by a hand in the repository. */
  async function takeUpRefs(): Promise<void> {
    const main = await repository.refs.get(MAIN);
    const machine = await repository.refs.get(MACHINE);
    const target = await treeTarget(repository, main, machine, true);
    const planned = takeSeeded(main, machine) ?? await planTree(served, target, sniffed);
    const plan = kept === undefined
      ? planned
      : { ...planned, steps: planned.steps.map((step) => kept.kept(step, served.serials.get(step.origin))) };
    for (const fault of plan.faults) if (fault.severity === "error") log.error(faultLine(fault));
    const next = afterSteps(served, plan.steps, {
      main,
      machine,
      files: target.files.entries,
      keys: plan.keys,
    });
    kept?.note(plan.steps);
    if (plan.steps.length === 0 && served.main === main && served.machine === machine) {
      served = next;
      return;
    }
    const outcome = await perform(plan.steps, next, [], () => Promise.resolve());
    if (!outcome.ok) {
      throw new StoreError("io", `the state of the repository cannot be taken up: ${outcome.error.message}`);
    }
  }

  /** What a first start has read, where that is what is to be served and nothing ever was. */
  function takeSeeded(main: Oid | undefined, machine: Oid | undefined): TreePlan | undefined {
    const seeded = options.seeded?.();
    if (seeded === undefined || seeded.commit !== main || machine !== undefined) return undefined;
    return served.zones.size === 0 && served.serials.size === 0 ? seeded.plan : undefined;
  }

  async function push(proposal: PushProposal, pusher: string): Promise<PushReply> {
    const refusals = new Map<string, string>();
    for (const move of proposal.moves) {
      const reason = isForbiddenRef(move, mode) ?? await wrongBase(move, proposal.objects);
      if (reason !== undefined) refusals.set(move.name, reason);
    }
    if (refusals.size > 0) return refused(proposal, refusals);

    const main = proposal.moves.find((move) => move.name === MAIN);
    const unsigned = main?.new === undefined
      ? undefined
      : await wrongSignature(proposal.objects, main.old, main.new);
    if (unsigned !== undefined) {
      await tellPusher(proposal, unsigned.lines);
      log.warn(`push by ${pusher} refused: ${unsigned.message}`);
      return refused(proposal, new Map([[MAIN, unsigned.message]]));
    }
    let plan: TreePlan = { steps: [], keys: served.keys, faults: [], read: new Map() };
    let next = served;
    if (main?.new !== undefined) {
      const target = await treeTarget(proposal.objects, main.new, served.machine, false);
      plan = await planTree(served, target, sniffed);
      const errors = plan.faults.filter((fault) => fault.severity === "error");
      await tellPusher(proposal, plan.faults.map(faultLine));
      if (errors.length > 0) {
        const reason = errors.length === 1 ? "1 fault" : `${errors.length} faults`;
        log.info(`push by ${pusher} refused: ${reason}, the first ${faultLine(errors[0])}`);
        return refused(proposal, new Map([[MAIN, reason]]));
      }
      next = afterSteps(served, plan.steps, { main: main.new, files: target.files.entries, keys: plan.keys });
    }
    const outcome = await perform(plan.steps, next, proposal.moves, () => proposal.migrate());
    if (!outcome.ok) {
      return refused(proposal, new Map(proposal.moves.map((move) => [move.name, outcome.error.message])));
    }
    log.info(`push by ${pusher}: ${proposal.moves.map((move) => `${move.name} ${move.new}`).join(", ")}`);
    await tellPusher(proposal, pushSummary(plan.steps, plan.read));
    return { results: new Map(proposal.moves.map((move) => [move.name, { ok: true }])) };
  }

  async function update(request: UpdateRequest): Promise<UpdateOutcome> {
    const { zone, key, prerequisites } = request;
    const right = key === undefined ? undefined : keyRight(key);
    if (key === undefined || right === undefined || !covers(right, "update", zone)) {
      return says(
        RCODE.REFUSED,
        EDE.PROHIBITED,
        `${key ?? "an unsigned request"} has no right to update ${zone}`,
      );
    }
    if (mode.kind === "read-only") return says(RCODE.REFUSED, EDE.PROHIBITED, mode.reason);
    if (!zoneOf(served, zone) && ![...served.zones.keys()].some((name) => isAtOrBelow(name, zone))) {
      return says(RCODE.NOTAUTH, EDE.NOT_AUTHORITATIVE, `${zone} is not served here`);
    }
    const names = [...prerequisites.map((each) => each.owner), ...request.operations.map(ownerOf)];
    for (const name of names) {
      if (!isAtOrBelow(name, zone)) return { rcode: RCODE.NOTZONE };
      const found = zoneOf(served, name);
      if (found === undefined) {
        return says(RCODE.NOTAUTH, EDE.NOT_AUTHORITATIVE, `${name} lies in no zone served here`);
      }
      if (found.good === undefined) {
        return says(
          RCODE.SERVFAIL,
          EDE.NOT_READY,
          `the zone ${found.origin} is broken until its file is mended`,
        );
      }
    }
    const view = viewOfAll(zone);
    const unmet = checkPrerequisites(view, prerequisites);
    if (unmet !== RCODE.NOERROR) return { rcode: unmet };
    const judged = await options.judge(request.operations, key, view);
    if (!judged.ok) {
      log.warn(`update by ${key} refused: ${judged.reason}`);
      return says(judged.rcode, EDE.PROHIBITED, judged.reason);
    }
    const planned = planUpdate(served, judged.operations, "merged");
    if (!planned.ok) {
      const { code } = planned.refusal;
      const reason = await inWords(planned.refusal.reason);
      log.info(`update by ${key} refused: ${reason}`);
      return code === "servfail"
        ? says(RCODE.SERVFAIL, EDE.NOT_READY, reason)
        : says(RCODE.REFUSED, EDE.NOT_SUPPORTED, reason);
    }
    const outcome = await applyPlan(planned.plan, updateMessage(planned.plan.steps, `Update by ${key}`));
    return outcome.ok ? { rcode: RCODE.NOERROR } : says(RCODE.SERVFAIL, EDE.OTHER, outcome.error.message);
  }

  async function change(
    operations: readonly UpdateOperation[],
    by: { readonly author: string; readonly message: string },
  ): Promise<Result<Changed, ChangeError>> {
    if (mode.kind === "read-only") return failure("refused", mode.reason);
    const foreign = operations.map(ownerOf).find((owner) => zoneOf(served, owner) === undefined);
    if (foreign !== undefined) return failure("not-served", `${foreign} lies in no zone served here`);
    const planned = planUpdate(served, operations, "machine");
    if (!planned.ok) return failure(planned.refusal.code, await inWords(planned.refusal.reason));
    return await applyPlan(planned.plan, updateMessage(planned.plan.steps, by.message), by.author);
  }

  async function adopt(commit: Oid, track: string | undefined): Promise<Result<Adopted, ChangeError>> {
    const unsigned = await wrongSignature(repository, await repository.refs.get(MAIN), commit);
    if (unsigned !== undefined) {
      for (const line of unsigned.lines) log.error(line);
      return failure("refused", unsigned.message);
    }
    const target = await treeTarget(repository, commit, served.machine, false);
    const moves: RefMove[] = [];
    for (const name of track === undefined ? [MAIN] : [track, MAIN]) {
      const old = await repository.refs.get(name);
      if (old !== commit) moves.push({ name, old, new: commit });
    }
    const plan = await planTree(served, target, sniffed);
    for (const fault of plan.faults) if (fault.severity === "error") log.error(faultLine(fault));
    const next = afterSteps(served, plan.steps, {
      main: commit,
      files: target.files.entries,
      keys: plan.keys,
    });
    if (moves.length === 0 && plan.steps.length === 0 && served.main === commit) {
      return { ok: true, value: { faults: plan.faults, serials: new Map() } };
    }
    const outcome = await perform(plan.steps, next, moves, () => Promise.resolve());
    return outcome.ok ? { ok: true, value: { faults: plan.faults, serials: risen(plan.steps) } } : outcome;
  }

  // --- what the flavours share --------------------------------------------------------------------------------

  async function applyPlan(
    plan: UpdatePlan,
    message: string,
    author?: string,
  ): Promise<Result<Changed, ChangeError>> {
    if (plan.edits.size === 0) return { ok: true, value: { machine: served.machine, serials: new Map() } };
    const committer = person();
    const machine = await writeMachineCommit(repository, served.machine, plan.edits, {
      author: author === undefined ? committer : { ...committer, name: author },
      committer,
      message,
      sign: options.signing?.sign,
    });
    const next = afterSteps(served, plan.steps, { machine });
    const moves = [{ name: MACHINE, old: served.machine, new: machine }];
    const outcome = await perform(plan.steps, next, moves, () => Promise.resolve());
    return outcome.ok ? { ok: true, value: { machine, serials: risen(plan.steps) } } : outcome;
  }

  /** A reason that names a place is looked for in the files that are served. */
  async function inWords(reason: Reason): Promise<string> {
    if (typeof reason === "string") return reason;
    const { zone, owner, type } = reason.written;
    const file = zone.good?.file ?? zone.source.file;
    const files = await treeFiles(repository, zone.good?.heldAt ?? served.main);
    const position = (await placeOf(files, file, zone.origin, { owner, type }))?.position;
    return reason.say(position === undefined ? file : `${position.file}, line ${position.line}`);
  }

  /** Commits, publishes and tells. After the commit point nothing can be refused any more. */
  async function perform(
    steps: readonly ZoneStep[],
    next: ServedState,
    moves: readonly RefMove[],
    writeObjects: () => Promise<void>,
  ): Promise<Result<void, ChangeError>> {
    const visible = steps.filter(isVisible);
    const fresh = steps.filter(({ before, after }) => before?.served !== after?.served)
      .map(({ origin, after }) => ({ origin, zone: after?.served }));
    const prepared: PreparedChange = {
      base: served,
      next,
      steps,
      moves,
      writeObjects,
      publish: () => {
        if (fresh.length > 0) options.publish(fresh);
        served = next;
        for (const { after } of steps) if (after?.good !== undefined) compactor.published(after);
      },
    };
    const outcome = await commitChange(
      {
        repository,
        state,
        person,
        log,
        notesInRepository: mode.kind !== "read-only",
        sign: options.signing?.sign,
        crashPoint: options.crashPoint ?? (() => {}),
      },
      prepared,
    );
    if (!outcome.ok) {
      log.warn(`nothing changed: ${outcome.error.message}`);
      outOfStep = true;
      return failure("stale", outcome.error.message);
    }
    noteTroubles(steps);
    if (visible.length > 0) tell(visible.map(servedChange));
    return { ok: true, value: undefined };
  }

  /** The same content from other memory. */
  function replaceServed(
    origin: Name,
    make: (now: ServedZone) => ServedZone | undefined,
  ): Promise<void> {
    const now = ended === undefined ? served.zones.get(origin) : undefined;
    const next = now && make(now);
    if (next !== undefined) {
      options.publish([{ origin, zone: next.served }]);
      served = { ...served, zones: new Map(served.zones).set(origin, next) };
    }
    return Promise.resolve();
  }

  /** For who looks from outside; what is served does not hang on it. Of all zones, or of those that were changed. */
  function noteTroubles(steps: readonly ZoneStep[] | undefined): void {
    try {
      if (steps === undefined) troubles.setAll([...served.zones.values()].map(zoneStatus));
      else for (const { origin, after } of steps) troubles.set(origin, after && zoneStatus(after));
    } catch (error) {
      log.warn(`what keeps zones from being served is not noted: ${wordsOf(error)}`);
    }
  }

  /** A pusher who is gone is no reason to fail what is served already. */
  async function tellPusher(proposal: PushProposal, lines: readonly string[]): Promise<void> {
    try {
      for (const line of lines.slice(0, MOST_LINES)) await proposal.say(`${line}\n`);
      if (lines.length > MOST_LINES) await proposal.say(`and ${lines.length - MOST_LINES} more lines\n`);
    } catch (error) {
      log.info(`the pusher is gone: ${wordsOf(error)}`);
    }
  }

  function tell(changes: readonly ServedChange[]): void {
    for (const listener of listeners) {
      try {
        listener(changes);
      } catch (error) {
        log.error(`a listener failed on a change that is served: ${wordsOf(error)}`);
      }
    }
  }

  /**
   * Turns what disk and database throw into an answer. A change that failed half way is taken back before anything
   * else is done; as long as the disk does not let it, no other change is begun.
   */
  async function guarded<T>(task: () => Promise<Result<T, ChangeError>>): Promise<Result<T, ChangeError>> {
    if (ended !== undefined) return { ok: false, error: ended };
    try {
      if (halfMade) await recover();
      const outcome = await task();
      // Somebody moved a branch in the repository itself: what it holds now is taken up, so that the next change fits.
      if (outOfStep) {
        outOfStep = false;
        await takeUpRefs();
      }
      return outcome;
    } catch (error) {
      log.error(`a change failed: ${wordsOf(error)}`);
      if (!halfMade) {
        await recover().catch((again) => log.error(`it cannot be taken back yet: ${wordsOf(again)}`));
      }
      return failure("failed", "the server could not make the change durable; its log says why");
    }
  }

  async function recover(): Promise<void> {
    halfMade = true;
    if (state.pending().length > 0) {
      for (const line of await takeBackPending(repository, state)) log.warn(line);
      served = await loadServed({ repository, state, log });
      options.publish(everyZone(served));
      await takeUpRefs();
      noteTroubles(undefined);
    }
    halfMade = false;
  }

  async function guardedPush(proposal: PushProposal, pusher: string): Promise<PushReply> {
    const outcome = await guarded(async () => ({ ok: true, value: await push(proposal, pusher) }));
    if (outcome.ok) return outcome.value;
    return refused(proposal, new Map(proposal.moves.map((move) => [move.name, outcome.error.message])));
  }

  async function guardedUpdate(request: UpdateRequest): Promise<UpdateOutcome> {
    const outcome = await guarded(async () => ({ ok: true, value: await update(request) }));
    return outcome.ok ? outcome.value : says(RCODE.SERVFAIL, EDE.OTHER, outcome.error.message);
  }

  /** Why a ref may not move from where the pusher takes it to be; the rules git leaves to the receiving side. */
  async function wrongBase(move: RefMove, objects: ObjectReader): Promise<string | undefined> {
    if (await repository.refs.get(move.name) !== move.old) return "stale: fetch first";
    if (move.name !== MAIN || move.new === undefined) return undefined;
    if ((await objects.read(move.new))?.kind !== "commit") return "branch main must name a commit";
    if (move.old === undefined || await isAncestor(objects, move.old, move.new)) return undefined;
    return "non-fast-forward: fetch first";
  }

  /** The commits of a move of `main` that do not come in without a signature. */
  async function wrongSignature(
    objects: ObjectReader,
    old: Oid | undefined,
    commit: Oid,
  ): Promise<RefusedCommits | undefined> {
    if (options.signing?.judge === undefined || commit === old) return undefined;
    const shallow = await repository.shallow.list();
    const judged = await options.signing.judge(objects, { old, new: commit, shallow });
    return judged.ok ? undefined : judged.error;
  }

  async function treeTarget(
    objects: ObjectReader,
    main: Oid | undefined,
    machine: Oid | undefined,
    opening: boolean,
  ): Promise<TreeTarget> {
    const report = (message: string) => log.warn(message);
    return {
      files: await treeFiles(objects, main),
      machineLayer: (zone) => readMachineLayer(repository, machine, zone, report),
      machineTouched: machine === served.machine ? new Set() : "all",
      lastGood: (zone, file) =>
        opening && served.serials.has(zone)
          ? lastGoodInHistory(main, zone, file)
          : Promise.resolve(undefined),
    };
  }

  /** With the database lost, a zone that was served and is faulty now is looked for in the commits before. */
  async function lastGoodInHistory(
    main: Oid | undefined,
    zone: Name,
    file: string,
  ): Promise<GoodLayer | undefined> {
    let commit = main;
    let last: Oid | undefined;
    for (let steps = 0; commit !== undefined && steps < HISTORY_DEPTH; steps++) {
      const oid = (await findEntry(repository, commit, file))?.oid;
      if (oid !== undefined && oid !== last) {
        const { layer } = await readGoodLayer(await treeFiles(repository, commit), file, zone, commit);
        if (layer !== undefined) return layer;
      }
      last = oid;
      commit = await firstParent(repository, commit);
    }
    return undefined;
  }

  /** Every served zone below a name as if it were one: prerequisites and policy may look at several. */
  function viewOfAll(origin: Name): ZoneView {
    const viewAt = (owner: Name) => {
      const zone = zoneOf(served, owner);
      return zone?.good === undefined ? undefined : zone.served;
    };
    return {
      origin,
      rrset: (owner, type) => viewAt(owner)?.rrset(owner, type),
      rrsets: (owner) => viewAt(owner)?.rrsets(owner) ?? [],
    };
  }

  function zoneStatus(zone: ServedZone): ZoneStatus {
    return {
      name: zone.origin,
      serial: zone.serial,
      file: zone.source.file,
      main: zone.good?.heldAt ?? served.main,
      machine: served.machine,
      state: zone.good === undefined ? "broken" : zone.faults.length > 0 ? "held" : "good",
      faults: zone.faults,
      heldBack: zone.heldBack,
      preSigned: zone.good?.preSigned ?? false,
    };
  }

  function person(): Person {
    const { name, email } = options.committer ?? COMMITTER;
    return { name, email, when: Math.floor(options.clock() / 1000), zone: "+0000" };
  }
}

const COMMITTER = { name: "Bailiwick", email: "bailiwick@localhost" };

/** Lines that one push is answered with. */
const MOST_LINES = 5000;

/** How far back a lost last good state is looked for. */
const HISTORY_DEPTH = 1000;

function everyZone(state: ServedState): PublishedZone[] {
  return [...state.zones.values()].map(({ origin, served }) => ({ origin, zone: served }));
}

/** Steps that only remember why a zone is held, or that a file was read, change nothing that is served. */
function isVisible(step: ZoneStep): boolean {
  const { before, after, changes } = step;
  return before === undefined || after === undefined || changes?.length !== 0 ||
    (before.good === undefined) !== (after.good === undefined);
}

function servedChange(step: ZoneStep): ServedChange {
  return {
    zone: step.origin,
    serial: step.after?.serial,
    previousSerial: step.before?.serial,
    owners: step.changes === undefined || step.before?.good === undefined ? everyOwner(step) : step.changes,
  };
}

/** Every name of a zone before and after, made as it is looked at. */
function everyOwner({ before, after }: ZoneStep): Iterable<OwnerChange> {
  const was = before?.served;
  const is = after?.served;
  return {
    *[Symbol.iterator]() {
      for (const owner of is?.owners() ?? []) {
        yield { owner, before: was?.rrsets(owner) ?? [], after: is?.rrsets(owner) ?? [] };
      }
      for (const owner of was?.owners() ?? []) {
        const after = is?.rrsets(owner) ?? [];
        if (after.length === 0) yield { owner, before: was?.rrsets(owner) ?? [], after };
      }
    },
  };
}

function risen(steps: readonly ZoneStep[]): Map<Name, number> {
  const serials = new Map<Name, number>();
  for (const { origin, before, after } of steps) {
    if (after?.good === undefined) continue;
    if (before?.good === undefined || serialGreater(after.serial, before.serial)) {
      serials.set(origin, after.serial);
    }
  }
  return serials;
}

function refused(proposal: PushProposal, reasons: ReadonlyMap<string, string>): PushReply {
  const results = new Map<string, PushResult>();
  for (const { name } of proposal.moves) {
    results.set(name, { ok: false, reason: reasons.get(name) ?? "nothing moved: another ref was refused" });
  }
  return { results };
}

function says(rcode: number, code: number, text: string): UpdateOutcome {
  return { rcode, ede: { code, text } };
}

function failure<T>(code: ChangeError["code"], message: string): Result<T, ChangeError> {
  return { ok: false, error: { code, message } };
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
