/**
 * The embedded authority: a root and an intermediate of our own, so that a first start needs no network. It validates
 * DNS-01 for real (RFC 8555 §8.4) by the look-up handed in, and keeps its orders in the ledger as any authority keeps them.
 */
import type { Result } from "../../conduit/mod.ts";
import { fromBase64, toBase64, toBase64Url } from "../record/bytes.ts";
import { parseRequest } from "../request/parse.ts";
import { baseOf, sameNames } from "../x509/hostnames.ts";
import type { Ledger } from "../provisioner/interfaces.ts";
import {
  ACME_ERROR,
  type Authorization,
  type CertificateAuthority,
  type Challenge,
  type Order,
  type Problem,
} from "./authority.ts";
import { issueLeaf, type LocalRoot } from "./root.ts";

export interface LocalAuthorityOptions {
  readonly root: LocalRoot;
  readonly ledger: Ledger;
  /** The TXT records at a name, each with its strings joined, asked over DNS of what we serve. */
  readonly lookupTxt: (name: string, signal: AbortSignal) => Promise<readonly string[]>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** That many octets nobody can guess. */
  readonly random: (octets: number) => Uint8Array;
  /** Milliseconds; 90 days unless given. */
  readonly lifetime?: number;
}

const DAY = 86_400_000;
const ORDER_LIFETIME = 7 * DAY;
const PREFIX = "local-order/";

/** An order as the authority remembers it. */
interface Kept {
  readonly url: string;
  readonly names: readonly string[];
  readonly expires: number;
  readonly status: Order["status"];
  readonly proofs: readonly Proof[];
  readonly chain?: readonly string[];
  readonly problem?: Problem;
}

interface Proof {
  readonly domain: string;
  readonly wildcard: boolean;
  readonly digest: string;
  readonly status: "pending" | "valid" | "invalid";
  readonly problem?: Problem;
}

export function localAuthority(options: LocalAuthorityOptions): CertificateAuthority {
  const { ledger, now, random } = options;

  function keep(order: Kept): Order {
    ledger.put(order.url, order);
    return shown(order);
  }

  function find(url: string): Result<Kept, Problem> {
    const kept = ledger.get(url);
    return isKept(kept)
      ? { ok: true, value: kept }
      : refused("malformed", 404, "the order is not known to this authority");
  }

  return {
    id: "local",

    async newOrder(names) {
      for (const url of ledger.list(PREFIX)) {
        const kept = ledger.get(url);
        if (!isKept(kept)) continue;
        if (kept.expires <= now()) ledger.delete(url);
        // As public authorities do: who asks again for the same names before the end gets the same order.
        else if ((kept.status === "pending" || kept.status === "ready") && sameNames(kept.names, names)) {
          return { ok: true, value: shown(kept) };
        }
      }
      const proofs = await Promise.all(names.map(async (name): Promise<Proof> => ({
        domain: baseOf(name),
        wildcard: name.startsWith("*."),
        digest: await keyAuthorizationDigest(toBase64Url(random(32)), options.root.thumbprint),
        status: "pending",
      })));
      const url = `${PREFIX}${toBase64Url(random(16))}`;
      return {
        ok: true,
        value: keep({ url, names: [...names], expires: now() + ORDER_LIFETIME, status: "pending", proofs }),
      };
    },

    authorizations(order) {
      const found = find(order.url);
      if (!found.ok) return Promise.resolve(found);
      const value = found.value.proofs.map((proof, at): Authorization => ({
        url: `${order.url}#${at}`,
        domain: proof.domain,
        wildcard: proof.wildcard,
        status: proof.status,
        challenge: { url: `${order.url}#${at}`, status: proof.status, digest: proof.digest },
        problem: proof.problem,
      }));
      return Promise.resolve({ ok: true, value });
    },

    async begin(challenge: Challenge, signal) {
      const [url, index] = challenge.url.split("#");
      const asked = find(url);
      if (!asked.ok) return asked;
      const proof = asked.value.proofs[Number(index)];
      if (proof === undefined) {
        return refused("malformed", 404, "the challenge is not known to this authority");
      }
      if (proof.status !== "pending") return { ok: true, value: undefined };
      const outcome = await validate(proof, options.lookupTxt, signal);
      // Others of the same order may have been decided meanwhile.
      const found = find(url);
      if (!found.ok) return found;
      const proofs = found.value.proofs.map((each, at) => at === Number(index) ? outcome : each);
      const failed = proofs.find((each) => each.status === "invalid")?.problem;
      keep({
        ...found.value,
        proofs,
        ...(failed === undefined ? {} : { problem: failed }),
        status: failed !== undefined
          ? "invalid"
          : proofs.every((each) => each.status === "valid")
          ? "ready"
          : "pending",
      });
      return { ok: true, value: undefined };
    },

    poll(order) {
      const found = find(order.url);
      return Promise.resolve(found.ok ? { ok: true, value: shown(found.value) } : found);
    },

    async finalize(order, request) {
      const found = find(order.url);
      if (!found.ok) return found;
      if (found.value.status === "valid") return { ok: true, value: shown(found.value) };
      if (found.value.status !== "ready" || found.value.expires <= now()) {
        return refused("orderNotReady", 403, `the order is ${found.value.status}`);
      }
      const parsed = parseRequest(request);
      if (!parsed.ok) return refused("badCSR", 400, parsed.error.reason);
      if (!sameNames(parsed.value.names, found.value.names)) {
        return refused("badCSR", 400, "the request's names are not the order's");
      }
      const chain = await issueLeaf(options.root, {
        names: found.value.names,
        publicKey: parsed.value.publicKey,
        serial: random(16),
        now: now(),
        lifetime: options.lifetime ?? 90 * DAY,
      });
      return { ok: true, value: keep({ ...found.value, status: "valid", chain: chain.map(toBase64) }) };
    },

    download(order) {
      const found = find(order.url);
      if (!found.ok) return Promise.resolve(found);
      const chain = (found.value.chain ?? []).map(fromBase64).filter((der) => der !== undefined);
      return Promise.resolve(
        chain.length > 0
          ? { ok: true, value: chain }
          : refused("orderNotReady", 403, "nothing is issued yet"),
      );
    },

    revoke() {
      return Promise.resolve(refused(
        "serverInternal",
        501,
        "the embedded authority publishes no revocations; make a new key and request, and the old certificate goes",
      ));
    },
  };
}

