/**
 * What follows the question in a query, and the OPT record of its response (RFC 6891) with all options that an
 * authoritative server has something to say to. Hot path: nothing is allocated; the state of one query is in the
 * `QueryExtra` that its caller keeps. `tests/bench/answers` shows what it costs.
 */
import type { AnswerContext } from "../answer/context.ts";
import { CLIENT_COOKIE_OCTETS, COOKIE, judgeCookie, makeCookie, SERVER_COOKIE_OCTETS } from "./cookie.ts";

/** What a query asks for besides its question. All but `tsig` is of its OPT record, and is false or 0 without one. */
export interface QueryExtra {
  /** There is a well-formed OPT record: the response has one too (RFC 6891 §6.1.1). */
  present: boolean;
  tsig: boolean;
  udpSize: number;
  version: number;
  dnssecOk: boolean;
  /** Where the data of the (first) COOKIE option stands in the query, and its octets; -1 and 0 without one. */
  cookieAt: number;
  cookieOctets: number;
  /** The 24 octets of the cookie to send, if `cookieAt` is not -1 and `cookieMade`. */
  readonly cookie: Uint8Array;
  cookieMade: boolean;
  /** RFC 5001 */
  nsid: boolean;
  /** RFC 7314 */
  expire: boolean;
  /** RFC 9660 */
  zoneVersion: boolean;
  /** RFC 7828; never over UDP, where it means nothing (§3.3.2). */
  keepalive: boolean;
  /** RFC 7830 */
  padding: boolean;
}

/** What the answer has to tell in OPT, if asked: -1 for what there is nothing to tell of. */
export interface OptFacts {
  /** The whole response code of 12 bits. */
  rcode: number;
  /** SOA serial of the zone that the question's name is in; -1 when none of ours is authoritative for it. */
  serial: number;
  /** SOA expire of the zone, in answers to SOA, AXFR and IXFR at its apex (RFC 7314 §3.2, §4). */
  expire: number;
  /** Labels of the zone's name, the root's being 0 (RFC 9660 §2). */
  zoneLabels: number;
  /** An extended error's code (RFC 8914). */
  ede: number;
}

export function createQueryExtra(): QueryExtra {
  return {
    present: false,
    tsig: false,
    udpSize: 0,
    version: 0,
    dnssecOk: false,
    cookieAt: -1,
    cookieOctets: 0,
    cookie: new Uint8Array(CLIENT_COOKIE_OCTETS + SERVER_COOKIE_OCTETS),
    cookieMade: false,
    nsid: false,
    expire: false,
    zoneVersion: false,
    keepalive: false,
    padding: false,
  };
}

/** Makes `extra` what it is for a query that ends with its question. */
export function clearExtra(extra: QueryExtra, context: AnswerContext): void {
  extra.present = false;
  extra.tsig = false;
  extra.cookieAt = -1;
  context.cookieValid = false;
}

/**
 * Reads all records from `from` on into `extra`, and sets `context.cookieValid`. False for what is malformed and gets
 * FORMERR: a record cut short, a second OPT, an OPT with an owner other than the root or with options that do not fit
 * (RFC 6891 §6.1.1), octets behind the last record, an option with content that it must not have. `extra.present` then
 * says whether that FORMERR has OPT. Records in the answer and authority sections of a query mean nothing and are passed
 * over, as are unknown options (RFC 6891 §6.1.2).
 */
export function readExtra(
  extra: QueryExtra,
  query: Uint8Array,
  from: number,
  length: number,
  context: AnswerContext,
): boolean {
  clearExtra(extra, context);
  const before = (query[6] << 8 | query[7]) + (query[8] << 8 | query[9]);
  const records = before + (query[10] << 8 | query[11]);
  let at = from;
  let optAt = 0;
  let optEnd = 0;
  for (let i = 0; i < records; i++) {
    const owner = at;
    at = skipName(query, at, length);
    if (at < 0 || at + 10 > length) return malformed(extra);
    const type = query[at] << 8 | query[at + 1];
    const rdata = at + 10;
    const next = rdata + (query[at + 8] << 8 | query[at + 9]);
    if (next > length) return malformed(extra);
    if (i >= before && type === TYPE_OPT) {
      if (extra.present || query[owner] !== 0) return malformed(extra);
      extra.present = true;
      extra.udpSize = query[at + 2] << 8 | query[at + 3];
      extra.version = query[at + 5];
      extra.dnssecOk = (query[at + 6] & 0x80) !== 0;
      optAt = rdata;
      optEnd = next;
    } else if (i >= before && type === TYPE_TSIG) {
      extra.tsig = true;
    }
    at = next;
  }
  if (at !== length) return malformed(extra);
  return !extra.present || readOptions(extra, query, optAt, optEnd, context);
}

