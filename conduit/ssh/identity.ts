/** Who we are to SSH servers: a key given as text. */
import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
// @ts-types="@types/ssh2"
import type { ParsedKey } from "ssh2";
import type { Result } from "../flow.ts";
import { algorithmOf, KEY_ALGORITHMS, loadSsh2, openSshKeyFile, type SshPublicKey } from "./keys.ts";

export interface SshIdentity {
  readonly key: ParsedKey;
  readonly publicKey: SshPublicKey;
}

/**
 * Reads a private key: OpenSSH's format, PKCS#1, SEC 1 or PKCS#8 in PEM; Ed25519, ECDSA or RSA. An encrypted one
 * needs its passphrase; nobody is asked for it. The error is a sentence.
 */
export async function readIdentity(
  text: string,
  passphrase: string | undefined,
): Promise<Result<SshIdentity, string>> {
  const { utils } = await loadSsh2();
  const pem = /-----BEGIN ((ENCRYPTED|RSA|EC) )?PRIVATE KEY-----/.test(text);
  const file = pem ? fromPem(text, passphrase) : { ok: true, value: text } as const;
  if (!file.ok) return file;
  const parsed = utils.parseKey(file.value, passphrase);
  if (parsed instanceof Error) {
    const locked = passphrase === undefined && /passphrase/i.test(parsed.message);
    return { ok: false, error: locked ? NO_PASSPHRASE : parsed.message };
  }
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (!key.isPrivateKey()) return { ok: false, error: "it is a public key" };
  const blob = new Uint8Array(key.getPublicSSH());
  const algorithm = algorithmOf(blob) ?? key.type;
  if (!KEY_ALGORITHMS.includes(algorithm)) {
    return { ok: false, error: `key type ${algorithm} is not supported` };
  }
  return { ok: true, value: { key: ecdsaMended(key, blob), publicKey: { algorithm, blob } } };
}

/** The public half of a private key. The error is a sentence. */
export async function publicKeyOf(
  privateKey: string,
  passphrase?: string,
): Promise<Result<SshPublicKey, string>> {
  const identity = await readIdentity(privateKey, passphrase);
  return identity.ok ? { ok: true, value: identity.value.publicKey } : identity;
}

/**
 * The package writes the scalar of an ECDSA key as a signed number, a byte too long every other time, which the
 * runtime does not read; so the key is made anew for signing.
 */
function ecdsaMended(key: ParsedKey, blob: Uint8Array): ParsedKey {
  const curve = ECDSA.get(key.type);
  if (curve === undefined) return key;
  const point = blob.subarray(blob.length - 2 * curve.bytes); // x and y end the blob (RFC 5656 §3.1)
  const base64url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const jwk = {
    kty: "EC",
    crv: curve.name,
    d: base64url(fixedLength(sec1Scalar(key.getPrivatePEM()), curve.bytes)),
    x: base64url(point.subarray(0, curve.bytes)),
    y: base64url(point.subarray(curve.bytes)),
  };
  const own = createPrivateKey({ key: jwk, format: "jwk" });
  return Object.create(key, {
    sign: { value: (data: Uint8Array) => sign(curve.hash, data, own) },
  });
}

const ECDSA: ReadonlyMap<string, { readonly name: string; readonly bytes: number; readonly hash: string }> =
  new Map([
    ["ecdsa-sha2-nistp256", { name: "P-256", bytes: 32, hash: "sha256" }],
    ["ecdsa-sha2-nistp384", { name: "P-384", bytes: 48, hash: "sha384" }],
    ["ecdsa-sha2-nistp521", { name: "P-521", bytes: 66, hash: "sha512" }],
  ]);

/** RFC 5915 §3: a SEQUENCE of the INTEGER 1, an OCTET STRING, and what matters not here. */
function sec1Scalar(pem: string): Uint8Array {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ""), "base64");
  const version = der[1] === 0x81 ? 3 : 2;
  const length = der[version + 4];
  return der.subarray(version + 5, version + 5 + length);
}

function fixedLength(number: Uint8Array, length: number): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0);
  const digits = first < 0 ? number.subarray(number.length) : number.subarray(first);
  const bytes = new Uint8Array(length);
  bytes.set(digits.subarray(0, length), length - Math.min(digits.length, length));
  return bytes;
}

const NO_PASSPHRASE = "it is encrypted, and no passphrase is configured";

/** The package reads OpenSSH's files and PKCS#1; the runtime reads every PEM, P-521 included, and turns it into one. */
function fromPem(text: string, passphrase: string | undefined): Result<string, string> {
  const encrypted = /BEGIN ENCRYPTED PRIVATE KEY|^Proc-Type: 4,ENCRYPTED/m.test(text);
  if (encrypted && passphrase === undefined) return { ok: false, error: NO_PASSPHRASE };
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: text, ...(encrypted ? { passphrase } : {}) });
  } catch (error) {
    return { ok: false, error: error instanceof Error ? error.message : String(error) };
  }
  switch (key.asymmetricKeyType) {
    case "rsa":
      return { ok: true, value: String(key.export({ type: "pkcs1", format: "pem" })) };
    case "ec":
    case "ed25519":
      return openSshKeyFile(key, "");
    default:
      return { ok: false, error: `key type ${key.asymmetricKeyType} is not supported` };
  }
}

/**
 * The key once for each algorithm it may sign with, best first. RSA does so by SHA-2 (RFC 8332): left to itself the
 * package never tries SHA-512 where SHA-256 is refused, and falls back to SHA-1.
 */
export function signingVariants(key: ParsedKey): ParsedKey[] {
  if (key.type !== "ssh-rsa") return [key];
  return RSA_HASHES.map(([type, hash]) =>
    Object.create(key, {
      type: { value: type },
      sign: { value: (data: Parameters<ParsedKey["sign"]>[0]) => key.sign(data, hash) },
    })
  );
}

/** RSA's signature algorithms and their hashes, best first. */
export const RSA_HASHES = [["rsa-sha2-512", "sha512"], ["rsa-sha2-256", "sha256"]] as const;
