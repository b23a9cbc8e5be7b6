/** PEM (RFC 7468): the text form of keys, requests and certificates in files. */
import { fromBase64, toBase64 } from "../record/bytes.ts";

export type PemLabel = "CERTIFICATE" | "CERTIFICATE REQUEST" | "PRIVATE KEY";

export function toPem(label: PemLabel, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** Every block of that label, in order; text between blocks is explanatory (RFC 7468 §2). */
export function fromPem(label: PemLabel, text: string): Uint8Array<ArrayBuffer>[] {
  const blocks: Uint8Array<ArrayBuffer>[] = [];
  const pattern = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`, "g");
  for (const match of text.matchAll(pattern)) {
    const der = fromBase64(match[1].replace(/\s+/g, ""));
    if (der !== undefined) blocks.push(der);
  }
  return blocks;
}
