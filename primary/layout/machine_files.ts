import { createHash } from "node:crypto";
import { type Name, nameToWire } from "../../dns/mod.ts";

/**
 * Where branch `machine` keeps the records of an owner name: a folder a zone, below it `HH/OWNER`. HH is the first
 * two hexadecimal digits of the SHA-1 of the owner name as text (`printf %s www.example.test. | sha1sum`), so no
 * folder grows without bound; OWNER is relative to the apex, percent-encoded, or that SHA-1 where it is too long.
 */
export function machinePath(zone: Name, owner: Name): string {
  const hash = sha1(owner);
  const encoded = encodeName(owner, zone);
  return `${machineFolder(zone)}/${hash.slice(0, 2)}/${encoded.length > LONGEST ? hash : encoded}`;
}

/** The folder of a zone on branch `machine`, without a slash. The root's is `@`, which no other zone can have. */
export function machineFolder(zone: Name): string {
  const encoded = encodeName(zone, ROOT);
  return encoded.length > LONGEST ? sha1(zone) : encoded;
}

/** Git's own trouble with long names starts at 255 bytes; the contract draws the line here. */
const LONGEST = 200;
const ROOT = "." as Name;

/** `@` for the apex; label octets other than a-z 0-9 - _ as %XX, so that no two names share a path. */
function encodeName(name: Name, apex: Name): string {
  if (name === apex) return "@";
  const wire = nameToWire(name);
  const labels: string[] = [];
  const apexLength = nameToWire(apex).length;
  for (let at = 0; at < wire.length - apexLength;) {
    const length = wire[at] ?? 0;
    let label = "";
    for (const octet of wire.subarray(at + 1, at + 1 + length)) label += encodeOctet(octet);
    labels.push(label);
    at += length + 1;
  }
  return labels.join(".");
}

function encodeOctet(octet: number): string {
  const plain = (octet >= 0x61 && octet <= 0x7a) || (octet >= 0x30 && octet <= 0x39) || octet === 0x2d ||
    octet === 0x5f;
  return plain ? String.fromCharCode(octet) : `%${octet.toString(16).toUpperCase().padStart(2, "0")}`;
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}
