/** Who we are to SSH servers: a key given as text, or keys that an agent holds. */
import { createPrivateKey, type KeyObject } from "node:crypto";
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
  const plain = /-----BEGIN (ENCRYPTED )?PRIVATE KEY-----/.test(text)
    ? fromPkcs8(text, passphrase)
    : { ok: true, value: text } as const;
  if (!plain.ok) return plain;
  const parsed = utils.parseKey(plain.value, passphrase);
  if (parsed instanceof Error) {
    const locked = passphrase === undefined && /passphrase/i.test(parsed.message);
    return {
      ok: false,
      error: locked ? "it is encrypted, and no passphrase is configured" : parsed.message,
    };
  }
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  if (!key.isPrivateKey()) return { ok: false, error: "it is a public key" };
  const blob = new Uint8Array(key.getPublicSSH());
  const algorithm = algorithmOf(blob) ?? key.type;
  if (!KEY_ALGORITHMS.includes(algorithm)) {
    return { ok: false, error: `key type ${algorithm} is not supported` };
  }
  return { ok: true, value: { key, publicKey: { algorithm, blob } } };
}

/** The public half of a private key. The error is a sentence. */
export async function publicKeyOf(
  privateKey: string,
  passphrase?: string,
): Promise<Result<SshPublicKey, string>> {
  const identity = await readIdentity(privateKey, passphrase);
  return identity.ok ? { ok: true, value: identity.value.publicKey } : identity;
}

/** The package reads the older forms and OpenSSH's, so PKCS#8 is turned into one of those. */
function fromPkcs8(text: string, passphrase: string | undefined): Result<string, string> {
  const encrypted = text.includes("BEGIN ENCRYPTED PRIVATE KEY");
  if (encrypted && passphrase === undefined) {
    return { ok: false, error: "it is encrypted, and no passphrase is configured" };
  }
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
      return { ok: true, value: String(key.export({ type: "sec1", format: "pem" })) };
    case "ed25519":
      return { ok: true, value: openSshKeyFile(key, "") };
    default:
      return { ok: false, error: `key type ${key.asymmetricKeyType} is not supported` };
  }
}

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
      if (error || keys === undefined) {
        const message = `the SSH agent at ${agent.socket} does not answer: ${
          error?.message ?? "no keys came"
        }`;
        reject(new ConnectError("unconfigured", message, { cause: error }));
      } else resolve(keys.flatMap((key) => "getPublicSSH" in Object(key) ? [key as ParsedKey] : []));
    });
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
  return new class extends BaseAgent<ParsedKey> {
    override getIdentities(callback: IdentityCallback<ParsedKey>): void {
      callback(undefined, usable);
    }
    override sign(
      key: ParsedKey,
      data: Parameters<BaseAgent["sign"]>[1],
      options: SigningRequestOptions | SignCallback,
      callback?: SignCallback,
    ): void {
      if (typeof options === "function") inner.sign(key, data, options);
      else inner.sign(key, data, options, callback);
    }
  }();
}