/**
 * The most octets that a response to the query may have: over UDP what the client takes, at least 512 (RFC 6891 §6.2.5)
 * and at most what we offer.
 */
export function responseLimit(extra: QueryExtra, context: AnswerContext): number {
  if (context.transport !== "udp") return 0xffff;
  if (!extra.present || extra.udpSize < 512) return 512;
  const most = context.settings.udpPayload;
  return extra.udpSize < most ? extra.udpSize : most;
}

/** The most octets that `putOpt` must have room for; 0 without OPT. Padding and extended errors take what is left. */
export function reserveOpt(extra: QueryExtra, context: AnswerContext): number {
  if (!extra.present) return 0;
  let octets = OPT_OCTETS;
  if (extra.version !== 0) return octets;
  if (extra.nsid) octets += OPTION_HEAD + context.settings.nsid.length;
  if (extra.cookieMade) octets += OPTION_HEAD + extra.cookie.length;
  if (extra.expire) octets += OPTION_HEAD + 4;
  if (extra.zoneVersion) octets += OPTION_HEAD + 6;
  if (extra.keepalive) octets += OPTION_HEAD + 2;
  return octets;
}

/** Puts OPT at `at` of `out` and gives where it ends; puts nothing if the query had none. */
export function putOpt(
  out: Uint8Array,
  at: number,
  extra: QueryExtra,
  context: AnswerContext,
  facts: OptFacts,
): number {
  if (!extra.present) return at;
  const { settings } = context;
  out[at] = 0;
  out[at + 1] = 0;
  out[at + 2] = TYPE_OPT;
  out[at + 3] = settings.udpPayload >>> 8;
  out[at + 4] = settings.udpPayload;
  out[at + 5] = facts.rcode >>> 4;
  // The version that we know, also beside BADVERS (RFC 6891 §6.1.3).
  out[at + 6] = 0;
  // DO is copied (RFC 3225 §3), the reserved flags are not (RFC 6891 §6.1.4).
  out[at + 7] = extra.dnssecOk ? 0x80 : 0;
  out[at + 8] = 0;
  const start = at + OPT_OCTETS;
  // Options of a version that we do not know mean nothing to us.
  const end = extra.version === 0 ? putOptions(out, start, extra, context, facts) : start;
  out[at + 9] = end - start >>> 8;
  out[at + 10] = end - start;
  return end;
}

function putOptions(
  out: Uint8Array,
  start: number,
  extra: QueryExtra,
  context: AnswerContext,
  facts: OptFacts,
): number {
  const { settings } = context;
  let at = start;
  if (extra.nsid && settings.nsid.length > 0) {
    const { nsid } = settings;
    at = putHead(out, at, OPTION.nsid, nsid.length);
    for (let i = 0; i < nsid.length; i++) out[at++] = nsid[i];
  }
  if (extra.cookieMade) {
    const { cookie } = extra;
    at = putHead(out, at, OPTION.cookie, cookie.length);
    for (let i = 0; i < cookie.length; i++) out[at++] = cookie[i];
  }
  if (extra.expire && facts.expire >= 0) {
    at = putHead(out, at, OPTION.expire, 4);
    at = putUint32(out, at, facts.expire);
  }
  if (extra.zoneVersion && facts.serial >= 0 && facts.zoneLabels >= 0) {
    at = putHead(out, at, OPTION.zoneVersion, 6);
    out[at++] = facts.zoneLabels;
    out[at++] = ZONE_VERSION_SERIAL;
    at = putUint32(out, at, facts.serial);
  }
  if (extra.keepalive && settings.keepalive > 0) {
    at = putHead(out, at, OPTION.keepalive, 2);
    out[at++] = settings.keepalive >>> 8;
    out[at++] = settings.keepalive;
  }
  let limit = responseLimit(extra, context);
  if (limit > out.length) limit = out.length;
  // A hint for people gives way to what was asked for (RFC 8914 §3).
  if (facts.ede >= 0 && at + OPTION_HEAD + 2 <= limit) {
    at = putHead(out, at, OPTION.extendedError, 2);
    out[at++] = facts.ede >>> 8;
    out[at++] = facts.ede;
  }
  // Only where nobody can read it (RFC 7830 §6): elsewhere it hides nothing and amplifies.
  if (extra.padding && context.transport === "tls") at = putPadding(out, at, limit);
  return at;
}

/** Up to the next multiple of 468 octets (RFC 8467 §4.1). */
function putPadding(out: Uint8Array, at: number, limit: number): number {
  const head = at + OPTION_HEAD;
  let end = Math.ceil(head / PADDED_BLOCK) * PADDED_BLOCK;
  if (end > limit) end = limit;
  if (end < head) return at;
  putHead(out, at, OPTION.padding, end - head);
  for (let i = head; i < end; i++) out[i] = 0;
  return end;
}

