/**
 * The provisioner's core: a host's job, what happened, and the time go in; the job and what to do next come out.
 * The job is kept before its effects are performed, and its effects follow from the job alone, so a crash at any
 * point resumes by `resume` without a second order for the same need and without a token left behind.
 */
import { joinName, type Name } from "../../dns/mod.ts";
import { type Authorization, type Order, type Problem, problemText } from "../authority/authority.ts";
import { nameOf, sameNames } from "../x509/hostnames.ts";
import { type History, historyOf, type Job, type Phase, type Token, type Tokens, tokensOf } from "./job.ts";
import {
  budgetAllowsAt,
  DAY,
  type IssueBudget,
  MAX_POLLING,
  pollDelay,
  renewalAt,
  retryAt,
} from "./schedule.ts";

/** What stands in DNS for the host. */
export interface Need {
  /** The request to serve; `undefined` where there is none or it is refused. */
  readonly request: { readonly der: string; readonly names: readonly string[] } | undefined;
  /** Why the request that is there is not served. */
  readonly refusal: string | undefined;
  /** The leaf that matches the request; without a request the one that ends last. */
  readonly leaf: { readonly notBefore: number; readonly notAfter: number } | undefined;
  /** Whether any leaf or CA certificate is published. */
  readonly published: boolean;
}

export type Event =
  /** The job was read from the ledger, or the reason to wait is over. */
  | { readonly on: "resume" }
  | { readonly on: "consider"; readonly need: Need }
  | { readonly on: "ordered"; readonly order: Order }
  | { readonly on: "authorized"; readonly authorizations: readonly Authorization[] }
  | { readonly on: "presented" | "served" | "begun" | "cleaned" | "withdrawn" }
  | { readonly on: "lagging"; readonly laggard: string }
  | { readonly on: "polled"; readonly order: Order }
  | { readonly on: "downloaded"; readonly chain: readonly string[] }
  | { readonly on: "published"; readonly at: number }
  | { readonly on: "failed"; readonly problem: Problem };

export type Effect =
  /** To look at DNS and give a `consider`. */
  | { readonly do: "look" }
  /** To give a `resume` at that time, or a `consider` when the host's records change. */
  | { readonly do: "wait"; readonly until: number | undefined }
  | { readonly do: "order"; readonly names: readonly string[] }
  | { readonly do: "authorize"; readonly order: Order }
  | { readonly do: "present"; readonly tokens: Tokens }
  | { readonly do: "await-served"; readonly tokens: Tokens }
  /** To begin each challenge that is still pending, all of them being served. */
  | { readonly do: "begin"; readonly order: Order }
  | { readonly do: "poll"; readonly order: Order }
  | { readonly do: "finalize"; readonly order: Order; readonly request: string }
  | { readonly do: "download"; readonly order: Order }
  | { readonly do: "publish"; readonly chain: readonly string[] }
  /** To take the tokens away by value, telling the refusal in the same change where there is one. */
  | { readonly do: "clean"; readonly tokens: Tokens; readonly refused: Refusal | undefined }
  /** To publish a refusal alone; nothing comes of it. */
  | { readonly do: "tell"; readonly refused: Refusal }
  | { readonly do: "withdraw" };

export interface Refusal {
  readonly reason: string;
  readonly next: number | undefined;
}

export interface StepLimits {
  readonly budget: IssueBudget | undefined;
}

export interface Step {
  readonly job: Job;
  readonly effects: readonly Effect[];
}

/** Sets of names whose failures are remembered for one host; more different ones have to wait. */
const MAX_HISTORY = 32;

export function step(job: Job, event: Event, now: number, limits: StepLimits): Step {
  switch (event.on) {
    case "resume":
      return proceed(resumed(job, now), now);
    case "consider":
      return job.phase.at === "idle"
        ? decide(job, event.need, now, limits)
        : reconsider(job, event.need, now);
    case "failed":
      return failed(job, event.problem, now);
    case "lagging":
      return lagging(job, event.laggard, now);
    default:
      return proceed(advance(job, event, now), now);
  }
}

/** The one effect that a phase stands for. */
function proceed(job: Job, now: number): Step {
  const { phase } = job;
  if (phase.at !== "idle" && now < job.notBefore) {
    return { job, effects: [{ do: "wait", until: job.notBefore }] };
  }
  return { job, effects: [effectOf(job, phase)] };
}

function effectOf(job: Job, phase: Phase): Effect {
  switch (phase.at) {
    case "idle":
      return { do: "look" };
    case "ordering":
      return { do: "order", names: job.names };
    case "authorizing":
      return { do: "authorize", order: phase.order };
    case "presenting":
      return { do: "present", tokens: phase.tokens };
    case "propagating":
      return { do: "await-served", tokens: phase.tokens };
    case "beginning":
      return { do: "begin", order: phase.order };
    case "polling":
      return { do: "poll", order: phase.order };
    case "finalizing":
      return { do: "finalize", order: phase.order, request: job.request ?? "" };
    case "downloading":
      return { do: "download", order: phase.order };
    case "publishing":
      return { do: "publish", chain: phase.chain };
    case "cleaning":
      return { do: "clean", tokens: phase.tokens, refused: phase.refused ? refusalOf(job) : undefined };
    case "withdrawing":
      return { do: "withdraw" };
  }
}

