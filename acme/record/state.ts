/**
 * What the provisioner says about a host, for readers without TLSA too. TXT at `_letsencrypt._tcp.HOST`:
 * one record `v=bailiwick1 state=… chain=N not-after=… next=… reason=…` and N records, each an index `I/N` (1 is
 * the leaf) followed by the base64 of the certificate's DER in strings of 255 octets.
 */
import { fromBase64, toBase64 } from "./bytes.ts";
import { cutStrings, decodeTxt, encodeTxt } from "./txt.ts";

export interface CertificateState {
  readonly state: "pending" | "refused" | "issued";
  /** The certificates, leaf first, in DER; empty where nothing is published. */
  readonly chain: readonly Uint8Array[];
  /** Milliseconds since 1970: when the leaf ends. */
  readonly notAfter?: number | undefined;
  /** Milliseconds since 1970: the next attempt, or the renewal. */
  readonly next?: number | undefined;
  /** Why, in one line. */
  readonly reason?: string | undefined;
}

/** Seconds. */
export const STATE_TTL = 60;

const VERSION = "v=bailiwick1";
const STATES: readonly string[] = ["pending", "refused", "issued"] satisfies CertificateState["state"][];
/** Let's Encrypt says up to four; a reader takes a few more and no more. */
const MAX_CHAIN = 10;

/** The rdata of all records of the RRset. */
export function encodeState(state: CertificateState): Uint8Array[] {
  const total = state.chain.length;
  const facts = [
    VERSION,
    `state=${state.state}`,
    ...(total === 0 ? [] : [`chain=${total}`]),
    ...(state.notAfter === undefined ? [] : [`not-after=${rfc3339(state.notAfter)}`]),
    ...(state.next === undefined ? [] : [`next=${rfc3339(state.next)}`]),
    ...(state.reason === undefined ? [] : [`reason=${printable(state.reason)}`]),
  ];
  return [
    encodeTxt([facts.join(" ").slice(0, 255)]),
    ...state.chain.map((der, at) => encodeTxt([`${at + 1}/${total}`, ...cutStrings(toBase64(der))])),
  ];
}

/** `undefined` where the records hold no state, or one whose chain is incomplete or damaged. */
export function decodeState(rdatas: readonly Uint8Array[]): CertificateState | undefined {
  let facts: string | undefined;
  const parts = new Map<number, { total: number; der: Uint8Array }>();
  for (const rdata of rdatas) {
    const strings = decodeTxt(rdata);
    if (strings === undefined) continue;
    if (strings[0] === VERSION || strings[0].startsWith(`${VERSION} `)) {
      // Two answers to one question are none.
      if (facts !== undefined) return undefined;
      facts = strings.join("");
      continue;
    }
    const index = /^([1-9][0-9]?)\/([1-9][0-9]?)$/.exec(strings[0]);
    if (index === null) continue;
    const der = fromBase64(strings.slice(1).join(""));
    if (der === undefined || parts.has(Number(index[1]))) return undefined;
    parts.set(Number(index[1]), { total: Number(index[2]), der });
  }
  return facts === undefined ? undefined : assemble(facts, parts);
}

function assemble(
  facts: string,
  parts: ReadonlyMap<number, { total: number; der: Uint8Array }>,
): CertificateState | undefined {
  // The reason is free text and stands last.
  const cut = facts.indexOf(" reason=");
  const reason = cut === -1 ? undefined : facts.slice(cut + " reason=".length);
  const pairs = new Map<string, string>();
  for (const word of (cut === -1 ? facts : facts.slice(0, cut)).split(" ")) {
    const equals = word.indexOf("=");
    if (equals > 0) pairs.set(word.slice(0, equals), word.slice(equals + 1));
  }
  const state = pairs.get("state");
  if (!isState(state)) return undefined;
  const total = Number(pairs.get("chain") ?? "0");
  if (!Number.isInteger(total) || total < 0 || total > MAX_CHAIN || parts.size !== total) return undefined;
  const chain: Uint8Array[] = [];
  for (let at = 1; at <= total; at++) {
    const part = parts.get(at);
    if (part === undefined || part.total !== total) return undefined;
    chain.push(part.der);
  }
  return {
    state,
    chain,
    notAfter: instant(pairs.get("not-after")),
    next: instant(pairs.get("next")),
    reason,
  };
}

function isState(text: string | undefined): text is CertificateState["state"] {
  return text !== undefined && STATES.includes(text);
}

/** RFC 3339 §5.6, in seconds, UTC. */
function rfc3339(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, "Z");
}

function instant(text: string | undefined): number | undefined {
  const value = text === undefined ? NaN : Date.parse(text);
  return Number.isNaN(value) ? undefined : value;
}

function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, " ").trim();
}
