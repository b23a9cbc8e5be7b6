/** Names in requests and certificates: host names in lower case without a final dot, perhaps with `*` in front. */
import { type Name, nameFrom } from "../../dns/mod.ts";

const LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A dNSName folded to lower case; `undefined` where it is no host name in LDH form (RFC 5890 §2.3.1) with two labels
 * or more and at most one wildcard, alone in the first label (RFC 9525 §6.3).
 */
export function hostName(text: string): string | undefined {
  const folded = text.toLowerCase();
  if (folded.length > 253) return undefined;
  const labels = (folded.startsWith("*.") ? folded.slice(2) : folded).split(".");
  return labels.length >= 2 && labels.every((label) => LABEL.test(label)) ? folded : undefined;
}

/** The domain that is proved for a name: a wildcard's base (RFC 8555 §7.1.3). */
export function baseOf(name: string): string {
  return name.startsWith("*.") ? name.slice(2) : name;
}

/** The text of a name in certificates: without the final dot. */
export function textOf(name: Name): string {
  return name.slice(0, -1);
}

/** @throws {RangeError} for what `hostName` did not pass */
export function nameOf(text: string): Name {
  return nameFrom(`${text}.`);
}

export function sameNames(a: readonly string[], b: readonly string[]): boolean {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((name) => set.has(name));
}
