/**
 * Certificates and requests as TLSA records (RFC 6698 §2.1), by the older stack's convention: one RRset at
 * `_letsencrypt._tcp.HOST` holds the request, the leaf and the chain, told apart by their parameters.
 */
import type { Result } from "../../conduit/mod.ts";
import { joinName, labelsOf, type Name, nameFrom, type RRset } from "../../dns/mod.ts";

/** What a TLSA record at such an owner holds. `other` is a TLSA record that the convention does not speak of. */
export type TlsaKind = "request" | "leaf" | "ca" | "other";

/** One record: PKCS#10 in DER for a request, else a certificate in DER. */
export interface CertificateRecord {
  readonly kind: TlsaKind;
  readonly der: Uint8Array;
}

/** The RRset taken apart; each list in the order of the RRset, which means nothing. */
export interface CertificateRecords {
  readonly requests: readonly Uint8Array[];
  readonly leafs: readonly Uint8Array[];
  readonly cas: readonly Uint8Array[];
}

/** Seconds. */
export const TLSA_TTL = 3600;

/** Certificate usage, selector, matching type. Selector 255 is private use (RFC 6698 §7.3). */
const PARAMETERS: Readonly<Record<Exclude<TlsaKind, "other">, readonly [number, number, number]>> = {
  request: [3, 255, 0],
  leaf: [3, 0, 0],
  ca: [0, 0, 0],
};

const OWNER_LABELS = ["_letsencrypt", "_tcp"];

/** Where the certificates of a host stand. @throws {RangeError} when that name would be too long */
export function ownerOf(host: Name): Name {
  return joinName(OWNER_LABELS, host);
}

/** The host of such an owner name; `undefined` for every other name and for the root's. */
export function hostOf(owner: Name): Name | undefined {
  const labels = labelsOf(owner);
  if (labels.length < 3 || labels[0] !== OWNER_LABELS[0] || labels[1] !== OWNER_LABELS[1]) return undefined;
  return nameFrom(`${labels.slice(2).join(".")}.`);
}

export function encodeTlsa(kind: Exclude<TlsaKind, "other">, der: Uint8Array): Uint8Array {
  const rdata = new Uint8Array(3 + der.length);
  rdata.set(PARAMETERS[kind]);
  rdata.set(der, 3);
  return rdata;
}

/** Fails only where the rdata is too short to be a TLSA record. */
export function decodeTlsa(rdata: Uint8Array): Result<CertificateRecord, "malformed"> {
  if (rdata.length < 4) return { ok: false, error: "malformed" };
  const der = rdata.subarray(3);
  for (const kind of ["request", "leaf", "ca"] as const) {
    if (PARAMETERS[kind].every((value, at) => rdata[at] === value)) return { ok: true, value: { kind, der } };
  }
  return { ok: true, value: { kind: "other", der } };
}

/** Takes an RRset apart; what is not of the convention is left out. */
export function readTlsa(rrset: RRset | undefined): CertificateRecords {
  const requests: Uint8Array[] = [];
  const leafs: Uint8Array[] = [];
  const cas: Uint8Array[] = [];
  for (const rdata of rrset?.rdatas ?? []) {
    const decoded = decodeTlsa(rdata);
    if (!decoded.ok) continue;
    const { kind, der } = decoded.value;
    if (kind === "request") requests.push(der);
    else if (kind === "leaf") leafs.push(der);
    else if (kind === "ca") cas.push(der);
  }
  return { requests, leafs, cas };
}
