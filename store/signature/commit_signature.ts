import { createHash } from "node:crypto";
import type { Result } from "../../conduit/mod.ts";
import { StoreError } from "../error.ts";
import { type AllowedSigner, matchesPatterns, signersOf } from "./allowed_signers.ts";
import { fingerprint, verifyData } from "./public_key.ts";
import { splitSignature } from "./signature_header.ts";
import { parseSshSignature, signedData, type SshSignature } from "./ssh_signature.ts";

/** Who signed. */
export interface GoodSignature {
  /** The principals of the line that allows the key, as written. */
  readonly principals: string;
  readonly fingerprint: string;
}

export interface SignatureError {
  /**
   * `unsupported`: made by something else than SSH; `bad`: not made over this content; `unknown`: by a key that is not
   * among the allowed; `namespace`: for another use; `time`: the key was not valid then.
   */
  readonly code: "unsigned" | "malformed" | "unsupported" | "bad" | "unknown" | "namespace" | "time";
  readonly message: string;
}

export interface VerifyOptions {
  /** Seconds since 1970: when the key must have been valid. */
  readonly at: number;
  /** `git` for commits and tags. */
  readonly namespace: string;
}

/** Judges the signature of a commit's content (its header `gpgsig`) as `git verify-commit` does. */
export function verifyCommitSignature(
  content: Uint8Array,
  allowed: readonly AllowedSigner[],
  options: VerifyOptions,
): Result<GoodSignature, SignatureError> {
  const split = splitSignature(content);
  if (split === undefined) return failed("unsigned", "it is not signed");
  if (split.signatures !== 1) return failed("malformed", "it has several signatures");
  return verifySignature(split.payload, split.signature, allowed, options);
}

/** Judges a signature that stands beside what it is over. */
export function verifySignature(
  payload: Uint8Array,
  armored: string,
  allowed: readonly AllowedSigner[],
  { at, namespace }: VerifyOptions,
): Result<GoodSignature, SignatureError> {
  if (!armored.startsWith("-----BEGIN SSH SIGNATURE-----")) {
    return failed("unsupported", "its signature is not an SSH signature (git config gpg.format ssh)");
  }
  let signature: SshSignature;
  try {
    signature = parseSshSignature(armored);
    if (signature.namespace !== namespace) {
      return failed("namespace", `its signature is for ${JSON.stringify(signature.namespace)}`);
    }
    const digest = createHash(signature.hash).update(payload).digest();
    const data = signedData(namespace, signature.hash, digest);
    if (!verifyData(signature.publicKey, signature.signature, data)) {
      return failed("bad", "its signature does not fit its content");
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return failed("malformed", `its signature cannot be used: ${error.message}`);
  }
  const key = fingerprint(signature.publicKey);
  const named = signersOf(allowed, signature.publicKey);
  if (named.length === 0) {
    return failed("unknown", `its signer's key ${key} is not among the allowed signers`);
  }
  const forThis = named.filter(({ namespaces }) =>
    namespaces === undefined || matchesPatterns(namespace, namespaces)
  );
  if (forThis.length === 0) return failed("namespace", `the key ${key} may not sign for ${namespace}`);
  const valid = forThis.find(({ validAfter, validBefore }) =>
    (validAfter === undefined || at >= validAfter) && (validBefore === undefined || at <= validBefore)
  );
  if (valid === undefined) {
    return failed("time", `the key ${key} is not valid at ${new Date(at * 1000).toISOString()}`);
  }
  return { ok: true, value: { principals: valid.principals, fingerprint: key } };
}

function failed(code: SignatureError["code"], message: string): Result<GoodSignature, SignatureError> {
  return { ok: false, error: { code, message } };
}
