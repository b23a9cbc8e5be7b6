/**
 * A certificate authority as the provisioner drives it: one step at a time, each step's outcome plain JSON that can be
 * kept, so that an order survives the process. The words are those of RFC 8555 §7.1.
 */
import type { Result } from "../../conduit/mod.ts";

export interface CertificateAuthority {
  /** The directory's URL, or `local`: what orders and failures are counted under. */
  readonly id: string;
  newOrder(names: readonly string[], signal: AbortSignal): Promise<Result<Order, Problem>>;
  /** The authorizations of an order, in the order's sequence. */
  authorizations(order: Order, signal: AbortSignal): Promise<Result<readonly Authorization[], Problem>>;
  /** Says that a challenge's record is served everywhere and may be looked up. */
  begin(challenge: Challenge, signal: AbortSignal): Promise<Result<void, Problem>>;
  /** The order as it is now; an invalid one with the problem that made it so. */
  poll(order: Order, signal: AbortSignal): Promise<Result<Order, Problem>>;
  /** `request` is PKCS#10 in DER. */
  finalize(order: Order, request: Uint8Array, signal: AbortSignal): Promise<Result<Order, Problem>>;
  /** The chain of a valid order in DER, leaf first, without the root. */
  download(order: Order, signal: AbortSignal): Promise<Result<readonly Uint8Array[], Problem>>;
  /** `reason` is a CRLReason (RFC 5280 §5.3.1). */
  revoke(certificate: Uint8Array, reason: number, signal: AbortSignal): Promise<Result<void, Problem>>;
}

export type OrderStatus = "pending" | "ready" | "processing" | "valid" | "invalid";

export interface Order {
  readonly url: string;
  readonly status: OrderStatus;
  readonly names: readonly string[];
  /** URLs. */
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string | undefined;
  /** Milliseconds since 1970. */
  readonly expires?: number | undefined;
  readonly problem?: Problem | undefined;
  /** Milliseconds since 1970: not to be asked again before. */
  readonly retryAfter?: number | undefined;
}

export interface Authorization {
  readonly url: string;
  /** Without `*.`. */
  readonly domain: string;
  readonly wildcard: boolean;
  readonly status: "pending" | "valid" | "invalid" | "deactivated" | "expired" | "revoked";
  /** The dns-01 challenge where one is offered; other types are not looked at. */
  readonly challenge?: Challenge | undefined;
  readonly problem?: Problem | undefined;
}

export interface Challenge {
  readonly url: string;
  readonly status: "pending" | "processing" | "valid" | "invalid";
  /** What the TXT record at `_acme-challenge.DOMAIN` holds (RFC 8555 §8.4). */
  readonly digest: string;
}

/** A problem document (RFC 7807, RFC 8555 §6.7), or one of our own types for what happened on the way. */
export interface Problem {
  /** `urn:ietf:params:acme:error:…`, or `bailiwick:unreachable|timeout|protocol|terms|interrupted|…`. */
  readonly type: string;
  readonly detail: string;
  /** HTTP status; 0 where there was no answer. */
  readonly status: number;
  /** Milliseconds since 1970. */
  readonly retryAfter?: number | undefined;
  readonly subproblems?:
    | readonly { type: string; detail: string; identifier?: string | undefined }[]
    | undefined;
}

export const ACME_ERROR = "urn:ietf:params:acme:error:";

/** One line for logs and for the state record. */
export function problemText(problem: Problem): string {
  const kind = problem.type.startsWith(ACME_ERROR) ? problem.type.slice(ACME_ERROR.length) : problem.type;
  const parts = (problem.subproblems ?? []).map((part) => `${part.identifier ?? ""} ${part.detail}`.trim());
  return [`${kind}: ${problem.detail}`, ...parts].join("; ");
}
