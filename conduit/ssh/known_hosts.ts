import { Buffer } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { parsePublicKey, type SshPublicKey } from "./keys.ts";

/** What a known_hosts file says of its hosts. */
export interface KnownHosts {
  readonly lines: readonly KnownHostsEntry[];
  /** Lines that could not be used; the others stand. */
  readonly faults: readonly KnownHostsFault[];
}

export interface KnownHostsEntry {
  /** From 1. */
  readonly line: number;
  readonly marker: "trusted" | "revoked" | "cert-authority";
  readonly key: SshPublicKey;
  matches(name: string): boolean;
}

export interface KnownHostsFault {
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

/** What is known of one host. */
export interface HostKnowledge {
  readonly trusted: readonly SshPublicKey[];
  readonly revoked: readonly SshPublicKey[];
  /** Lines that trust whatever keys an authority signs. */
  readonly authorities: number;
}

const MAX_LINE = 16 * 1024;
const MAX_LINES = 50_000;

/**
 * Reads a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): plain and hashed names, wildcards, negation,
 * ports, markers.
 */
export function parseKnownHosts(text: string): KnownHosts {
  const lines: KnownHostsEntry[] = [];
  const faults: KnownHostsFault[] = [];
  const all = text.split("\n");
  if (all.length > MAX_LINES) {
    faults.push({ line: MAX_LINES + 1, message: `more than ${MAX_LINES} lines; the rest is not read` });
  }
  all.slice(0, MAX_LINES).forEach((raw, index) => {
    const line = index + 1;
    const content = raw.trim();
    if (content === "" || content.startsWith("#")) return;
    const entry = content.length > MAX_LINE ? `longer than ${MAX_LINE} characters` : parseLine(content, line);
    if (typeof entry === "string") faults.push({ line, message: entry });
    else lines.push(entry);
  });
  return { lines, faults };
}

/**
 * What the file says of a host at a port. A line without a port is for port 22 alone: `[host]:2222` names
 * another. A revoked key is revoked whatever else is said of it.
 */
export function knowledgeOf(known: KnownHosts, host: string, port: number): HostKnowledge {
  const name = port === 22 ? host.toLowerCase() : `[${host.toLowerCase()}]:${port}`;
  const matching = known.lines.filter((entry) => entry.matches(name));
  const keys = (marker: KnownHostsEntry["marker"]) =>
    matching.filter((entry) => entry.marker === marker).map(({ key }) => key);
  return {
    trusted: keys("trusted"),
    revoked: keys("revoked"),
    authorities: keys("cert-authority").length,
  };
}

/** The entry, or a sentence that says what is wrong. */
function parseLine(content: string, line: number): KnownHostsEntry | string {
  const [, mark, names, rest] = /^(?:(@\S+)\s+)?(\S+)\s+(.*)$/.exec(content) ?? [];
  if (names === undefined || rest === undefined) return "names and a key are wanted";
  const marker = mark === undefined
    ? "trusted"
    : mark === "@revoked"
    ? "revoked"
    : mark === "@cert-authority"
    ? "cert-authority"
    : undefined;
  if (marker === undefined) return `the marker ${mark} is not known`;
  const key = parsePublicKey(rest);
  if (!key.ok) return key.error;
  const matches = names.startsWith("|") ? hashedMatcher(names) : patternsMatcher(names);
  if (typeof matches === "string") return matches;
  const { algorithm, blob } = key.value;
  return { line, marker, key: { algorithm, blob }, matches };
}

/** `|1|SALT|HASH`: HMAC-SHA1 of the name, keyed with the salt. One name a line. */
function hashedMatcher(names: string): KnownHostsEntry["matches"] | string {
  const [, salt, hash] = /^\|1\|([A-Za-z0-9+/]+={0,2})\|([A-Za-z0-9+/]+={0,2})$/.exec(names) ?? [];
  if (salt === undefined || hash === undefined) return "a hashed name is |1|salt|hash";
  const wanted = Buffer.from(hash, "base64");
  if (wanted.length !== 20) return "a hashed name has 20 bytes";
  const secret = Buffer.from(salt, "base64");
  return (name) => timingSafeEqual(createHmac("sha1", secret).update(name).digest(), wanted);
}

/** Patterns with `*` and `?`, joined by commas; one that begins with `!` and matches excludes the host. */
function patternsMatcher(names: string): KnownHostsEntry["matches"] {
  const patterns = names.toLowerCase().split(",").filter((pattern) => pattern !== "");
  const wanted = patterns.filter((pattern) => !pattern.startsWith("!"));
  const unwanted = patterns.filter((pattern) => pattern.startsWith("!")).map((pattern) => pattern.slice(1));
  return (name) => {
    const named = (pattern: string) => wildcardMatches(pattern, name);
    return wanted.some(named) && !unwanted.some(named);
  };
}

/** Without backtracking beyond the last star, so that a pattern costs at most its length times the name's. */
function wildcardMatches(pattern: string, name: string): boolean {
  let p = 0;
  let star = -1;
  let resume = 0;
  for (let n = 0; n < name.length;) {
    if (pattern[p] === "*") {
      star = p++;
      resume = n;
    } else if (p < pattern.length && (pattern[p] === "?" || pattern[p] === name[n])) {
      p++;
      n++;
    } else if (star >= 0) {
      p = star + 1;
      n = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
