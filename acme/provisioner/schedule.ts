/** When to renew, when to try again, when an authority's own limits let us order: the tables, and functions of them. */
import type { Certificate } from "../x509/certificate.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

/** After the first, second, … failure in a row; the last entry from then on. Milliseconds. */
export const RETRY_AFTER_FAILURE: readonly number[] = [MINUTE, 10 * MINUTE, 100 * MINUTE, DAY];

/** A server may ask for more patience than the table has, up to this. Milliseconds. */
export const MAX_RETRY_AFTER = 7 * DAY;

/** Between two looks at an order. Milliseconds; the last entry from then on. */
export const POLL_DELAYS: readonly number[] = [0, 1000, 2000, 3000, 5000, 8000, 15_000, 30_000];

/** An order that is not through by then has failed. Milliseconds since the first look. */
export const MAX_POLLING = 30 * MINUTE;

/** How often an authority lets the same set of names be issued. */
export interface IssueBudget {
  readonly count: number;
  /** Milliseconds. */
  readonly window: number;
}

/** Let's Encrypt's: the same exact set of names five times in seven days. */
export const PUBLIC_BUDGET: IssueBudget = { count: 5, window: 7 * DAY };

/** The instant of the next attempt after `failures` in a row (1 or more). */
export function retryAt(failures: number, now: number, retryAfter?: number): number {
  const index = Math.min(Math.max(failures, 1), RETRY_AFTER_FAILURE.length) - 1;
  const asked = Math.min(retryAfter ?? now, now + MAX_RETRY_AFTER);
  return Math.max(now + RETRY_AFTER_FAILURE[index], asked);
}

/** The instant from which a certificate is to be renewed: a third of its life left, half if it lives under ten days. */
export function renewalAt(certificate: Pick<Certificate, "notBefore" | "notAfter">): number {
  const lifetime = certificate.notAfter - certificate.notBefore;
  return certificate.notAfter - Math.floor(lifetime < 10 * DAY ? lifetime / 2 : lifetime / 3);
}

export function needsRenewal(certificate: Pick<Certificate, "notBefore" | "notAfter">, now: number): boolean {
  return now >= renewalAt(certificate);
}

/** The instant from which one more may be issued, given when the last ones were. */
export function budgetAllowsAt(
  issued: readonly number[],
  budget: IssueBudget | undefined,
  now: number,
): number {
  if (budget === undefined) return now;
  const recent = issued.filter((at) => at > now - budget.window).sort((a, b) => a - b);
  return recent.length < budget.count ? now : recent[recent.length - budget.count] + budget.window;
}

export function pollDelay(attempt: number): number {
  return POLL_DELAYS[Math.min(attempt, POLL_DELAYS.length - 1)];
}
