import { StoreError } from "../error.ts";
import { concatBytes, equalBytes, utf8 } from "../object/bytes.ts";
import { fromBase64, toBase64 } from "./base64.ts";
import { wireReader, wireString, wireUint32 } from "./wire.ts";

/** A signature in the form of OpenSSH (PROTOCOL.sshsig). */
export interface SshSignature {
  /** The signer's public key as it goes over the wire. */
  readonly publicKey: Uint8Array;
  /** What the signature is for, so that one made for mail does not pass for one on a commit. */
  readonly namespace: string;
  readonly hash: "sha256" | "sha512";
  /** Algorithm and signature as they go over the wire (RFC 4253 §6.6). */
  readonly signature: Uint8Array;
}

const magic = utf8("SSHSIG");
const begin = "-----BEGIN SSH SIGNATURE-----";
const end = "-----END SSH SIGNATURE-----";

/** @throws {StoreError} `malformed` */
export function parseSshSignature(armored: string): SshSignature {
  const lines = armored.replaceAll("\r", "").trimEnd().split("\n");
  const bytes = lines[0] === begin && lines.at(-1) === end
    ? fromBase64(lines.slice(1, -1).join("").replace(/[ \t]/g, ""))
    : undefined;
  if (bytes === undefined) throw new StoreError("malformed", "not an SSH signature in base64");
  const reader = wireReader(bytes);
  if (!equalBytes(reader.take(magic.length), magic)) {
    throw new StoreError("malformed", "it does not begin with SSHSIG");
  }
  const version = reader.uint32();
  if (version !== 1) throw new StoreError("malformed", `version ${version} is unknown`);
  const publicKey = reader.string();
  const namespace = reader.text();
  reader.string(); // Reserved: it must be ignored.
  const hash = reader.text();
  if (hash !== "sha256" && hash !== "sha512") throw new StoreError("malformed", `hash ${hash} is unknown`);
  if (namespace === "") throw new StoreError("malformed", "its namespace is empty");
  const signature = reader.string();
  reader.end();
  return { publicKey, namespace, hash, signature };
}

/** The inverse, ending in a line break. */
export function formatSshSignature({ publicKey, namespace, hash, signature }: SshSignature): string {
  const bytes = concatBytes([
    magic,
    wireUint32(1),
    ...[publicKey, namespace, "", hash, signature].map(wireString),
  ]);
  return [begin, ...(toBase64(bytes).match(/.{1,70}/g) ?? []), end, ""].join("\n");
}

/** What is really signed: not the message, but its hash with namespace and algorithm. */
export function signedData(namespace: string, hash: SshSignature["hash"], digest: Uint8Array): Uint8Array {
  return concatBytes([magic, ...[namespace, "", hash, digest].map(wireString)]);
}
