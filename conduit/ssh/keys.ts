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
function publicKeyText(key: SshPublicKey): string {
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
  const file = openSshKeyFile(generateKeyPairSync("ed25519").privateKey, comment);
  if (!file.ok) throw new Error(file.error);
  const { value: privateKey, blob } = file;
  const publicKey = `${publicKeyText({ algorithm: "ssh-ed25519", blob })} ${comment}`.trimEnd();
  return { privateKey, publicKey };
}

/** An Ed25519 or ECDSA key as a private key file of OpenSSH, unencrypted, and its public half. */
export function openSshKeyFile(
  key: KeyObject,
  comment: string,
): Result<string, string> & { readonly blob: Uint8Array } {
  const parts = keyParts(key);
  if (typeof parts === "string") return { ok: false, error: parts, blob: new Uint8Array(0) };
  const blob = Buffer.concat(parts.public);
  const check = randomBytes(4);
  const secret = Buffer.concat([check, check, ...parts.private, sshString(comment)]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7].slice(0, (8 - secret.length % 8) % 8));
  const file = Buffer.concat([
    ...[Buffer.from("openssh-key-v1\0"), sshString("none"), sshString("none"), sshString(""), uint32(1)],
    ...[sshString(blob), sshString(Buffer.concat([secret, padding]))],
  ]);
  const lines = file.toString("base64").match(/.{1,70}/g) ?? [];
  const value = [
    "-----BEGIN OPENSSH PRIVATE KEY-----",
    ...lines,
    "-----END OPENSSH PRIVATE KEY-----",
    "",
  ].join("\n");
  return { ok: true, value, blob };
}

/** What RFC 5656 §3.1, RFC 8709 §4 and draft-miller-ssh-agent §3.2 put into keys; or a sentence. */
function keyParts(key: KeyObject): { public: Uint8Array[]; private: Uint8Array[] } | string {
  const { crv = "", d, x, y } = key.export({ format: "jwk" });
  if (d === undefined || x === undefined) return "the key cannot be read";
  const [scalar, first] = [Buffer.from(d, "base64url"), Buffer.from(x, "base64url")];
  if (crv === "Ed25519") {
    const publicParts = [sshString("ssh-ed25519"), sshString(first)];
    return { public: publicParts, private: [...publicParts, sshString(Buffer.concat([scalar, first]))] };
  }
  const curve = CURVES.get(crv);
  if (curve === undefined || y === undefined) return `the curve ${crv} is not supported`;
  const point = Buffer.concat([Buffer.from([4]), first, Buffer.from(y, "base64url")]);
  const publicParts = [sshString(`ecdsa-sha2-${curve}`), sshString(curve), sshString(point)];
  return { public: publicParts, private: [...publicParts, mpint(scalar)] };
}

const CURVES: ReadonlyMap<string, string> = new Map([
  ["P-256", "nistp256"],
  ["P-384", "nistp384"],
  ["P-521", "nistp521"],
]);

/** RFC 4251 §5: no needless zeros before it, and one where it would look negative. */
function mpint(bytes: Uint8Array): Uint8Array {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? bytes.subarray(bytes.length) : bytes.subarray(start);
  return sshString(
    digits.length > 0 && digits[0] >= 0x80 ? Buffer.concat([Buffer.from([0]), digits]) : digits,
  );
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
