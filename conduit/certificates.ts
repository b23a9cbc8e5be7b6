/** Certificates and keys that an operator gives, looked at before anything is connected to. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Result } from "./flow.ts";
import type { ClientCertificate } from "./tls_flow.ts";

/** A certificate and key as configured. */
export interface ClientCertificateSource {
  /** PEM, the leaf first. */
  readonly certificate: string;
  /** PEM: PKCS#8, encrypted or not, or the older forms. */
  readonly key: string;
  /** Of an encrypted key. There is never a prompt for one. */
  readonly passphrase?: string | undefined;
}

/** Checks that key and certificate can be read and belong together. The error is a sentence. */
export function readCertificate(source: ClientCertificateSource): Result<ClientCertificate, string> {
  const leaf = attempt("the certificate", () => new X509Certificate(source.certificate));
  if (!leaf.ok) return leaf;
  const encrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: 4,ENCRYPTED/m.test(source.key);
  if (encrypted && source.passphrase === undefined) {
    return { ok: false, error: "the certificate's key is encrypted, and no passphrase is configured" };
  }
  const key = attempt("the certificate's key", () =>
    createPrivateKey({
      key: source.key,
      ...(encrypted && source.passphrase !== undefined ? { passphrase: source.passphrase } : {}),
    }));
  if (!key.ok) return key;
  const matches = attempt("the certificate", () => leaf.value.checkPrivateKey(key.value));
  if (!matches.ok) return matches;
  if (!matches.value) return { ok: false, error: "the certificate is not for the key beside it" };
  const pem = key.value.export({ type: "pkcs8", format: "pem" });
  return { ok: true, value: { certificate: source.certificate, key: String(pem) } };
}

/** Every certificate of every text, one a string. The error is a sentence. */
export function readRoots(texts: readonly string[]): Result<readonly string[], string> {
  const roots: string[] = [];
  for (const text of texts) {
    const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
    if (found.length === 0) return { ok: false, error: "a root is not a PEM certificate" };
    for (const pem of found) {
      const parsed = attempt("a root", () => new X509Certificate(pem));
      if (!parsed.ok) return parsed;
      roots.push(pem);
    }
  }
  return { ok: true, value: roots };
}

function attempt<T>(what: string, body: () => T): Result<T, string> {
  try {
    return { ok: true, value: body() };
  } catch (error) {
    return {
      ok: false,
      error: `${what} cannot be used: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}
