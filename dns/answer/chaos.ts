/** Class CHAOS: what a server tells of itself (RFC 4892). */
import type { NameScan } from "../image/scan.ts";
import type { AnswerSettings } from "./context.ts";
import { draft } from "./draft.ts";

/** Answers TXT (or ANY) for the names that are configured; false: REFUSED. */
export function answerChaos(name: NameScan, type: number, settings: AnswerSettings): boolean {
  if (type !== TYPE_TXT && type !== TYPE_ANY) return false;
  const text = is(name, VERSION_BIND) || is(name, VERSION_SERVER)
    ? settings.version
    : is(name, ID_SERVER) || is(name, HOSTNAME_BIND)
    ? settings.id
    : "";
  if (text === "") return false;
  // One character-string (RFC 1035 §3.3.14); what is longer is cut.
  const { written } = encoder.encodeInto(text, octets);
  draft.authoritative = true;
  if (draft.at + 13 + written > draft.end) {
    draft.truncated = true;
    return true;
  }
  const message = draft.message;
  let at = draft.at;
  for (let i = 0; i < HEAD.length; i++) message[at++] = HEAD[i];
  message[at++] = written + 1 >>> 8;
  message[at++] = written + 1;
  message[at++] = written;
  for (let i = 0; i < written; i++) message[at++] = octets[i];
  draft.at = at;
  draft.answers++;
  return true;
}

function is(name: NameScan, wire: Uint8Array): boolean {
  if (name.length !== wire.length) return false;
  for (let i = 0; i < wire.length; i++) if (name.lower[i] !== wire[i]) return false;
  return true;
}

function wireOf(first: string, second: string): Uint8Array {
  const label = (text: string) => [text.length, ...encoder.encode(text)];
  return Uint8Array.of(...label(first), ...label(second), 0);
}

const TYPE_TXT = 16;
const TYPE_ANY = 255;
/** The question's name, TXT, CH, TTL 0. */
const HEAD = Uint8Array.of(0xc0, 12, 0, TYPE_TXT, 0, 3, 0, 0, 0, 0);

const encoder = new TextEncoder();
const octets = new Uint8Array(255);
const VERSION_BIND = wireOf("version", "bind");
const VERSION_SERVER = wireOf("version", "server");
const ID_SERVER = wireOf("id", "server");
const HOSTNAME_BIND = wireOf("hostname", "bind");
