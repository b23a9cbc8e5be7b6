/** Who we are to SSH servers: a key given as text, or keys that an agent holds. */
import { Buffer } from "node:buffer";
import { createPrivateKey, type KeyObject, sign } from "node:crypto";
// @ts-types="@types/ssh2"
import type { BaseAgent, IdentityCallback, ParsedKey, SignCallback, SigningRequestOptions } from "ssh2";
import type { Result } from "../flow.ts";
import { ConnectError } from "../protocol.ts";
import {
  algorithmOf,
  KEY_ALGORITHMS,
  loadSsh2,
  openSshKeyFile,
  parsePublicKey,
  sshFingerprint,
  type SshPublicKey,
} from "./keys.ts";

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

const RSA_HASHES = [["rsa-sha2-512", "sha512"], ["rsa-sha2-256", "sha256"]] as const;

/** An agent that is asked for signatures. */
export interface SshAgentOptions {
  /** The path of its socket; `"environment"`: what `SSH_AUTH_SOCK` names. */
  readonly socket: string;
  /** The one key of it to use, as `SHA256:…` or as a public key line; else all of them, in the agent's order. */
  readonly key?: string | undefined;
}

/** An agent as it is used. */
export interface SshAgent {
  readonly socket: string;
  /** The fingerprint of the one key to use. */
  readonly key: string | undefined;
}

/** The error is a sentence. */
export function readAgent(
  { socket, key }: SshAgentOptions,
  environment: (name: string) => string | undefined,
): Result<SshAgent, string> {
  const path = socket === "environment" ? environment("SSH_AUTH_SOCK") : socket;
  if (path === undefined || path === "") return { ok: false, error: "SSH_AUTH_SOCK names no agent" };
  if (key === undefined || /^SHA256:[A-Za-z0-9+/]{43}$/.test(key)) {
    return { ok: true, value: { socket: path, key } };
  }
  const parsed = parsePublicKey(key.trim());
  if (!parsed.ok) {
    return { ok: false, error: `the agent's key is given by its fingerprint or its public key` };
  }
  return { ok: true, value: { socket: path, key: sshFingerprint(parsed.value.blob) } };
}

/** An agent offers its keys one after another, and servers close after a few. */
const MAX_AGENT_KEYS = 16;

/**
 * Asks an agent which keys it has. What comes back is given to the package, and holds those alone that are to be
 * used.
 * @throws {ConnectError} `unconfigured` for an agent that does not answer or has no such key
 */
export async function askAgent(agent: SshAgent): Promise<BaseAgent<ParsedKey>> {
  const { BaseAgent, OpenSSHAgent } = await loadSsh2();
  const inner = new OpenSSHAgent(agent.socket);
  const all = await new Promise<readonly ParsedKey[]>((resolve, reject) => {
    inner.getIdentities((error, keys) => {
      if (error || keys === undefined) reject(error ?? new Error("no keys came"));
      else resolve(keys.flatMap((key) => "getPublicSSH" in Object(key) ? [key as ParsedKey] : []));
    });
  }).catch((error: Error) => {
    const message = `the SSH agent at ${agent.socket} does not answer: ${error.message}`;
    throw new ConnectError("unconfigured", message, { cause: error });
  });
  const usable = all.filter((key) => {
    const blob = key.getPublicSSH();
    return KEY_ALGORITHMS.includes(algorithmOf(blob) ?? "") &&
      (agent.key === undefined || sshFingerprint(blob) === agent.key);
  }).slice(0, MAX_AGENT_KEYS);
  if (usable.length === 0) {
    const which = agent.key === undefined ? "no key of a known type" : `no key ${agent.key}`;
    throw new ConnectError("unconfigured", `the SSH agent at ${agent.socket} has ${which}`);
  }
  const variants = usable.flatMap((key) => signingVariants(key));
  return new class extends BaseAgent<ParsedKey> {
    override getIdentities(callback: IdentityCallback<ParsedKey>): void {
      callback(undefined, variants);
    }
    override sign(
      key: ParsedKey,
      data: Parameters<BaseAgent["sign"]>[1],
      options: SigningRequestOptions | SignCallback,
      callback?: SignCallback,
    ): void {
      const hash = RSA_HASHES.find(([type]) => type === String(key.type))?.[1];
      const original = hash === undefined ? key : Object.getPrototypeOf(key);
      inner.sign(
        original,
        data,
        hash === undefined ? {} : { hash },
        typeof options === "function" ? options : callback,
      );
    }
  }();
}