/** Pairs of code and length, each with as many octets as it says (RFC 6891 §6.1.2). */
function readOptions(
  extra: QueryExtra,
  query: Uint8Array,
  from: number,
  end: number,
  context: AnswerContext,
): boolean {
  extra.cookieOctets = 0;
  extra.cookieMade =
    extra.nsid =
    extra.expire =
    extra.zoneVersion =
    extra.keepalive =
    extra.padding =
      false;
  // BADVERS comes before any look at what another version may have put there (RFC 6891 §6.1.3).
  if (from === end || extra.version !== 0) return true;
  let sound = true;
  let at = from;
  while (at < end) {
    if (at + OPTION_HEAD > end) return malformed(extra);
    const code = query[at] << 8 | query[at + 1];
    const octets = query[at + 2] << 8 | query[at + 3];
    const data = at + OPTION_HEAD;
    at = data + octets;
    if (at > end) return malformed(extra);
    if (code === OPTION.cookie) {
      // Only the first one counts (RFC 7873 §5.2).
      if (extra.cookieAt >= 0) continue;
      extra.cookieAt = data;
      extra.cookieOctets = octets;
      // A client cookie, alone or with a server cookie of 8 to 32 octets (RFC 7873 §5.2.2).
      if (octets !== 8 && (octets < 16 || octets > 40)) sound = false;
    } else if (code === OPTION.nsid) {
      extra.nsid = true;
    } else if (code === OPTION.expire) {
      extra.expire = true;
    } else if (code === OPTION.zoneVersion) {
      // Empty in queries (RFC 9660 §3.1).
      if (octets > 0) sound = false;
      extra.zoneVersion = true;
    } else if (code === OPTION.keepalive) {
      // Ignored over UDP (RFC 7828 §3.2.2), empty in queries over TCP (§3.2.1).
      if (context.transport === "udp") continue;
      if (octets > 0) sound = false;
      extra.keepalive = true;
    } else if (code === OPTION.padding) {
      extra.padding = true;
    }
  }
  if (sound && extra.cookieAt >= 0) prepareCookie(extra, query, context);
  return sound;
}

/** Sees what the client's cookie is worth and has the one ready that it gets. */
function prepareCookie(extra: QueryExtra, query: Uint8Array, context: AnswerContext): void {
  const { address, addressOctets, now } = context;
  const { cookieSecrets } = context.settings;
  if (cookieSecrets.length === 0 || addressOctets === 0) return;
  const { cookieAt, cookie } = extra;
  const verdict = judgeCookie(
    query,
    cookieAt,
    extra.cookieOctets - CLIENT_COOKIE_OCTETS,
    address,
    addressOctets,
    cookieSecrets,
    now,
  );
  context.cookieValid = verdict !== COOKIE.invalid;
  extra.cookieMade = true;
  const kept = verdict === COOKIE.valid ? cookie.length : CLIENT_COOKIE_OCTETS;
  for (let i = 0; i < kept; i++) cookie[i] = query[cookieAt + i];
  if (verdict === COOKIE.valid) return;
  makeCookie(cookie, 0, address, addressOctets, cookieSecrets[0], now, cookie, CLIENT_COOKIE_OCTETS);
}

/** A message that cannot be read to its end has no OPT that could be trusted. */
function malformed(extra: QueryExtra): false {
  extra.present = false;
  return false;
}

function putHead(out: Uint8Array, at: number, code: number, octets: number): number {
  out[at] = 0;
  out[at + 1] = code;
  out[at + 2] = octets >>> 8;
  out[at + 3] = octets;
  return at + OPTION_HEAD;
}

function putUint32(out: Uint8Array, at: number, value: number): number {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return at + 4;
}

function skipName(query: Uint8Array, from: number, length: number): number {
  let at = from;
  while (at < length) {
    const size = query[at];
    if (size === 0) return at + 1;
    if (size >= 0xc0) return at + 2;
    if (size > 63 || at - from > 255) return -1;
    at += 1 + size;
  }
  return -1;
}

const TYPE_OPT = 41;
const TYPE_TSIG = 250;

/** All below 256, so that the upper octet of a code is 0. */
const OPTION = {
  nsid: 3,
  expire: 9,
  cookie: 10,
  keepalive: 11,
  padding: 12,
  extendedError: 15,
  zoneVersion: 19,
} as const;

const OPT_OCTETS = 11;
const OPTION_HEAD = 4;
const PADDED_BLOCK = 468;
/** TYPE SOA-SERIAL of ZONEVERSION (RFC 9660 §2.1). */
const ZONE_VERSION_SERIAL = 0;
