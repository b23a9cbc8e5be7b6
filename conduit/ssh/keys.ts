import { Buffer } from "node:buffer";
import { createHash, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
// @ts-types="@types/ssh2"
import type * as Ssh2 from "ssh2";
import type { Result } from "../flow.ts";

/** A public key as it goes over the wire (RFC 4253 §6.6), with the algorithm that its first field names. */
export interface SshPublicKey {
  readonly algorithm: string;
  readonly blob: Uint8Array;
}

export interface SshKeyPair {
  /** OpenSSH private key file, unencrypted. */
  readonly privateKey: string;
  /** One line `ssh-ed25519 AAAA… comment`, without its line end. */
  readonly publicKey: string;
}

/** The public key algorithms that are taken, of a host or of a person. Signatures by SHA-1 are not. */
export const KEY_ALGORITHMS: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "ssh-rsa",
];

/** `SHA256:…` as OpenSSH prints it: base64 without padding. */
export function sshFingerprint(blob: Uint8Array): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/**
 * A line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT); the port is written unless it is 22.
 */
export function knownHostsLine(host: string, port: number, key: SshPublicKey): string {
  const name = port === 22 && !host.includes(":") ? host : `[${host}]:${port}`;
  return `${name} ${publicKeyText(key)}`;
}

/** `ssh-ed25519 AAAA…` */
export function publicKeyText(key: SshPublicKey): string {
  return `${key.algorithm} ${Buffer.from(key.blob).toString("base64")}`;
}

/** Reads `ALGORITHM BASE64 [comment]`; the algorithm must be the one inside. The error is a sentence. */
export function parsePublicKey(text: string): Result<SshPublicKey & { readonly comment: string }, string> {
  const [, algorithm, base64, comment = ""] = /^(\S+)[ \t]+(\S+)(?:[ \t]+(.*?))?[ \t]*$/.exec(text) ?? [];
  if (algorithm === undefined || base64 === undefined) return { ok: false, error: "not a public key" };
  if (!KEY_ALGORITHMS.includes(algorithm)) {
    return { ok: false, error: `key type ${algorithm} is not supported` };
  }
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64)) {
    return { ok: false, error: "the key is not base64" };
  }
  const blob = new Uint8Array(Buffer.from(base64, "base64"));
  if (algorithmOf(blob) !== algorithm) {
    return { ok: false, error: `the key inside is not of type ${algorithm}` };
  }
  return { ok: true, value: { algorithm, blob, comment } };
}

/**
 * A new Ed25519 key in OpenSSH's formats (PROTOCOL.key). ssh2's own generator now and then writes one that
 * nobody can read.
 */
export function generateSshKey(comment: string): SshKeyPair {
  if (/[\r\n]/.test(comment)) throw new RangeError("a key's comment is one line");
  const key = generateKeyPairSync("ed25519").privateKey;
  const blob = ed25519Parts(key).blob;
  const publicKey = `${publicKeyText({ algorithm: "ssh-ed25519", blob })} ${comment}`.trimEnd();
  return { privateKey: openSshKeyFile(key, comment), publicKey };
}

/** An Ed25519 key as a private key file of OpenSSH, unencrypted. */
export function openSshKeyFile(key: KeyObject, comment: string): string {
  const { seed, point, blob } = ed25519Parts(key);
  const check = randomBytes(4);
  const secret = Buffer.concat([
    check,
    check,
    blob,
    sshString(Buffer.concat([seed, point])),
    sshString(comment),
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - secret.length % 8) % 8));
  const file = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), sshString("none"), sshString("none"), sshString(""), uint32(1)],
    ...[sshString(blob), sshString(Buffer.concat([secret, padding]))],
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  return [
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    ...lines,
    "-----END OPENSSH PRIVATE KEY-----",
    "",
  ].join("\n");
}

function ed25519Parts(key: KeyObject): { seed: Buffer; point: Buffer; blob: Buffer } {
  const { d, x } = key.export({ format: "jwk" });
  if (d === undefined || x === undefined) throw new Error("the runtime gave no Ed25519 key");
  const seed = Buffer.from(d, "base64url");
  const point = Buffer.from(x, "base64url");
  return { seed, point, blob: Buffer.concat([sshString("ssh-ed25519"), sshString(point)]) };
}

/** RFC 4251 §5: a length of four bytes, and that many. */
function sshString(content: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(content);
  return Buffer.concat([uint32(bytes.length), bytes]);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Loaded when SSH is used, so that those who speak TCP alone do not pay for it. */
export async function loadSsh2(): Promise<typeof Ssh2> {
  // @ts-types="@types/ssh2"
  return await import("ssh2");
}

/** The first string of a key blob (RFC 4251 §5), or `undefined` where there is none. */
export function algorithmOf(blob: Uint8Array): string | undefined {
  if (blob.length < 4) return undefined;
  const length = new DataView(blob.buffer, blob.byteOffset).getUint32(0);
  if (length > 64 || 4 + length >= blob.length) return undefined;
  return new TextDecoder("latin1").decode(blob.subarray(4, 4 + length));
}
