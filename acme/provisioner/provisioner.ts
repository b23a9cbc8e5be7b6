/** Drives each host's job: performs the effects that the core asks for, keeps the job before each of them. */
import { isAtOrBelow, type Name, RRTYPE } from "../../dns/mod.ts";
import type { CertificateAuthority, Problem } from "../authority/authority.ts";
import type { Result } from "../../conduit/mod.ts";
import { fromBase64, toBase64 } from "../record/bytes.ts";
import { decodeState } from "../record/state.ts";
import { hostOf } from "../record/tlsa.ts";
import { decodeTxt, encodeTxt } from "../record/txt.ts";
import { messageOf, parseCertificate } from "../x509/certificate.ts";
import type { CertificatePrimary, Ledger, ProvisionerLog, Wait } from "./interfaces.ts";
import { type Job, newJob, type Tokens, tokensOf } from "./job.ts";
import { look, type Permit } from "./look.ts";
import { chainOperations, presentOperations, removeOperations, stateOperations } from "./publish.ts";
import { type IssueBudget, renewalAt } from "./schedule.ts";
import { type Effect, type Event, type Refusal, step } from "./step.ts";

export interface ProvisionerOptions {
  readonly primary: CertificatePrimary;
  readonly authority: CertificateAuthority;
  readonly ledger: Ledger;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly wait: Wait;
  readonly log: ProvisionerLog;
  /** Default: every request that stands in DNS, the primary having judged it. */
  readonly permit?: Permit;
  /** The authority's own limit; none for the embedded one. */
  readonly budget?: IssueBudget | undefined;
  /** For a record to be served by every name server. Milliseconds; two minutes unless given. */
  readonly propagation?: number;
}

export interface Provisioner {
  /** Sweeps what an earlier run left, then works until `stop`. */
  start(): Promise<void>;
  /** Resolves when nothing is under way any more. */
  stop(): Promise<void>;
  /** Whether our provisioner put that record there (and is the only one to take it away). */
  presented(owner: Name, rdata: Uint8Array): boolean;
  jobs(): readonly Job[];
}

const PRESENTED = "presented/";
/** Longer than that no timer waits; then it looks again. */
const LONGEST_WAIT = 86_400_000;
const PROPAGATION = 120_000;
/** Hosts whose effects are performed at the same time. */
const CONCURRENCY = 8;

