/** The embedded authority's root and intermediate: made once, kept by the caller, and the leafs that they sign. */
import "reflect-metadata";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { owned, toBase64Url } from "../record/bytes.ts";
import { fromPem, toPem } from "../x509/pem.ts";

/** What the caller keeps: PEM texts; the keys PKCS#8 and secret (mode 0600). */
export interface LocalRootFiles {
  readonly rootCertificate: string;
  readonly rootKey: string;
  readonly intermediateCertificate: string;
  readonly intermediateKey: string;
}

export interface LocalRoot {
  readonly rootPem: string;
  readonly intermediate: X509Certificate;
  readonly key: CryptoKey;
  /** Stands for the account key's thumbprint in key authorizations (RFC 8555 §8.1). */
  readonly thumbprint: string;
}

export interface LeafToIssue {
  readonly names: readonly string[];
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
  /** Random octets. */
  readonly serial: Uint8Array;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Milliseconds. */
  readonly lifetime: number;
}

const DAY = 86_400_000;
/** Clocks of readers may be a little behind. */
const BACKDATED = 3_600_000;
const ROOT_KEY = { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" } as const;
const INTERMEDIATE_KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A new root and intermediate. `label` tells roots of several machines apart in trust stores. */
export async function generateLocalRoot(
  options: { readonly now: number; readonly random: (octets: number) => Uint8Array; readonly label: string },
): Promise<LocalRootFiles> {
  const rootKeys = await crypto.subtle.generateKey(ROOT_KEY, true, ["sign", "verify"]);
  const keys = await crypto.subtle.generateKey(INTERMEDIATE_KEY, true, ["sign", "verify"]);
  const rootName: Record<string, string[]>[] = [{ O: ["Bailiwick"] }, {
    CN: [`Bailiwick local root ${options.label}`],
  }];
  const intermediateName: Record<string, string[]>[] = [
    { O: ["Bailiwick"] },
    { CN: [`Bailiwick local intermediate ${options.label}`] },
  ];
  const signing = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const notBefore = new Date(options.now - BACKDATED);
  const root = await X509CertificateGenerator.create({
    serialNumber: serialText(options.random(16)),
    subject: rootName,
    issuer: rootName,
    notBefore,
    notAfter: new Date(options.now + 3650 * DAY),
    publicKey: rootKeys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: ROOT_KEY,
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(signing, true),
      await SubjectKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  const intermediate = await X509CertificateGenerator.create({
    serialNumber: serialText(options.random(16)),
    subject: intermediateName,
    issuer: rootName,
    notBefore,
    notAfter: new Date(options.now + 3649 * DAY),
    publicKey: keys.publicKey,
    signingKey: rootKeys.privateKey,
    signingAlgorithm: ROOT_KEY,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(signing, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(rootKeys.publicKey),
    ],
  });
  return {
    rootCertificate: toPem("CERTIFICATE", new Uint8Array(root.rawData)),
    rootKey: await privatePem(rootKeys.privateKey),
    intermediateCertificate: toPem("CERTIFICATE", new Uint8Array(intermediate.rawData)),
    intermediateKey: await privatePem(keys.privateKey),
  };
}

/** @throws {TypeError} when the texts are not what `generateLocalRoot` made */
export async function loadLocalRoot(
  files: Omit<LocalRootFiles, "rootKey">,
): Promise<LocalRoot> {
  const [certificate] = fromPem("CERTIFICATE", files.intermediateCertificate);
  const [pkcs8] = fromPem("PRIVATE KEY", files.intermediateKey);
  const [rootDer] = fromPem("CERTIFICATE", files.rootCertificate);
  if (certificate === undefined || pkcs8 === undefined || rootDer === undefined) {
    throw new TypeError("the embedded authority's files hold no certificate or no key");
  }
  const intermediate = new X509Certificate(certificate);
  const root = new X509Certificate(rootDer);
  if (!await intermediate.verify({ publicKey: root.publicKey, signatureOnly: true })) {
    throw new TypeError("the embedded authority's intermediate is not signed by its root");
  }
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, INTERMEDIATE_KEY, false, ["sign"]);
  const digest = await crypto.subtle.digest("SHA-256", intermediate.publicKey.rawData);
  return {
    rootPem: files.rootCertificate,
    intermediate,
    key,
    thumbprint: toBase64Url(new Uint8Array(digest)),
  };
}

/** The chain in DER: the leaf and the intermediate (RFC 5280 §4.2 says what must be in a leaf). */
export async function issueLeaf(root: LocalRoot, leaf: LeafToIssue): Promise<Uint8Array[]> {
  const publicKey = new PublicKey(owned(leaf.publicKey));
  const rsa = publicKey.algorithm.name.startsWith("RSA");
  // A common name holds 64 characters (RFC 5280 appendix A, ub-common-name) and is not needed beside the SAN.
  const common = leaf.names.find((name) => name.length <= 64);
  const extensions: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(
      rsa ? KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment : KeyUsageFlags.digitalSignature,
      true,
    ),
    new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
    new SubjectAlternativeNameExtension(
      leaf.names.map((value) => ({ type: "dns" as const, value })),
      // Critical where the subject is empty (RFC 5280 §4.2.1.6).
      common === undefined,
    ),
    await SubjectKeyIdentifierExtension.create(publicKey),
    await AuthorityKeyIdentifierExtension.create(root.intermediate.publicKey),
  ];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialText(leaf.serial),
    subject: common === undefined ? [] : [{ CN: [common] }],
    issuer: root.intermediate.subjectName,
    notBefore: new Date(leaf.now - BACKDATED),
    notAfter: new Date(Math.min(leaf.now + leaf.lifetime, root.intermediate.notAfter.getTime())),
    publicKey,
    signingKey: root.key,
    signingAlgorithm: INTERMEDIATE_KEY,
    extensions,
  });
  return [new Uint8Array(certificate.rawData), new Uint8Array(root.intermediate.rawData)];
}

/** Positive and without a leading zero octet (RFC 5280 §4.1.2.2). */
function serialText(random: Uint8Array): string {
  const octets = [...random];
  octets[0] = (octets[0] & 0x3f) | 0x40;
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

async function privatePem(key: CryptoKey): Promise<string> {
  return toPem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", key)));
}
