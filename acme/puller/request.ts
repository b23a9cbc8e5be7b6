/** The requester's side of a certificate: its key and its request. */
import "reflect-metadata";
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from "@peculiar/x509";
import { fromPem, toPem } from "../x509/pem.ts";

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new P-256 key, PKCS#8 in PEM. */
export async function generateKeyPem(): Promise<string> {
  const { privateKey } = await crypto.subtle.generateKey(KEY, true, ["sign", "verify"]);
  return toPem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey)));
}

/**
 * A request for a host, PKCS#10 in DER. As the older stack has it, the SAN extension is there only if there are
 * extra names, and then holds the host too.
 * @throws {TypeError} when the text holds no key on P-256, P-384 or of RSA
 */
export async function generateRequest(
  keyPem: string,
  host: string,
  sans: readonly string[],
): Promise<Uint8Array> {
  const [pkcs8] = fromPem("PRIVATE KEY", keyPem);
  if (pkcs8 === undefined) throw new TypeError("the key file holds no PKCS#8 private key in PEM");
  const { keys, algorithm } = await importKeys(pkcs8);
  const names = [host, ...sans];
  const request = await Pkcs10CertificateRequestGenerator.create({
    // A common name holds 64 characters (RFC 5280 appendix A); a longer host is in the SAN extension alone.
    name: host.length <= 64 ? [{ CN: [host] }] : [],
    keys,
    signingAlgorithm: algorithm,
    extensions: sans.length === 0 && host.length <= 64
      ? []
      : [new SubjectAlternativeNameExtension(names.map((value) => ({ type: "dns" as const, value })))],
  });
  return new Uint8Array(request.rawData);
}

const ALGORITHMS = [
  KEY,
  { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
] as const;

async function importKeys(
  pkcs8: Uint8Array<ArrayBuffer>,
): Promise<{ keys: CryptoKeyPair; algorithm: typeof ALGORITHMS[number] }> {
  for (const algorithm of ALGORITHMS) {
    let privateKey: CryptoKey;
    try {
      privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]);
    } catch {
      // Of another kind: the next one is tried, and after the last the caller is told.
      continue;
    }
    const { kty, crv, n, e, x, y } = await crypto.subtle.exportKey("jwk", privateKey);
    const jwk = kty === "RSA" ? { kty, n, e } : { kty, crv, x, y };
    const publicKey = await crypto.subtle.importKey("jwk", jwk, algorithm, true, ["verify"]);
    return { keys: { privateKey, publicKey }, algorithm };
  }
  throw new TypeError("the key file holds no key on P-256, P-384 or of RSA");
}
