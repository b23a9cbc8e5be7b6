import { describeEndpoint, type Endpoint, requiredSecurity, satisfies } from "./endpoint.ts";
import { insecure } from "./explain.ts";
import type { Flow, Result } from "./flow.ts";
import { ConnectError, type ConnectErrorCode } from "./protocol.ts";
import type { Registry, Route, Target } from "./registry.ts";

export interface ConnectOptions {
  readonly signal?: AbortSignal | undefined;
  /** The time for everything together, name look-up and all addresses; default 30 s. */
  readonly timeoutMs?: number | undefined;
}

/** One thing that was tried, or one resolver that did not apply, and why. */
export interface Attempt {
  readonly resolver: string;
  readonly protocol: string;
  readonly priority: number;
  readonly target: string;
  readonly code: ConnectErrorCode;
  readonly cause: ConnectError;
}

/** Why no flow came about: every attempt in the order made, with its cause. */
export class ConnectFailure extends Error {
  override readonly name = "ConnectFailure";
  constructor(readonly endpoint: Endpoint, readonly attempts: readonly Attempt[]) {
    super(summary(endpoint, attempts));
  }
}

/**
 * Connects to an endpoint by the registry's routes, highest priority first, each address in turn, until one
 * gives a flow. A route whose protocol is less secure than the endpoint asks for is never tried.
 */
export async function connect(
  registry: Registry,
  endpoint: Endpoint,
  options: ConnectOptions = {},
): Promise<Result<Flow, ConnectFailure>> {
  const clock = deadline(options.timeoutMs ?? 30_000);
  const { signal } = options;
  const attempts: Attempt[] = [];
  const note = (route: Route, target: string, cause: ConnectError) =>
    attempts.push({
      resolver: route.resolver,
      protocol: route.protocol,
      priority: route.priority,
      target,
      code: cause.code,
      cause,
    });

  const required = requiredSecurity(endpoint);
  for (const route of registry.routes) {
    const asked = describeEndpoint(endpoint);
    if (!satisfies(route.security, required)) {
      note(route, asked, insecure(route, endpoint));
      continue;
    }
    const found = await route.targets(endpoint, { signal, timeoutMs: clock.remaining() });
    if (!found.ok) {
      note(route, asked, found.error);
      continue;
    }
    for (const [index, target] of found.value.entries()) {
      const outcome = await tryTarget(target, { signal, timeoutMs: clock.share(found.value.length - index) });
      if (outcome.ok) return outcome;
      note(route, target.description, outcome.error);
    }
  }
  return { ok: false, error: new ConnectFailure(endpoint, attempts) };
}

async function tryTarget(
  target: Target,
  options: { signal: AbortSignal | undefined; timeoutMs: number },
): Promise<Result<Flow, ConnectError>> {
  if (options.signal?.aborted) {
    return { ok: false, error: new ConnectError("aborted", "given up", { cause: options.signal.reason }) };
  }
  if (options.timeoutMs <= 0) {
    return { ok: false, error: new ConnectError("timeout", "no time was left to try it") };
  }
  return await target.connect(options);
}

/** A silent first address must not use up the time of the others: each gets its share of what is left. */
function deadline(totalMs: number): { remaining(): number; share(among: number): number } {
  const end = performance.now() + totalMs;
  const remaining = () => Math.max(0, end - performance.now());
  return { remaining, share: (among) => remaining() / among };
}

function summary(endpoint: Endpoint, attempts: readonly Attempt[]): string {
  const asked = describeEndpoint(endpoint);
  if (attempts.length === 0) return `${asked}: no protocol is registered`;
  // Routes for other schemes are noise in a sentence, unless there was nothing else; they stay in `attempts`.
  const telling = attempts.filter(({ code }) => code !== "not-applicable" && code !== "insecure");
  const listed = (telling.length > 0 ? telling : attempts).map(({ target, protocol, cause }) =>
    telling.length > 0 ? `${target}: ${cause.message}` : `${protocol}: ${cause.message}`
  );
  return `cannot connect to ${asked}: ${listed.join("; ")}`;
}
