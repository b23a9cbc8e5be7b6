/** Zone and question files under the system's folder for temporary files, named by their content: made once. */
import { run } from "../../tools/real.ts";
import type { BenchZone } from "./zones.ts";

export type Denial = "nsec" | "nsec3";

const FOLDER = `${Deno.env.get("TMPDIR") ?? "/tmp"}/bailiwick-bench-files`;

/** The path of a file with this text. */
export async function textFile(text: string): Promise<string> {
  const path = `${FOLDER}/${await contentKey(text)}`;
  await once(path, (part) => Deno.writeTextFile(part, text));
  return path;
}

/**
 * The path of a zone's file. Signed with ECDSA P-256 (RFC 6605) by BIND's dnssec-signzone with one key for all; NSEC3
 * as RFC 9276 wants it: no further iterations, no salt.
 */
export async function zoneFile(zone: BenchZone, denial?: Denial): Promise<string> {
  const plain = await textFile(zone.text);
  if (denial === undefined) return plain;
  const nsec3 = denial === "nsec3" ? ["-3", "-", "-H", "0"] : [];
  // One line a record, valid for long, one key as KSK and ZSK, no second pass that verifies.
  const form = [...nsec3, "-O", "full", "-z", "-P", "-s", "20200101000000", "-e", "20450101000000"];
  const signed = `${plain}-${await contentKey(form.join(" "))}`;
  await once(signed, async (part) => {
    const keys = `${signed}-keys`;
    await Deno.mkdir(keys, { recursive: true });
    const { stdout } = await run("dnssec-keygen", [
      "-q",
      "-K",
      keys,
      "-a",
      "ECDSAP256SHA256",
      "-f",
      "KSK",
      zone.origin,
    ]);
    // The signer wants no set of keys beside the zone: the key's own record is part of the text it reads.
    await Deno.writeTextFile(
      `${part}.unsigned`,
      zone.text + await Deno.readTextFile(`${keys}/${stdout.trim()}.key`),
    );
    await run("dnssec-signzone", [
      ...["-q", ...form, "-d", keys, "-K", keys, "-o", zone.origin, "-f", part, `${part}.unsigned`],
      `${keys}/${stdout.trim()}`,
    ]);
    await Deno.remove(`${part}.unsigned`);
    await Deno.remove(keys, { recursive: true });
  });
  return signed;
}

/** Makes a file under another name first: one that is there is whole. */
async function once(path: string, make: (part: string) => Promise<void>): Promise<void> {
  try {
    await Deno.stat(path);
    return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await Deno.mkdir(FOLDER, { recursive: true });
  const part = `${path}.${crypto.randomUUID()}`;
  await make(part);
  await Deno.rename(part, path);
}

async function contentKey(text: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return digest.toHex().slice(0, 24);
}
