/** Certificates as far as provisioning needs them: whose, for which names, how long, issued by whom. */
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  X509Certificate,
} from "@peculiar/x509";
import type { Result } from "../../conduit/mod.ts";
import { equalBytes, owned } from "../record/bytes.ts";
import { signedPart } from "./der.ts";
import { sameNames } from "./hostnames.ts";
import type { CertificateRequest } from "../request/parse.ts";

export interface Certificate {
  readonly der: Uint8Array;
  /** The dNSNames, or the common name where there is no SAN extension; lower case. */
  readonly names: readonly string[];
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly subject: string;
  readonly issuer: string;
  /** Hexadecimal. */
  readonly serial: string;
  /** Hexadecimal; `undefined` where the certificate has none. */
  readonly authorityKeyId: string | undefined;
}

/** Certificates in requests and records stay far below this. */
const MAX_CERTIFICATE_OCTETS = 32_768;

export function parseCertificate(der: Uint8Array): Result<Certificate, { readonly reason: string }> {
  if (der.length > MAX_CERTIFICATE_OCTETS || signedPart(der) === undefined) {
    return { ok: false, error: { reason: "not a certificate in DER" } };
  }
  try {
    const parsed = new X509Certificate(owned(der));
    const alternative = parsed.getExtension(SubjectAlternativeNameExtension);
    const names = alternative === null
      ? parsed.subjectName.getField("CN")
      : alternative.names.items.filter((item) => item.type === "dns").map((item) => item.value);
    return {
      ok: true,
      value: {
        der,
        names: [...new Set(names.map((name) => name.toLowerCase()))],
        publicKey: new Uint8Array(parsed.publicKey.rawData),
        notBefore: parsed.notBefore.getTime(),
        notAfter: parsed.notAfter.getTime(),
        subject: parsed.subject,
        issuer: parsed.issuer,
        serial: parsed.serialNumber,
        authorityKeyId: parsed.getExtension(AuthorityKeyIdentifierExtension)?.keyId,
      },
    };
  } catch (error) {
    return { ok: false, error: { reason: `not a certificate: ${messageOf(error)}` } };
  }
}

/** The older stack's rule: public keys equal, name sets equal, valid at `now` and for `margin` milliseconds more. */
export function matches(
  certificate: Certificate,
  request: Pick<CertificateRequest, "publicKey" | "names">,
  now: number,
  margin = 0,
): boolean {
  return equalBytes(certificate.publicKey, request.publicKey) &&
    sameNames(certificate.names, request.names) &&
    certificate.notBefore <= now && now + margin < certificate.notAfter;
}

/**
 * The leaf and the certificates above it, in order, each verified to have signed the one before. Certificates that
 * are not needed are left out. Fails where a certificate names an issuer that is there but did not sign it, or one
 * that is not there while others are left over.
 */
export async function orderChain(
  leaf: Certificate,
  others: readonly Certificate[],
): Promise<Result<Certificate[], { readonly reason: string }>> {
  const chain = [leaf];
  const left = new Set(others);
  for (let last = leaf; last.subject !== last.issuer; last = chain[chain.length - 1]) {
    const candidates = [...left].filter((other) => other.subject === last.issuer);
    const issuer = await firstSigner(last, candidates);
    if (issuer === undefined) {
      if (candidates.length > 0) {
        return {
          ok: false,
          error: { reason: `"${last.subject}" is not signed by "${last.issuer}" of the chain` },
        };
      }
      // The root, or one that everybody has, need not be there.
      if (chain.length === 1 && left.size > 0) {
        return { ok: false, error: { reason: `the issuer "${last.issuer}" is not in the chain` } };
      }
      break;
    }
    left.delete(issuer);
    chain.push(issuer);
  }
  return { ok: true, value: chain };
}

async function firstSigner(
  certificate: Certificate,
  candidates: readonly Certificate[],
): Promise<Certificate | undefined> {
  const signed = new X509Certificate(owned(certificate.der));
  for (const candidate of candidates) {
    try {
      const publicKey = new PublicKey(owned(candidate.publicKey));
      if (await signed.verify({ publicKey, signatureOnly: true })) return candidate;
    } catch {
      // An algorithm that the key cannot have made: not the signer.
      continue;
    }
  }
  return undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