export function createProvisioner(options: ProvisionerOptions): Provisioner {
  const { primary, authority, ledger, now, log } = options;
  const limits = { budget: options.budget };
  const permit = options.permit ?? (() => true);
  const jobPrefix = `job/${authority.id}/`;
  const stopped = new AbortController();
  const running = new Map<Name, { wake: AbortController; changed: boolean; done: Promise<void> }>();
  const slots = semaphore(CONCURRENCY);
  let unsubscribe: (() => void) | undefined;

  return {
    async start() {
      unsubscribe = primary.subscribe((owners) => {
        for (const owner of owners) if (hostOf(owner) !== undefined) attend(owner);
      });
      await sweep();
      const owners = new Set<Name>(ledger.list(jobPrefix).map((key) => key.slice(jobPrefix.length) as Name));
      for (const rrset of primary.requests()) if (hostOf(rrset.owner) !== undefined) owners.add(rrset.owner);
      for (const owner of owners) attend(owner);
    },
    async stop() {
      unsubscribe?.();
      stopped.abort();
      for (const each of running.values()) each.wake.abort();
      await Promise.all([...running.values()].map((each) => each.done));
    },
    presented(owner, rdata) {
      return ledger.get(presentedKey(owner, (decodeTxt(rdata) ?? []).join(""))) !== undefined;
    },
    jobs: () => ledger.list(jobPrefix).map((key) => ledger.get(key)).filter(isJob),
  };

  /** Starts a host's loop, or tells it that its records changed. */
  function attend(owner: Name): void {
    if (stopped.signal.aborted) return;
    const present = running.get(owner);
    if (present !== undefined) {
      present.changed = true;
      present.wake.abort();
      return;
    }
    const entry = { wake: new AbortController(), changed: false, done: Promise.resolve() };
    running.set(owner, entry);
    entry.done = work(owner, entry).catch((error) => {
      // A fault of ours: the host rests until its records change, the others go on.
      log.warn(`provisioning for ${owner} stopped: ${messageOf(error)}`);
    }).finally(() => {
      running.delete(owner);
      // A change that came while the loop was ending.
      if (entry.changed) attend(owner);
    });
  }

  async function work(owner: Name, entry: { wake: AbortController; changed: boolean }): Promise<void> {
    const kept = ledger.get(jobPrefix + owner);
    let job = isJob(kept) ? kept : newJob(owner);
    let event: Event = { on: "resume" };
    for (;;) {
      const before = job;
      const next = step(job, event, now(), limits);
      job = next.job;
      if (job !== before) {
        ledger.put(jobPrefix + owner, job);
        if (job.phase.at !== before.phase.at) log.info(`${owner} ${before.phase.at} -> ${job.phase.at}`);
        if (job.reason !== undefined && job.reason !== before.reason) {
          log.warn(`${owner} refused: ${job.reason}`);
        }
      }
      if (stopped.signal.aborted) return;
      let outcome: Event | undefined;
      for (const effect of next.effects) {
        outcome = effect.do === "wait"
          ? await waitFor(owner, effect.until, entry)
          : await slots(() => guarded(job, effect));
      }
      // What was done is kept even when we are to stop; that a stop broke something off says nothing.
      if (outcome === undefined || (stopped.signal.aborted && !isDone(outcome))) return;
      event = outcome;
    }
  }

  /** A fault in what was handed in is a failure like others: counted, and tried again by the table. */
  async function guarded(job: Job, effect: Exclude<Effect, { do: "wait" }>): Promise<Event | undefined> {
    try {
      return await perform(job, effect);
    } catch (error) {
      const detail = `${effect.do}: ${messageOf(error)}`;
      return { on: "failed", problem: { type: "bailiwick:fault", detail, status: 0 } };
    }
  }

  /** `undefined` where nothing but a change of the host's records can bring more work. */
  async function waitFor(
    owner: Name,
    until: number | undefined,
    entry: { wake: AbortController; changed: boolean },
  ): Promise<Event | undefined> {
    if (until === undefined && !entry.changed) return undefined;
    if (!entry.changed) {
      const milliseconds = Math.min(Math.max((until ?? 0) - now(), 0), LONGEST_WAIT);
      await options.wait(milliseconds, entry.wake.signal);
    }
    const changed = entry.changed;
    entry.changed = false;
    entry.wake = new AbortController();
    return changed ? { on: "consider", need: needOf(owner) } : { on: "resume" };
  }

  function needOf(owner: Name) {
    return look(owner, primary.rrset(owner, RRTYPE.TLSA), now(), permit);
  }

  async function perform(job: Job, effect: Exclude<Effect, { do: "wait" }>): Promise<Event | undefined> {
    const { signal } = stopped;
    const { owner } = job;
    switch (effect.do) {
      case "look":
        return { on: "consider", need: needOf(owner) };
      case "order":
        return outcome(await authority.newOrder(effect.names, signal), (order) => ({ on: "ordered", order }));
      case "authorize":
        return outcome(
          await authority.authorizations(effect.order, signal),
          (authorizations) => ({ on: "authorized", authorizations }),
        );
      case "present":
        return await present(owner, effect.tokens);
      case "await-served":
        return await awaitServed(effect.tokens);
      case "begin":
        return await begin(effect);
      case "poll":
        return outcome(await authority.poll(effect.order, signal), (order) => ({ on: "polled", order }));
      case "finalize": {
        const request = fromBase64(effect.request) ?? new Uint8Array();
        return outcome(
          await authority.finalize(effect.order, request, signal),
          (order) => ({ on: "polled", order }),
        );
      }
      case "download":
        return outcome(
          await authority.download(effect.order, signal),
          (chain) => ({ on: "downloaded", chain: chain.map(toBase64) }),
        );
      case "publish":
        return await publish(owner, effect.chain);
      case "clean":
        return await clean(owner, effect.tokens, effect.refused);
      case "tell": {
        const told = await primary.change(refusalOperations(owner, effect.refused), `refused: ${owner}`);
        if (!told.ok) log.warn(`${owner}: its state could not be published: ${told.error.reason}`);
        return undefined;
      }
      case "withdraw":
        return outcome(
          changed(
            await primary.change([
              ...chainOperations(owner, primary.rrset(owner, RRTYPE.TLSA), []),
              ...stateOperations(owner, undefined),
            ], `certificate of ${owner} ended, no request`),
          ),
          () => ({ on: "withdrawn" }),
        );
    }
  }

  /** All tokens of an order in one change, with the news that it is under way. */
  async function present(owner: Name, tokens: Tokens): Promise<Event> {
    const homeless = tokens.find((token) => !served(token.owner));
    if (homeless !== undefined) {
      const detail = `no zone here holds ${homeless.owner}, where the authority looks`;
      return { on: "failed", problem: { type: "bailiwick:zone", detail, status: 0 } };
    }
    for (const token of tokens) {
      ledger.put(presentedKey(token.owner, token.digest), { owner: token.owner, digest: token.digest });
    }
    const state = { state: "pending" as const, chain: publishedChain(owner) };
    return outcome(
      changed(
        await primary.change(
          [...presentOperations(tokens), ...stateOperations(owner, state)],
          `challenges for ${owner}`,
        ),
      ),
      () => ({ on: "presented" }),
    );
  }

  async function awaitServed(tokens: Tokens): Promise<Event> {
    const ended = new AbortController();
    const signal = AbortSignal.any([stopped.signal, ended.signal]);
    const timer = new AbortController();
    // By the clock handed in, so that a test need not wait for it.
    void options.wait(options.propagation ?? PROPAGATION, timer.signal).then(() => ended.abort());
    const outcomes = await Promise.all(
      tokens.map((token) => primary.everywhere(token.owner, RRTYPE.TXT, encodeTxt([token.digest]), signal)),
    );
    timer.abort();
    const late = outcomes.find((each) => !each.ok);
    return late === undefined || late.ok ? { on: "served" } : { on: "lagging", laggard: late.error.laggard };
  }

  async function begin(effect: Extract<Effect, { do: "begin" }>): Promise<Event> {
    const { signal } = stopped;
    const found = await authority.authorizations(effect.order, signal);
    if (!found.ok) return { on: "failed", problem: found.error };
    for (const authorization of found.value) {
      const { challenge } = authorization;
      // What was begun before a crash is not begun again.
      if (authorization.status !== "pending" || challenge?.status !== "pending") continue;
      const begun = await authority.begin(challenge, signal);
      if (!begun.ok) return { on: "failed", problem: begun.error };
    }
    return { on: "begun" };
  }

  async function publish(owner: Name, encoded: readonly string[]): Promise<Event> {
    const chain = encoded.map(fromBase64).filter((der) => der !== undefined);
    const leaf = chain.length === 0 ? undefined : parseCertificate(chain[0]);
    if (leaf === undefined || !leaf.ok) {
      const why = leaf === undefined ? "an empty chain" : leaf.error.reason;
      return {
        on: "failed",
        problem: { type: "bailiwick:protocol", detail: `the authority gave ${why}`, status: 0 },
      };
    }
    const { notAfter } = leaf.value;
    const state = { state: "issued" as const, chain, notAfter, next: renewalAt(leaf.value) };
    const operations = [
      ...chainOperations(owner, primary.rrset(owner, RRTYPE.TLSA), chain),
      ...stateOperations(owner, state),
    ];
    const done = changed(
      await primary.change(operations, `certificate for ${owner}, serial ${leaf.value.serial}`),
    );
    return outcome(done, () => ({ on: "published", at: now() }));
  }

  async function clean(owner: Name, tokens: Tokens, refused: Refusal | undefined): Promise<Event> {
    // A zone that is not served any more took its tokens along.
    const operations = removeOperations(tokens.filter((token) => served(token.owner)));
    if (refused !== undefined && served(owner)) operations.push(...refusalOperations(owner, refused));
    if (operations.length > 0) {
      const done = changed(await primary.change(operations, `challenges for ${owner} removed`));
      if (!done.ok) return { on: "failed", problem: done.error };
    }
    for (const token of tokens) ledger.delete(presentedKey(token.owner, token.digest));
    return { on: "cleaned" };
  }

  /** Takes away what an earlier run presented and no job remembers. */
  async function sweep(): Promise<void> {
    const live = new Set(
      ledger.list(jobPrefix).map((key) => ledger.get(key)).filter(isJob)
        .flatMap((job) => tokensOf(job).map((token) => presentedKey(token.owner, token.digest))),
    );
    const left = ledger.list(PRESENTED).filter((key) => !live.has(key));
    const tokens = left.map((key) => ledger.get(key)).filter(isToken);
    const operations = removeOperations(tokens.filter((token) => served(token.owner)));
    if (operations.length > 0) {
      const done = await primary.change(operations, "left challenges removed");
      if (!done.ok) {
        log.warn(`challenges of an earlier run could not be removed: ${done.error.reason}`);
        return;
      }
      log.info(`removed ${operations.length} challenges of an earlier run`);
    }
    for (const key of left) ledger.delete(key);
  }

  function served(owner: Name): boolean {
    return primary.zones().some((zone) => isAtOrBelow(owner, zone));
  }

  /** What a reader of the TXT form has now is kept while the next one is under way. */
  function publishedChain(owner: Name): readonly Uint8Array[] {
    return decodeState(primary.rrset(owner, RRTYPE.TXT)?.rdatas ?? [])?.chain ?? [];
  }

  function refusalOperations(owner: Name, refused: Refusal) {
    return stateOperations(owner, { state: "refused", chain: publishedChain(owner), ...refused });
  }
}

function isDone(event: Event): boolean {
  return event.on !== "failed" && event.on !== "lagging" && event.on !== "consider" && event.on !== "resume";
}

function outcome<T>(result: Result<T, Problem>, event: (value: T) => Event): Event {
  return result.ok ? event(result.value) : { on: "failed", problem: result.error };
}

function changed(result: Result<void, { reason: string }>): Result<void, Problem> {
  return result.ok
    ? result
    : { ok: false, error: { type: "bailiwick:change", detail: result.error.reason, status: 0 } };
}

function presentedKey(owner: Name, digest: string): string {
  return `${PRESENTED}${owner} ${digest}`;
}

function isJob(value: unknown): value is Job {
  return typeof value === "object" && value !== null && "owner" in value && "phase" in value &&
    "history" in value;
}

function isToken(value: unknown): value is Tokens[number] {
  return typeof value === "object" && value !== null && "owner" in value && "digest" in value;
}

/** Runs at most `size` bodies at a time, in order of arrival. */
function semaphore(size: number): <T>(body: () => Promise<T>) => Promise<T> {
  let free = size;
  const waiting: (() => void)[] = [];
  return async (body) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
    else free--;
    try {
      return await body();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
