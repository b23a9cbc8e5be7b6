import {
  describeEndpoint,
  type Endpoint,
  requiredSecurity,
  satisfies,
  type SecurityLevel,
} from "./endpoint.ts";
import { ConnectError, type ConnectErrorCode } from "./protocol.ts";
import type { Registry, Route } from "./registry.ts";

/** What `connect` would do for an endpoint, in its order. */
export interface Plan {
  readonly endpoint: Endpoint;
  /** The least security that the endpoint may be served with. */
  readonly required: SecurityLevel;
  readonly routes: readonly PlannedRoute[];
}

/** A route of the registry, and what would be tried by it or why nothing would. */
export type PlannedRoute =
  & {
    readonly resolver: string;
    readonly protocol: string;
    readonly priority: number;
    readonly security: SecurityLevel;
  }
  & (
    | { readonly applies: true; readonly candidates: readonly PlannedCandidate[] }
    | { readonly applies: false; readonly code: ConnectErrorCode; readonly reason: string }
  );

export interface PlannedCandidate {
  /** What would be tried: `tls 192.0.2.1:853`. */
  readonly target: string;
  /** Under which conditions: what is trusted, who we would be. Never a secret. */
  readonly notes: readonly string[];
}

export interface ExplainOptions {
  readonly signal?: AbortSignal | undefined;
  /** The time for looking names up; default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/**
 * The plan for an endpoint. Connects to nothing; names are looked up, as they would be, and configured files are
 * read by those resolvers that read files.
 */
export async function explain(
  registry: Registry,
  endpoint: Endpoint,
  options: ExplainOptions = {},
): Promise<Plan> {
  const required = requiredSecurity(endpoint);
  const end = performance.now() + (options.timeoutMs ?? 10_000);
  const routes: PlannedRoute[] = [];
  for (const route of registry.routes) {
    const limits = { signal: options.signal, timeoutMs: Math.max(0, end - performance.now()) };
    const { resolver, protocol, priority, security } = route;
    routes.push({
      resolver,
      protocol,
      priority,
      security,
      ...await outcome(route, endpoint, required, limits),
    });
  }
  return { endpoint, required, routes };
}

async function outcome(
  route: Route,
  endpoint: Endpoint,
  required: SecurityLevel,
  limits: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
) {
  const found = satisfies(route.security, required)
    ? await route.targets(endpoint, limits)
    : { ok: false, error: insecure(route, endpoint) } as const;
  return found.ok
    ? {
      applies: true,
      candidates: found.value.map(({ description, notes }) => ({ target: description, notes })),
    } as const
    : { applies: false, code: found.error.code, reason: found.error.message } as const;
}

/** Why a route is passed over whose protocol gives less than the endpoint asks for. */
export function insecure(route: Route, endpoint: Endpoint): ConnectError {
  return new ConnectError(
    "insecure",
    `${route.protocol} is less secure than ${describeEndpoint(endpoint)} asks for`,
  );
}

/**
 * The plan as text, one route and one candidate a line, the same at every run for the same configuration and
 * addresses:
 *
 *     tls git.example:443, secure only
 *     1. tls (tls, priority 0): 2 candidates
 *        1.1 tls 192.0.2.1:443; the certificate must be for git.example; trusted: 1 given, no other
 *        1.2 tls [2001:db8::1]:443; …
 *     -. tcp (tcp, priority 0): insecure: tcp is less secure than tls git.example:443 asks for
 */
export function formatPlan(plan: Plan): string {
  const promise = plan.required === "secure" ? "secure only" : "plain or secure";
  const lines = [`${describeEndpoint(plan.endpoint)}, ${promise}`];
  let number = 0;
  for (const route of plan.routes) {
    const title = `${route.resolver} (${route.protocol}, priority ${route.priority})`;
    if (!route.applies) {
      lines.push(`-. ${title}: ${route.code}: ${route.reason}`);
      continue;
    }
    number++;
    const count = route.candidates.length;
    lines.push(`${number}. ${title}: ${count} candidate${count === 1 ? "" : "s"}`);
    route.candidates.forEach(({ target, notes }, index) =>
      lines.push(`   ${number}.${index + 1} ${[target, ...notes].join("; ")}`)
    );
  }
  if (plan.routes.length === 0) lines.push("no protocol is registered");
  return lines.map(printable).join("\n");
}

/** Names and messages may come from outside; a plan is read on a terminal. */
function printable(line: string): string {
  // deno-lint-ignore no-control-regex -- these are what must not get through
  return line.replace(/[\x00-\x1f\x7f-\x9f]/g, "?");
}