/** After a crash: what may have reached the authority without its answer reaching us is asked for, not done again. */
function resumed(job: Job, now: number): Job {
  const { phase } = job;
  if (now < job.notBefore) return job;
  if (phase.at === "finalizing") {
    return { ...job, phase: { ...phase, at: "polling", attempt: 0, since: now } };
  }
  return job;
}

/** The way through, when all goes well. An event that does not fit the phase changes nothing. */
function advance(
  job: Job,
  event: Exclude<Event, { on: "resume" | "consider" | "failed" | "lagging" }>,
  now: number,
): Job {
  const { phase } = job;
  switch (event.on) {
    case "ordered":
      return phase.at === "ordering" ? ready(job, { at: "authorizing", order: event.order }) : job;
    case "authorized": {
      if (phase.at !== "authorizing") return job;
      const pending = event.authorizations.filter((each) => each.status === "pending");
      const without = pending.find((each) => each.challenge === undefined);
      if (without !== undefined) {
        return refuse(job, `the authority offers no dns-01 challenge for ${without.domain}`, now);
      }
      const tokens = pending.flatMap(tokenOf);
      const { order } = phase;
      // An authority may remember that the names were proved before (RFC 8555 §7.1.3).
      return ready(
        job,
        tokens.length > 0
          ? { at: "presenting", order, tokens }
          : { at: "polling", order, tokens, attempt: 0, since: now },
      );
    }
    case "presented":
      return phase.at === "presenting" ? ready(job, { ...phase, at: "propagating" }) : job;
    case "served":
      return phase.at === "propagating" ? ready(job, { ...phase, at: "beginning" }) : job;
    case "begun":
      return phase.at === "beginning" ? ready(job, { ...phase, at: "polling", attempt: 0, since: now }) : job;
    case "polled":
      return phase.at === "polling" || phase.at === "finalizing" ? polled(job, phase, event.order, now) : job;
    case "downloaded":
      return phase.at === "downloading"
        ? ready(job, { at: "publishing", chain: event.chain, tokens: phase.tokens })
        : job;
    case "published":
      return phase.at === "publishing"
        ? ready(issued(job, event.at), { at: "cleaning", tokens: phase.tokens, refused: false })
        : job;
    case "cleaned":
      return phase.at === "cleaning" ? ready(job, { at: "idle" }) : job;
    case "withdrawn":
      return phase.at === "withdrawing" ? ready({ ...job, request: undefined }, { at: "idle" }) : job;
  }
}

/** RFC 8555 §7.1.6: the states of an order. */
function polled(
  job: Job,
  phase: Extract<Phase, { at: "polling" | "finalizing" | "downloading" }>,
  order: Order,
  now: number,
): Job {
  const { tokens } = phase;
  switch (order.status) {
    case "ready":
      return ready(job, { at: "finalizing", order, tokens });
    case "valid":
      return ready(job, { at: "downloading", order, tokens });
    case "invalid": {
      const why = order.problem === undefined ? "the order became invalid" : problemText(order.problem);
      return refuse(job, why, now, order.problem?.retryAfter);
    }
    case "pending":
    case "processing": {
      const since = phase.at === "polling" ? phase.since : now;
      if (now - since > MAX_POLLING) {
        return refuse(job, `the order stayed ${order.status} for ${MAX_POLLING / 60_000} minutes`, now);
      }
      const attempt = phase.at === "polling" ? phase.attempt + 1 : 0;
      const next = Math.max(now + pollDelay(attempt), Math.min(order.retryAfter ?? 0, now + MAX_POLLING));
      return { ...job, phase: { at: "polling", order, tokens, attempt, since }, notBefore: next };
    }
  }
}

/** Idle: is there something to do now, and if not, when? */
function decide(job: Job, need: Need, now: number, limits: StepLimits): Step {
  const { request } = need;
  if (request === undefined) {
    const over = need.leaf === undefined || need.leaf.notAfter <= now;
    if (need.refusal === undefined && need.published && over) {
      return proceed(ready(job, { at: "withdrawing" }), now);
    }
    const until = need.refusal === undefined && need.published ? need.leaf?.notAfter : undefined;
    const waiting: Effect = { do: "wait", until };
    if (need.refusal === undefined || need.refusal === job.reason) return { job, effects: [waiting] };
    const refused = { reason: need.refusal, next: undefined };
    return { job: { ...job, reason: need.refusal }, effects: [{ do: "tell", refused }, waiting] };
  }
  if (need.leaf !== undefined && now < renewalAt(need.leaf)) {
    return { job, effects: [{ do: "wait", until: renewalAt(need.leaf) }] };
  }
  const history = historyOf(job, request.names);
  const due = Math.max(history.notBefore, budgetAllowsAt(history.issued, limits.budget, now));
  if (now < due) return { job, effects: [{ do: "wait", until: due }] };
  const remembered = withHistory(job, history, now);
  if (remembered === undefined) return { job, effects: [{ do: "wait", until: now + DAY }] };
  return proceed(
    ready({ ...remembered, request: request.der, names: [...request.names] }, { at: "ordering" }),
    now,
  );
}

