import { createHash, createPrivateKey, sign as signWith } from "node:crypto";
import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../error.ts";
import { concatBytes, equalBytes, utf8 } from "../object/bytes.ts";
import { fromBase64, toBase64, toBase64Url } from "./base64.ts";
import { fingerprint } from "./public_key.ts";
import { formatSshSignature, signedData } from "./ssh_signature.ts";
import { type WireReader, wireReader, wireString } from "./wire.ts";

/** Somebody who signs with an Ed25519 key. */
export interface Signer {
  /** `ssh-ed25519 AAAA…`, as a line of an allowed-signers file holds it. */
  readonly publicKey: string;
  readonly fingerprint: string;
  /** The signature in OpenSSH's armor, as `ssh-keygen -Y sign` writes it. */
  readonly sign: (payload: Uint8Array) => string;
}

/**
 * A signer out of an OpenSSH private key file (PROTOCOL.key), Ed25519 and without a passphrase. The error is a sentence.
 *
 * @param namespace what the signatures are for
 */
export function signerFrom(privateKey: string, namespace = "git"): Result<Signer, string> {
  try {
    const { seed, point } = readPrivateKey(privateKey);
    const publicKey = concatBytes([wireString(keyType), wireString(point)]);
    const key = createPrivateKey({
      key: { kty: "OKP", crv: "Ed25519", d: toBase64Url(seed), x: toBase64Url(point) },
      format: "jwk",
    });
    return {
      ok: true,
      value: {
        publicKey: `${keyType} ${toBase64(publicKey)}`,
        fingerprint: fingerprint(publicKey),
        sign(payload) {
          const digest = createHash("sha512").update(payload).digest();
          const bytes = signWith(null, signedData(namespace, "sha512", digest), key);
          const signature = concatBytes([wireString(keyType), wireString(bytes)]);
          return formatSshSignature({ publicKey, namespace, hash: "sha512", signature });
        },
      },
    };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { ok: false, error: error.message };
  }
}

const keyType = "ssh-ed25519";
const magic = utf8("openssh-key-v1\0");

function readPrivateKey(text: string): { readonly seed: Uint8Array; readonly point: Uint8Array } {
  const lines = text.replaceAll("\r", "").trim().split("\n");
  const bytes = lines[0] === "-----BEGIN OPENSSH PRIVATE KEY-----" &&
      lines.at(-1) === "-----END OPENSSH PRIVATE KEY-----"
    ? fromBase64(lines.slice(1, -1).join(""))
    : undefined;
  if (bytes === undefined) throw malformed("it is not a private key in OpenSSH's form");
  const reader = wireReader(bytes);
  if (!equalBytes(reader.take(magic.length), magic)) {
    throw malformed("it is not a private key in OpenSSH's form");
  }
  const cipher = reader.text();
  reader.text(); // The key derivation and its options are those of the cipher.
  reader.string();
  if (cipher !== "none") throw malformed("the key has a passphrase; a server's key has none");
  if (reader.uint32() !== 1) throw malformed("it is not one key");
  reader.string(); // The public key, which is inside again.
  return readSecret(wireReader(reader.string()));
}

function readSecret(secret: WireReader): { readonly seed: Uint8Array; readonly point: Uint8Array } {
  if (secret.uint32() !== secret.uint32()) throw malformed("the key is damaged");
  const type = secret.text();
  if (type !== keyType) throw malformed(`a key of type ${type} cannot sign here; make one of type ed25519`);
  const point = secret.string();
  const both = secret.string();
  if (point.length !== 32 || both.length !== 64 || !equalBytes(both.subarray(32), point)) {
    throw malformed("the key is damaged");
  }
  return { seed: both.subarray(0, 32), point };
}

function malformed(message: string): StoreError {
  return new StoreError("malformed", message);
}
