/** Signs zones with BIND's tools, so that what is compared and validated was signed by somebody else. */
import { run } from "../tools/real.ts";

export type Signing = "nsec" | "nsec3" | "opt-out";

/** What has to be installed. */
export const SIGNERS = ["dnssec-keygen", "dnssec-signzone"] as const;

const FLAGS: Readonly<Record<Signing, readonly string[]>> = {
  nsec: [],
  // No iterations (RFC 9276 §3.1); a salt all the same, so that it is not forgotten.
  nsec3: ["-3", "a1b2", "-H", "0"],
  "opt-out": ["-3", "-", "-H", "0", "-A"],
};

export interface ZoneToSign {
  readonly text: string;
  readonly signing: Signing;
}

/**
 * The zones signed, each with one key for all. Where a zone and its parent are both here, the parent gets the DS records;
 * `dsset-ORIGIN` in `dir` holds those of each.
 */
export async function signZones(
  dir: string,
  zones: Readonly<Record<string, ZoneToSign>>,
): Promise<Record<string, string>> {
  const signed: Record<string, string> = {};
  const deepestFirst = Object.entries(zones).sort(([a], [b]) => labelCount(b) - labelCount(a));
  for (const [origin, { text, signing }] of deepestFirst) {
    await run("dnssec-keygen", ["-q", "-K", dir, "-a", "ECDSAP256SHA256", "-f", "KSK", origin], { cwd: dir });
    const file = `${dir}/${origin}unsigned`;
    await Deno.writeTextFile(file, text);
    const flags = ["-q", "-S", "-z", "-g", "-P", "-K", dir, "-d", dir, "-o", origin, "-O", "full"];
    const out = `${dir}/${origin}signed`;
    await run("dnssec-signzone", [...flags, ...FLAGS[signing], "-f", out, file], { cwd: dir });
    signed[origin] = await Deno.readTextFile(out);
  }
  return Object.fromEntries(Object.keys(zones).map((origin) => [origin, signed[origin]]));
}

function labelCount(origin: string): number {
  return origin === "." ? 0 : origin.split(".").length - 1;
}