/** An order is running: does it still serve what is asked for? */
function reconsider(job: Job, need: Need, now: number): Step {
  const { phase } = job;
  const { request } = need;
  if (phase.at === "cleaning" || phase.at === "publishing" || phase.at === "withdrawing") {
    return proceed(job, now);
  }
  if (request?.der === job.request) return proceed(job, now);
  // An order is for names; the key comes with the request at its end.
  if (request !== undefined && sameNames(request.names, job.names)) {
    return proceed({ ...job, request: request.der }, now);
  }
  // Counted as a failure, or changing a request back and forth would order without end.
  const history = historyOf(job, job.names);
  const counted = setHistory(job, {
    ...history,
    failures: history.failures + 1,
    notBefore: retryAt(history.failures + 1, now),
  });
  return proceed(ready(counted, { at: "cleaning", tokens: tokensOf(job), refused: false }), now);
}

function failed(job: Job, problem: Problem, now: number): Step {
  const { phase } = job;
  if (phase.at === "idle") return { job, effects: [{ do: "wait", until: retryAt(1, now) }] };
  const history = historyOf(job, job.names);
  const at = retryAt(history.failures + 1, now, problem.retryAfter);
  // What is ours to do in DNS is done in the end; an order outlives an authority that is busy or away.
  const ours = phase.at === "cleaning" || phase.at === "publishing" || phase.at === "withdrawing" ||
    phase.at === "presenting";
  const order = "order" in phase ? phase.order : undefined;
  const alive = order !== undefined && (order.expires === undefined || at < order.expires);
  if (ours || (alive && isTransient(problem))) {
    const counted = setHistory(job, { ...history, failures: history.failures + 1 });
    return proceed({ ...counted, reason: problemText(problem), notBefore: at }, now);
  }
  return proceed(refuse(job, problemText(problem), now, problem.retryAfter), now);
}

/** A name server lags: the challenge is not begun, the order is kept (a failed validation would count against us). */
function lagging(job: Job, laggard: string, now: number): Step {
  const { phase } = job;
  if (phase.at !== "propagating") return proceed(job, now);
  const history = historyOf(job, job.names);
  const at = retryAt(history.failures + 1, now);
  const reason = `the name server ${laggard} does not serve the challenge yet`;
  if (phase.order.expires !== undefined && at >= phase.order.expires) {
    return proceed(refuse(job, reason, now), now);
  }
  const counted = setHistory(job, { ...history, failures: history.failures + 1 });
  return {
    job: { ...counted, reason, notBefore: at },
    effects: [{ do: "tell", refused: { reason, next: at } }, { do: "wait", until: at }],
  };
}

/** RFC 8555 §6.6 and what the network does: to be tried again with the same order. */
function isTransient(problem: Problem): boolean {
  return problem.status === 429 || problem.status >= 500 || problem.type === "bailiwick:timeout" ||
    problem.type === "bailiwick:unreachable";
}

/** Gives an order up: its tokens go, and the next one waits. */
function refuse(job: Job, reason: string, now: number, retryAfter?: number): Job {
  const history = historyOf(job, job.names);
  const failures = history.failures + 1;
  const counted = setHistory(job, { ...history, failures, notBefore: retryAt(failures, now, retryAfter) });
  return ready({ ...counted, reason }, { at: "cleaning", tokens: tokensOf(job), refused: true });
}

function refusalOf(job: Job): Refusal {
  return { reason: job.reason ?? "refused", next: historyOf(job, job.names).notBefore };
}

function issued(job: Job, at: number): Job {
  const history = historyOf(job, job.names);
  const recent = [...history.issued, at].slice(-16);
  return setHistory({ ...job, reason: undefined }, { ...history, failures: 0, notBefore: 0, issued: recent });
}

function ready(job: Job, phase: Phase): Job {
  return { ...job, phase, notBefore: 0 };
}

function setHistory(job: Job, entry: History): Job {
  return { ...job, history: [...job.history.filter((each) => each.key !== entry.key), entry] };
}

/** The job with room for one more set of names; `undefined` while all that is remembered still matters. */
function withHistory(job: Job, entry: History, now: number): Job | undefined {
  if (job.history.length < MAX_HISTORY || job.history.some((each) => each.key === entry.key)) {
    return setHistory(job, entry);
  }
  const spent = job.history.find((each) =>
    each.notBefore + 7 * DAY <= now && each.issued.every((at) => at + 7 * DAY <= now)
  );
  if (spent === undefined) return undefined;
  return setHistory({ ...job, history: job.history.filter((each) => each !== spent) }, entry);
}

function tokenOf(authorization: Authorization): Token[] {
  if (authorization.challenge === undefined) return [];
  return [{ owner: challengeOwner(authorization.domain), digest: authorization.challenge.digest }];
}

function challengeOwner(domain: string): Name {
  return joinName(["_acme-challenge"], nameOf(domain));
}