/** RFC 8555 §8.1 and §8.4: base64url(SHA-256(token "." thumbprint)). */
async function keyAuthorizationDigest(token: string, thumbprint: string): Promise<string> {
  const text = new TextEncoder().encode(`${token}.${thumbprint}`);
  return toBase64Url(new Uint8Array(await crypto.subtle.digest("SHA-256", text)));
}

async function validate(
  proof: Proof,
  lookupTxt: LocalAuthorityOptions["lookupTxt"],
  signal: AbortSignal,
): Promise<Proof> {
  const name = `_acme-challenge.${proof.domain}`;
  try {
    const values = await lookupTxt(name, signal);
    if (values.includes(proof.digest)) return { ...proof, status: "valid" };
    const seen = values.length === 0
      ? "no TXT record"
      : `${values.length} TXT records, none of them the token`;
    return {
      ...proof,
      status: "invalid",
      problem: { type: `${ACME_ERROR}unauthorized`, status: 403, detail: `${seen} at ${name}` },
    };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return {
      ...proof,
      status: "invalid",
      problem: { type: `${ACME_ERROR}dns`, status: 400, detail: `looking up ${name}: ${why}` },
    };
  }
}

function shown(kept: Kept): Order {
  return {
    url: kept.url,
    status: kept.status,
    names: kept.names,
    authorizations: kept.proofs.map((_, at) => `${kept.url}#${at}`),
    finalize: kept.url,
    certificate: kept.chain === undefined ? undefined : kept.url,
    expires: kept.expires,
    problem: kept.problem,
  };
}

function isKept(value: unknown): value is Kept {
  return typeof value === "object" && value !== null && "url" in value && "proofs" in value &&
    "names" in value;
}

function refused(type: string, status: number, detail: string): { ok: false; error: Problem } {
  return { ok: false, error: { type: `${ACME_ERROR}${type}`, status, detail } };
}
