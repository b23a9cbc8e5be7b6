import { createHash, createPublicKey, type JsonWebKey, verify } from "node:crypto";
import { StoreError } from "../error.ts";
import { concatBytes } from "../object/bytes.ts";
import { toBase64, toBase64Url } from "./base64.ts";
import { type WireReader, wireReader, wireUint32 } from "./wire.ts";

/** `SHA256:…`, as OpenSSH prints it. */
export function fingerprint(publicKey: Uint8Array): string {
  const digest = createHash("sha256").update(publicKey).digest();
  return `SHA256:${toBase64(digest).replace(/=+$/, "")}`;
}

/** The algorithm that a public key names as its first string. @throws {StoreError} `malformed` */
export function keyTypeOf(publicKey: Uint8Array): string {
  return wireReader(publicKey).text();
}

/** The types of key that are taken: not DSA, and no certificates. */
export function isKeyType(type: string): boolean {
  return Object.hasOwn(keyTypes, type);
}

/**
 * Whether `signature` (algorithm and signature as on the wire) was made over `data` by the owner of the key.
 * @throws {StoreError} `malformed` where key or signature are not in their form, or of a kind that is not taken
 */
export function verifyData(publicKey: Uint8Array, signature: Uint8Array, data: Uint8Array): boolean {
  const key = wireReader(publicKey);
  const type = key.text();
  const check = keyTypes[type];
  if (check === undefined) throw new StoreError("malformed", `keys of type ${type} are not supported`);
  return check(key, wireReader(signature), data);
}

type Check = (key: WireReader, signature: WireReader, data: Uint8Array) => boolean;

const keyTypes: Readonly<Record<string, Check>> = {
  // RFC 8709.
  "ssh-ed25519": (key, signature, data) => {
    const jwk = ed25519(key);
    key.end();
    return checkEd25519(jwk, bareSignature(signature, "ssh-ed25519"), data);
  },
  // RFC 5656 §3.1.
  "ecdsa-sha2-nistp256": (key, signature, data) => ecdsa("nistp256", key, signature, data),
  "ecdsa-sha2-nistp384": (key, signature, data) => ecdsa("nistp384", key, signature, data),
  "ecdsa-sha2-nistp521": (key, signature, data) => ecdsa("nistp521", key, signature, data),
  // RFC 8332: the key's type says nothing of the hash. By SHA-1 (`ssh-rsa`) nothing is taken.
  "ssh-rsa": (key, signature, data) => {
    const e = key.number();
    const n = key.number();
    key.end();
    if (n.length < 256) throw new StoreError("malformed", "an RSA key of less than 2048 bits is not taken");
    const format = signature.text();
    const hash = { "rsa-sha2-256": "sha256", "rsa-sha2-512": "sha512" }[format];
    if (hash === undefined) {
      throw new StoreError("malformed", `RSA signatures of kind ${format} are not taken`);
    }
    const bytes = padded(signature.string(), n.length);
    signature.end();
    return verify(hash, data, keyOf({ kty: "RSA", n: toBase64Url(n), e: toBase64Url(e) }), bytes);
  },
  // Security tokens (OpenSSH's PROTOCOL.u2f). The one who signs must have touched the token.
  "sk-ssh-ed25519@openssh.com": (key, signature, data) => {
    const jwk = ed25519(key);
    const application = key.string();
    key.end();
    expectFormat(signature, "sk-ssh-ed25519@openssh.com");
    const bytes = signature.string();
    return checkEd25519(jwk, bytes, tokenData(application, signature, data));
  },
  "sk-ecdsa-sha2-nistp256@openssh.com": (key, signature, data) => {
    const jwk = curvePoint("nistp256", key);
    const application = key.string();
    key.end();
    expectFormat(signature, "sk-ecdsa-sha2-nistp256@openssh.com");
    const bytes = signature.string();
    return checkEcdsa("nistp256", jwk, bytes, tokenData(application, signature, data));
  },
};

/** What a token signs: the application, what it saw, and the hash of what it was given. */
function tokenData(application: Uint8Array, signature: WireReader, data: Uint8Array): Uint8Array {
  const flags = signature.byte();
  const counter = signature.uint32();
  signature.end();
  if ((flags & 1) === 0) throw new StoreError("malformed", "the security token was not touched for it");
  const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest();
  return concatBytes([sha256(application), new Uint8Array([flags]), wireUint32(counter), sha256(data)]);
}

function ed25519(key: WireReader): JsonWebKey {
  return { kty: "OKP", crv: "Ed25519", x: toBase64Url(exactly(key.string(), 32)) };
}

function checkEd25519(jwk: JsonWebKey, signature: Uint8Array, data: Uint8Array): boolean {
  return verify(null, data, keyOf(jwk), exactly(signature, 64));
}

const curves = {
  nistp256: { name: "P-256", size: 32, hash: "sha256" },
  nistp384: { name: "P-384", size: 48, hash: "sha384" },
  nistp521: { name: "P-521", size: 66, hash: "sha512" },
} as const;
type Curve = keyof typeof curves;

function ecdsa(curve: Curve, key: WireReader, signature: WireReader, data: Uint8Array): boolean {
  const jwk = curvePoint(curve, key);
  key.end();
  return checkEcdsa(curve, jwk, bareSignature(signature, `ecdsa-sha2-${curve}`), data);
}

function curvePoint(curve: Curve, key: WireReader): JsonWebKey {
  const { name, size } = curves[curve];
  if (key.text() !== curve) throw new StoreError("malformed", "the key's curve is not the one it names");
  const point = exactly(key.string(), 1 + 2 * size);
  if (point[0] !== 4) throw new StoreError("malformed", "the key's point is compressed");
  return {
    kty: "EC",
    crv: name,
    x: toBase64Url(point.subarray(1, 1 + size)),
    y: toBase64Url(point.subarray(1 + size)),
  };
}

function checkEcdsa(curve: Curve, jwk: JsonWebKey, signature: Uint8Array, data: Uint8Array): boolean {
  const { size, hash } = curves[curve];
  const numbers = wireReader(signature);
  const bytes = concatBytes([padded(numbers.number(), size), padded(numbers.number(), size)]);
  numbers.end();
  return verify(hash, data, { key: keyOf(jwk), dsaEncoding: "ieee-p1363" }, bytes);
}

/** The signature after the name of its algorithm, with nothing after it. */
function bareSignature(signature: WireReader, format: string): Uint8Array {
  expectFormat(signature, format);
  const bytes = signature.string();
  signature.end();
  return bytes;
}

function expectFormat(signature: WireReader, format: string): void {
  const actual = signature.text();
  if (actual !== format) {
    throw new StoreError("malformed", `a signature of kind ${actual} by a key of type ${format}`);
  }
}

function keyOf(jwk: JsonWebKey) {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch (cause) {
    throw new StoreError("malformed", "the key is not valid", { cause });
  }
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) {
    throw new StoreError("malformed", `a part of ${bytes.length} bytes where ${length} are needed`);
  }
  return bytes;
}

function padded(number: Uint8Array, length: number): Uint8Array {
  if (number.length > length) throw new StoreError("malformed", "a number is too large");
  if (number.length === length) return number;
  return concatBytes([new Uint8Array(length - number.length), number]);
}
