/** Any ACME directory (RFC 8555) as a `CertificateAuthority`, through acme-client. */
// The package is loaded when a directory is first spoken to: who needs none starts sooner, and with fewer permissions.
import type acme from "acme-client";
import type { Result } from "../../conduit/mod.ts";
import { fromPem, toPem } from "../x509/pem.ts";
import type { Authorization, CertificateAuthority, Order, OrderStatus, Problem } from "./authority.ts";
import { prepareTransport, ProblemError, problemOf, RETRY_AFTER } from "./transport.ts";

/** Where the account stays. The key is secret: the caller keeps it with mode 0600. */
export interface AccountStore {
  load(): Promise<Account | undefined>;
  save(account: Account): Promise<void>;
}

export interface Account {
  /** PKCS#8 in PEM. */
  readonly key: string;
  /** Unknown until the authority has answered. */
  readonly url?: string | undefined;
}

export interface AcmeAuthorityOptions {
  readonly directoryUrl: string;
  readonly account: AccountStore;
  readonly agreeTerms: boolean;
  readonly contact?: readonly string[];
  /** Roots to trust for this directory instead of the system's, in PEM. */
  readonly caCertificates?: readonly string[];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export function acmeAuthority(options: AcmeAuthorityOptions): CertificateAuthority {
  let opening: Promise<acme.Client> | undefined;

  /** One account, whoever asks first; a failed attempt is not remembered. */
  function client(): Promise<acme.Client> {
    opening ??= openAccount(options).catch((error) => {
      opening = undefined;
      throw error;
    });
    return opening;
  }

  function attempt<T>(
    signal: AbortSignal,
    body: (client: acme.Client) => Promise<T>,
  ): Promise<Result<T, Problem>> {
    return untilAborted(signal, async () => {
      try {
        return { ok: true, value: await body(await client()) } as const;
      } catch (error) {
        return { ok: false, error: problemFrom(error) } as const;
      }
    });
  }

  return {
    id: options.directoryUrl,

    newOrder: (names, signal) =>
      attempt(signal, async (client) =>
        orderOf(
          await client.createOrder({ identifiers: names.map((value) => ({ type: "dns", value })) }),
          names,
        )),

    authorizations: (order, signal) =>
      attempt(signal, async (client) => {
        const found = await client.getAuthorizations(wireOrder(order));
        return await Promise.all(found.map((authorization) => authorizationOf(client, authorization)));
      }),

    begin: (challenge, signal) =>
      attempt(signal, async (client) => {
        await client.completeChallenge({ url: challenge.url, type: "dns-01", status: "pending", token: "" });
      }),

    poll: (order, signal) =>
      attempt(signal, async (client) => {
        const polled = orderOf(await client.getOrder(wireOrder(order)), order.names);
        if (polled.status !== "invalid" || polled.problem !== undefined) return polled;
        // The order does not say why; the authorization that failed does.
        const found = await client.getAuthorizations(wireOrder(polled));
        const authorizations = await Promise.all(found.map((each) => authorizationOf(client, each)));
        return { ...polled, problem: authorizations.find((each) => each.problem !== undefined)?.problem };
      }),

    finalize: (order, request, signal) =>
      attempt(signal, async (client) =>
        orderOf(
          await client.finalizeOrder(wireOrder(order), toPem("CERTIFICATE REQUEST", request)),
          order.names,
        )),

    download: (order, signal) =>
      attempt(signal, async (client) => {
        if (order.status !== "valid") {
          throw new ProblemError(ourProblem("protocol", `the order is ${order.status}, not valid`));
        }
        const chain = fromPem("CERTIFICATE", await client.getCertificate(wireOrder(order)));
        if (chain.length === 0) {
          throw new ProblemError(ourProblem("protocol", "the answer holds no certificate"));
        }
        return chain;
      }),

    revoke: (certificate, reason, signal) =>
      attempt(signal, (client) => client.revokeCertificate(toPem("CERTIFICATE", certificate), { reason })),
  };
}

async function openAccount(options: AcmeAuthorityOptions): Promise<acme.Client> {
  const { default: acme } = await import("acme-client");
  prepareTransport(acme, options.directoryUrl, options.caCertificates, options.now);
  const kept = await options.account.load();
  const key = kept?.key ?? (await acme.crypto.createPrivateEcdsaKey("P-256")).toString();
  // Kept before it is used: an account whose key is lost cannot be had again.
  if (kept === undefined) await options.account.save({ key });
  const client = new acme.Client({
    directoryUrl: options.directoryUrl,
    accountKey: key,
    ...(kept?.url === undefined ? {} : { accountUrl: kept.url }),
  });
  if (kept?.url !== undefined) return client;
  const terms = await client.getTermsOfServiceUrl();
  if (terms && !options.agreeTerms) {
    throw new ProblemError(ourProblem("terms", `the terms of service are to be agreed to first: ${terms}`));
  }
  await client.createAccount({
    termsOfServiceAgreed: true,
    ...(options.contact === undefined ? {} : { contact: [...options.contact] }),
  });
  await options.account.save({ key, url: client.getAccountUrl() });
  return client;
}

async function authorizationOf(client: acme.Client, found: acme.Authorization): Promise<Authorization> {
  // Types that we do not know are ignored, as RFC 8555 §8 asks.
  const challenge = found.challenges.find((each) => each.type === "dns-01");
  const failed = found.challenges.find((each) => "error" in each && each.error);
  return {
    url: found.url,
    domain: found.identifier.value.toLowerCase(),
    wildcard: found.wildcard === true,
    status: found.status,
    challenge: challenge === undefined ? undefined : {
      url: challenge.url,
      status: challenge.status,
      digest: await client.getChallengeKeyAuthorization(challenge),
    },
    problem: failed === undefined ? undefined : problemOf("error" in failed ? failed.error : undefined, 0),
  };
}

const ORDER_STATUSES: readonly string[] = [
  "pending",
  "ready",
  "processing",
  "valid",
  "invalid",
] satisfies OrderStatus[];

function orderOf(found: acme.Order & { [RETRY_AFTER]?: number }, names: readonly string[]): Order {
  if (!ORDER_STATUSES.includes(found.status)) {
    throw new ProblemError(ourProblem("protocol", `an order of status "${found.status}"`));
  }
  const expires = found.expires === undefined ? NaN : Date.parse(found.expires);
  return {
    url: found.url,
    status: found.status,
    names: [...names],
    authorizations: found.authorizations,
    finalize: found.finalize,
    certificate: found.certificate,
    expires: Number.isNaN(expires) ? undefined : expires,
    problem: "error" in found && found.error ? problemOf(found.error, 0) : undefined,
    retryAfter: found[RETRY_AFTER],
  };
}

function wireOrder(order: Order): acme.Order {
  return {
    url: order.url,
    status: order.status,
    identifiers: order.names.map((value) => ({ type: "dns", value })),
    authorizations: [...order.authorizations],
    finalize: order.finalize,
    ...(order.certificate === undefined ? {} : { certificate: order.certificate }),
  };
}

/** acme-client takes no signal: its request ends by its own time-out, the caller need not wait for it. */
async function untilAborted<T>(
  signal: AbortSignal,
  body: () => Promise<Result<T, Problem>>,
): Promise<Result<T, Problem>> {
  if (signal.aborted) return { ok: false, error: ourProblem("interrupted", "stopped") };
  const { promise, resolve } = Promise.withResolvers<Result<T, Problem>>();
  const stop = () => resolve({ ok: false, error: ourProblem("interrupted", "stopped") });
  signal.addEventListener("abort", stop, { once: true });
  try {
    return await Promise.race([promise, body()]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function problemFrom(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  return ourProblem("protocol", error instanceof Error ? error.message : String(error));
}

function ourProblem(type: string, detail: string): Problem {
  return { type: `bailiwick:${type}`, detail, status: 0 };
}
