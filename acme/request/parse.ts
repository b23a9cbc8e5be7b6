/** Certification requests (PKCS#10, RFC 2986) from outside: parsed, and their signature checked. */
import "reflect-metadata";
import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { Buffer } from "node:buffer";
import {
  ExtensionsAttribute,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
} from "@peculiar/x509";
import type { Result } from "../../conduit/mod.ts";
import { owned } from "../record/bytes.ts";
import { derElement, signedPart } from "../x509/der.ts";
import { hostName } from "../x509/hostnames.ts";

export interface CertificateRequest {
  readonly der: Uint8Array;
  /** The common name and the SAN names together, lower case, each once, in order of appearance. */
  readonly names: readonly string[];
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

export type RequestFaultCode =
  | "too-large"
  | "malformed"
  | "key"
  | "signature"
  | "subject"
  | "extension"
  | "must-staple"
  | "name-type"
  | "name";

export interface RequestFault {
  readonly code: RequestFaultCode;
  /** One line, for the requester. */
  readonly reason: string;
}

/** RSA 4096 with a hundred names stays below. */
export const MAX_REQUEST_OCTETS = 12_288;
/** What a public authority takes in one certificate. */
const MAX_NAMES = 100;

const OID = {
  subjectAlternativeName: "2.5.29.17",
  tlsFeature: "1.3.6.1.5.5.7.1.24",
  extensionRequest: "1.2.840.113549.1.9.14",
};

export function parseRequest(der: Uint8Array): Result<CertificateRequest, RequestFault> {
  if (der.length > MAX_REQUEST_OCTETS) {
    return fault("too-large", `the request has ${der.length} octets; ${MAX_REQUEST_OCTETS} is the limit`);
  }
  const signed = signedPart(der);
  if (signed === undefined) return fault("malformed", "the request is not PKCS#10 in DER");
  try {
    return examine(new Pkcs10CertificateRequest(owned(der)), der, signed);
  } catch (error) {
    // The ASN.1 library reports every malformation by an exception, a stack exhausted by nesting included.
    if (error instanceof Error) return fault("malformed", "the request is not PKCS#10 in DER");
    throw error;
  }
}

function examine(
  request: Pkcs10CertificateRequest,
  der: Uint8Array,
  signed: Uint8Array,
): Result<CertificateRequest, RequestFault> {
  const publicKey = new Uint8Array(request.publicKey.rawData);
  const key = createPublicKey({ key: Buffer.from(publicKey), format: "der", type: "spki" });
  const keyFault = judgeKey(key);
  if (keyFault !== undefined) return fault("key", keyFault);
  if (!signatureHolds(request, key, signed)) {
    return fault("signature", "the request's signature does not verify with its own key");
  }
  const names = namesIn(request, signed);
  return names.ok ? { ok: true, value: { der, names: names.value, publicKey } } : names;
}

/** What public authorities accept: RSA 2048 to 4096, P-256, P-384. */
function judgeKey(key: KeyObject): string | undefined {
  const details = key.asymmetricKeyDetails;
  if (key.asymmetricKeyType === "rsa") {
    const bits = details?.modulusLength ?? 0;
    if (bits < 2048 || bits > 4096) return `an RSA key of ${bits} bits; 2048 to 4096 are accepted`;
    const exponent = details?.publicExponent;
    return exponent === 65537n ? undefined : `an RSA key with exponent ${exponent}; 65537 is accepted`;
  }
  if (key.asymmetricKeyType === "ec") {
    const curve = details?.namedCurve ?? "unknown";
    return ["prime256v1", "p256", "P-256", "secp384r1", "p384", "P-384"].includes(curve)
      ? undefined
      : `a key on the curve ${curve}; P-256 and P-384 are accepted`;
  }
  return `a key of type ${key.asymmetricKeyType}; RSA, P-256 and P-384 are accepted`;
}

/** Synchronous, so that an update can be judged in the step that applies it. */
function signatureHolds(request: Pkcs10CertificateRequest, key: KeyObject, signed: Uint8Array): boolean {
  const { name, hash } = request.signatureAlgorithm;
  const digest = { "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" }[hash?.name];
  const family = { "RSASSA-PKCS1-v1_5": "rsa", "ECDSA": "ec" }[name];
  if (digest === undefined || family !== key.asymmetricKeyType) return false;
  // The library gives ECDSA signatures as they stand in the request: a DER sequence of r and s.
  return verify(digest, Buffer.from(signed), key, Buffer.from(request.signature));
}

function namesIn(
  request: Pkcs10CertificateRequest,
  signed: Uint8Array,
): Result<string[], RequestFault> {
  const requested = request.attributes.filter((attribute) => attribute.type === OID.extensionRequest);
  // The library shows the first value of the first such attribute only; nothing may hide behind it.
  if (requested.length > 1 || requested.some((attribute) => attribute.values.length !== 1)) {
    return fault("extension", "more than one list of extensions is asked for");
  }
  const extensions = requested.flatMap((attribute) => new ExtensionsAttribute(attribute.rawData).items);
  if (extensions.some((extension) => extension.type === OID.tlsFeature)) {
    return fault(
      "must-staple",
      "must-staple is asked for and no authority answers OCSP any more; leave it out",
    );
  }
  const foreign = extensions.find((extension) => extension.type !== OID.subjectAlternativeName);
  if (foreign !== undefined) {
    return fault(
      "extension",
      `the extension ${foreign.type} is asked for; only subject alternative names are`,
    );
  }
  if (extensions.length > 1) return fault("extension", "subject alternative names are given twice");
  if (!subjectIsFlat(signed)) return fault("subject", "the subject has a relative name of several parts");
  const common = request.subjectName.getField("CN");
  if (common.length > 1) return fault("subject", "the subject has more than one common name");
  const names = [...common];
  if (extensions.length === 1) {
    const items = new SubjectAlternativeNameExtension(extensions[0].rawData).names.items;
    const other = items.find((item) => item.type !== "dns");
    if (other !== undefined) {
      return fault("name-type", `an alternative name of type ${other.type} is asked for; only DNS names are`);
    }
    names.push(...items.map((item) => item.value));
  }
  if (names.length > MAX_NAMES + 1) return fault("name", `${names.length} names; ${MAX_NAMES} is the limit`);
  const folded = new Set<string>();
  for (const name of names) {
    const host = hostName(name);
    if (host === undefined) return fault("name", `"${name.slice(0, 80)}" is not a host name`);
    folded.add(host);
  }
  if (folded.size === 0) return fault("name", "the request holds no name");
  if (folded.size > MAX_NAMES) return fault("name", `${folded.size} names; ${MAX_NAMES} is the limit`);
  return { ok: true, value: [...folded] };
}

/** Whether each RDN of the subject has one attribute, so that no second common name can hide in one. */
function subjectIsFlat(info: Uint8Array): boolean {
  const outer = derElement(info, 0);
  const version = outer && derElement(info, outer.content);
  const subject = version && derElement(info, version.end);
  if (subject === undefined || subject.tag !== 0x30) return false;
  for (let at = subject.content; at < subject.end;) {
    const rdn = derElement(info, at);
    const attribute = rdn && derElement(info, rdn.content);
    if (rdn === undefined || attribute === undefined || attribute.end !== rdn.end) return false;
    at = rdn.end;
  }
  return true;
}

function fault(code: RequestFaultCode, reason: string): { ok: false; error: RequestFault } {
  return { ok: false, error: { code, reason } };
}
