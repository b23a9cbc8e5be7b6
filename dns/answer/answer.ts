/**
 * The answer algorithm: a query in wire form and the images in, a response in wire form out. RFC 1034 §4.3.2 with RFC
 * 2308, 4035, 4592, 5155, 6672, 6840, 6891, 8020, 8482, 9460 and 9471; `dns/ANSWERS.md` says where others answer otherwise.
 *
 * Hot path: it allocates nothing, parses no text and does not wait. What is put into the message, and how, is in
 * `draft.ts`, the proofs are in `denial.ts`, the additional section is in `additional.ts`. Calls do not nest.
 * `tests/bench/answers` compares it with NSD and Knot, `answer_micro.ts` there shows it by itself.
 */
import {
  clearExtra,
  createQueryExtra,
  type OptFacts,
  putOpt,
  readExtra,
  reserveOpt,
  responseLimit,
} from "../edns/options.ts";
import {
  CELL,
  currentCell,
  ENTRY,
  EXTRA,
  findCell,
  findEntry,
  FLAG,
  RECORD_HEAD,
  type ZoneImage,
} from "../image/layout.ts";
import { scanName } from "../image/scan.ts";
import { findZone, type ImageSet } from "../image/set.ts";
import { addAdditional, addGlue } from "./additional.ts";
import { answerAny, answerSignatures } from "./any.ts";
import { answerChaos } from "./chaos.ts";
import { type AnswerContext, RESPONSE } from "./context.ts";
import {
  closeAnswers,
  provable,
  proveExpansion,
  proveNodata,
  proveNxdomain,
  proveWildcardNodata,
  startProofs,
} from "./denial.ts";
import {
  behindName,
  draft,
  goOn,
  locate,
  MAX_POINTER,
  putHead,
  putNameAt,
  putRRset,
  readName,
  startDraft,
  uint32,
} from "./draft.ts";
import { findWildcard } from "./wildcard.ts";

/** The most that a server needs room for over UDP (`AnswerSettings.udpPayload` may say less). */
export const UDP_PAYLOAD = 1232;

/** What `answerQuery` gives for messages that want the full machinery. */
export const SLOW_PATH = -1;
/** What `answerQuery` gives for what must not be answered. */
export const DROP = 0;

/**
 * Writes the response to the first `length` octets of `query` into `out` (at least 512 octets; what is longer than
 * `out` is truncated) and gives its length. `DROP`: a response, or shorter than a header; nothing may be sent.
 * `SLOW_PATH`: another opcode than QUERY, a TSIG record, AXFR or IXFR; `out` is unspecified then.
 */
export function answerQuery(
  images: ImageSet,
  query: Uint8Array,
  length: number,
  out: Uint8Array,
  context: AnswerContext,
): number {
  // Answering responses would let two servers talk for ever.
  if (length < 12 || (query[2] & 0x80) !== 0) return DROP;
  if ((query[2] & 0x78) !== 0) return SLOW_PATH;
  startDraft(out);
  startProofs();
  context.kind = RESPONSE.answer;
  flood = 0;
  facts.serial =
    facts.expire =
    facts.zoneLabels =
    facts.ede =
      -1;
  out[0] = query[0];
  out[1] = query[1];
  // RD is copied (RFC 1035 §4.1.1).
  out[2] = 0x80 | query[2] & 0x01;

  const questions = query[4] << 8 | query[5];
  const name = draft.name;
  const nameEnd = questions === 1 ? scanName(name, query, 12, length, images.seed) : 12;
  // At most one question (RFC 9619); one that cannot be read is not repeated.
  if (questions > 1 || nameEnd < 0 || questions === 1 && nameEnd + 4 > length) {
    return headerOnly(context, FORMERR);
  }
  let at = questions === 1 ? nameEnd + 4 : 12;
  for (let i = 12; i < at; i++) out[i] = query[i];
  draft.at = at;
  const type = query[nameEnd] << 8 | query[nameEnd + 1];
  if (questions === 1 && (type === TYPE_AXFR || type === TYPE_IXFR)) return SLOW_PATH;

  if (at === length && (query[6] | query[7] | query[8] | query[9] | query[10] | query[11]) === 0) {
    clearExtra(extra, context);
  } else if (!readExtra(extra, query, at, length, context)) {
    draft.rcode = FORMERR;
  } else if (extra.tsig) {
    return SLOW_PATH;
  }
  const limit = responseLimit(extra, context);
  draft.end = (limit < out.length ? limit : out.length) - reserveOpt(extra, context);
  if (draft.rcode === NOERROR) {
    if (extra.present && extra.version !== 0) draft.rcode = BADVERS;
    else if (questions === 0) answerCookie(context);
    else {
      draft.dnssec = extra.present && extra.dnssecOk;
      at = query[nameEnd + 2] << 8 | query[nameEnd + 3];
      answerClass(images, type, at, context);
    }
  }
  if (draft.rcode !== NOERROR && draft.rcode !== NXDOMAIN) {
    context.kind = RESPONSE.error;
    flood = 0;
  }
  context.flood = flood;
  out[4] = 0;
  out[5] = questions;
  return finish(context);
}

/** A response of which only the header can be trusted: an answer for bugs and for messages that are cut off. */
export function headerAnswer(query: Uint8Array, out: Uint8Array, code: number): number {
  out[0] = query[0];
  out[1] = query[1];
  out[2] = 0x80 | query[2] & 0x79;
  out[3] = code;
  out.fill(0, 4, 12);
  return 12;
}

/** Steps that the last call took, and the most that a call may take whose message ends up with so many octets. */
export function workSteps(): number {
  return draft.steps;
}

/**
 * A link of a chain costs at most two names of 128 labels read, their ancestors walked, and its RRsets; each record of at
 * least 16 octets that names a host twice 128 labels, looked at in two passes.
 */
export function mostWorkSteps(octets: number): number {
  return MAX_LINKS * 1024 + octets * 40;
}

/** A query for nothing but a cookie (RFC 7873 §5.4); without one a question is missing. */
function answerCookie(context: AnswerContext): void {
  if (!extra.present || extra.cookieAt < 0 || !extra.cookieMade) draft.rcode = FORMERR;
  // A server cookie that is not ours, or not any more (§5.2.3).
  else if (extra.cookieOctets > CLIENT_COOKIE_OCTETS && !context.cookieValid) draft.rcode = BADCOOKIE;
}

function answerClass(images: ImageSet, type: number, questionClass: number, context: AnswerContext): void {
  if (type === TYPE_NXNAME) {
    // It stands in NSEC records and is no type that can be asked for (RFC 9824 §3.3).
    draft.rcode = FORMERR;
    facts.ede = EDE_INVALID_TYPE;
  } else if (questionClass === CLASS_IN) {
    resolve(images, type, context);
  } else if (questionClass === CLASS_ANY) {
    // There may be other classes that we know nothing of, so that such an answer is never authoritative (RFC 1034 §3.7.1).
    resolve(images, type, context);
    draft.authoritative = false;
  } else if (questionClass !== CLASS_CH || !answerChaos(draft.name, type, context.settings)) {
    draft.rcode = REFUSED;
  }
}

/** Follows the question through our zones until something ends it (RFC 1034 §4.3.2). */
function resolve(images: ImageSet, type: number, context: AnswerContext): void {
  flood = draft.name.hashes[0];
  dnames = 0;
  for (; draft.hop < MAX_LINKS; draft.hop++) {
    if (seenBefore()) break;
    // Step 2: the zone that is the nearest ancestor of the name.
    const { name } = draft;
    let found = findZone(images, name, 0);
    if (found < 0) {
      if (draft.hop === 0) {
        draft.rcode = REFUSED;
        facts.ede = EDE_NOT_AUTHORITATIVE;
      }
      break;
    }
    // DS is the parent's (RFC 4035 §3.1.4.1).
    if (type === TYPE_DS && name.labels > 0 && images.zones[found].originLabels === name.labels) {
      const parent = findZone(images, name, 1);
      if (parent >= 0) found = parent;
    }
    const zone = images.zones[found];
    if (zone.broken) {
      if (draft.hop === 0) {
        draft.rcode = SERVFAIL;
        facts.ede = EDE_NOT_READY;
      }
      break;
    }
    if (draft.hop === 0) {
      // AA belongs to the first owner name in the answer (RFC 1035 §4.1.1).
      draft.authoritative = true;
      facts.serial = zone.serial;
      facts.zoneLabels = zone.originLabels;
    }
    if (!answerFrom(images, found, type, context)) break;
  }
  closeAnswers(images.zones);
}

/** Step 3: down from the zone's apex, label by label. True when `draft.name` has become another name to go on with. */
function answerFrom(images: ImageSet, zoneIndex: number, type: number, context: AnswerContext): boolean {
  const zone = images.zones[zoneIndex];
  const { words } = zone;
  descend(zone);
  findCover(zone);
  if (cover !== 0) {
    // Step 3c for DNAME (RFC 6672 §3.2).
    if ((words[cover + CELL.head] & FLAG.cut) === 0) return redirect(zone, type);
    // Step 3b. At the cut itself DS is ours (RFC 4035 §3.1.4.1), all else is the child's.
    if (type !== TYPE_DS || coverLabel > 0) {
      refer(images, zone, context);
      return false;
    }
  }
  if (label === 0) return answerAt(images, zoneIndex, cell, type, context);
  // Step 3c: the wildcard of the closest encloser (RFC 4592 §3.3.1), or nothing.
  if (draft.hop === 0) flood = draft.name.hashes[label];
  const wildcard = (words[cell + CELL.head] & FLAG.wildcard) === 0 ? 0 : findWildcard(zone, cell, label);
  if (wildcard !== 0) return answerAt(images, zoneIndex, wildcard, type, context);
  draft.rcode = NXDOMAIN;
  context.kind = RESPONSE.nxdomain;
  closeAnswers(images.zones);
  putSoa(zone);
  if (provable(zone)) proveNxdomain(zone, cell, label);
  return false;
}

/** Step 3a: the name matches, in its own cell or in that of a wildcard. */
function answerAt(
  images: ImageSet,
  zoneIndex: number,
  node: number,
  type: number,
  context: AnswerContext,
): boolean {
  const zone = images.zones[zoneIndex];
  if (type === TYPE_ANY || type === TYPE_RRSIG) {
    if (type === TYPE_ANY) context.kind = RESPONSE.any;
    if (type === TYPE_ANY ? answerAny(zone, node) : answerSignatures(zone, node)) {
      if (label > 0 && provable(zone)) proveExpansion(zone, zoneIndex, label);
      return false;
    }
  }
  const follows = (zone.words[node + CELL.head] & FLAG.cname) !== 0 && findEntry(zone, node, type) === 0;
  const entry = findEntry(zone, node, follows ? TYPE_CNAME : type);
  if (entry === 0) {
    noData(images, zone, node, context);
    return false;
  }
  const start = draft.at;
  const put = putRRset(zone, node, entry, draft.hop === 0 ? 12 : locate(0), draft.dnssec);
  draft.answers += put;
  if (put === 0) {
    draft.truncated = true;
    return false;
  }
  if (label > 0 && provable(zone)) proveExpansion(zone, zoneIndex, label);
  if (follows) {
    goOn(behindName(start) + RECORD_HEAD - 2);
    return true;
  }
  // Of the zone that was asked, as ZONEVERSION is, and not of one that a chain led to.
  if (type === TYPE_SOA) {
    if (draft.hop === 0) tellExpire(start);
  } else if (type < 256 && HAS_ADDITIONAL[type] === 1) {
    // Steps 4 and 6: the authority section comes before the additional one.
    closeAnswers(images.zones);
    addAdditional(zone, node, entry, start);
  }
  return false;
}

/** The name is there, the type is not (RFC 2308 §2.2). */
function noData(images: ImageSet, zone: ZoneImage, node: number, context: AnswerContext): void {
  context.kind = RESPONSE.nodata;
  closeAnswers(images.zones);
  putSoa(zone);
  if (!provable(zone)) return;
  if (label === 0) proveNodata(zone, node, 0);
  else proveWildcardNodata(zone, node, cell, label);
}

/** Finds the cell of `draft.name`, or that of its closest encloser and the label with which that one's name starts. */
function descend(zone: ZoneImage): void {
  const { name } = draft;
  apexLabel = name.labels - zone.originLabels;
  draft.steps++;
  label = 0;
  cell = apexLabel === 0 ? zone.apex : findCell(zone, name, 0);
  if (cell !== 0) return;
  // What exists has ancestors that exist, and nothing exists below a name that does not (RFC 8020): it can be halved.
  cell = zone.apex;
  label = apexLabel;
  for (let missing = 0; label - missing > 1;) {
    draft.steps++;
    const middle = missing + label >>> 1;
    const higher = findCell(zone, name, middle);
    if (higher === 0) missing = middle;
    else {
      cell = higher;
      label = middle;
    }
  }
}

/** Finds the topmost delegation or DNAME that covers the name. A DNAME covers what is below it, not its owner. */
function findCover(zone: ZoneImage): void {
  const { words } = zone;
  const mask = FLAG.cut | FLAG.dname;
  cover = 0;
  for (let up = cell, i = label;; i++) {
    const head = words[up + CELL.head];
    if ((head & mask) !== 0 && ((head & FLAG.cut) !== 0 || i > 0)) {
      cover = up;
      coverLabel = i;
    }
    if (i === apexLabel) return;
    draft.steps++;
    up = i + 1 === apexLabel ? zone.apex : currentCell(zone, words[up + CELL.parent], draft.name, i + 1);
  }
}

/** A delegation: NS and what is known of DS in the authority section, glue in the additional one. */
function refer(images: ImageSet, zone: ZoneImage, context: AnswerContext): void {
  const { name } = draft;
  context.kind = RESPONSE.referral;
  if (draft.hop === 0) {
    draft.authoritative = false;
    flood = name.hashes[coverLabel];
  }
  closeAnswers(images.zones);
  const start = draft.at;
  const ownerAt = locate(name.starts[coverLabel]);
  const entry = findEntry(zone, cover, TYPE_NS);
  const put = putRRset(zone, cover, entry, ownerAt, false);
  draft.authorities += put;
  if (put === 0) {
    draft.truncated = true;
    return;
  }
  if (draft.dnssec) {
    // RFC 4035 §3.1.4: DS, or proof that there is none. In a zone without signatures a DS means nothing to anybody.
    const ds = findEntry(zone, cover, TYPE_DS);
    if (ds !== 0 && (zone.words[ds + ENTRY.octetsAndExtras] & EXTRA.signatures) !== 0) {
      const signed = putRRset(zone, cover, ds, ownerAt, true);
      draft.authorities += signed;
      if (signed === 0) draft.truncated = true;
    } else if (ds === 0 && provable(zone)) proveNodata(zone, cover, coverLabel);
  }
  addGlue(zone, cover, coverLabel, entry, start);
}

/** Puts a DNAME and the CNAME that it stands for (RFC 6672 §3.1), and goes on with that one's target. */
function redirect(zone: ZoneImage, type: number): boolean {
  const { name, message } = draft;
  const kept = name.starts[coverLabel];
  if (draft.hop === 0) flood = name.hashes[coverLabel];
  const targetAt = putDname(zone, locate(kept));
  if (targetAt === 0) return false;
  const targetOctets = message[targetAt - 2] << 8 | message[targetAt - 1];
  if (kept + targetOctets > 255) {
    // The new name would be too long (RFC 6672 §2.2).
    draft.rcode = YXDOMAIN;
    return false;
  }
  // The CNAME has the DNAME's TTL (RFC 6672 §3.1) and the labels of the question in their case.
  const octets = kept + (targetOctets === 1 ? 1 : targetAt <= MAX_POINTER ? 2 : targetOctets);
  if (!putHead(locate(0), TYPE_CNAME, message, targetAt - 6, octets)) {
    draft.truncated = true;
    return false;
  }
  const cname = draft.at;
  readName(labels, locate(0));
  for (let i = 0; i < kept; i++) message[cname + i] = labels[i];
  draft.at = putNameAt(targetAt, cname + kept);
  draft.answers++;
  goOn(cname);
  // The CNAME may be what was asked for.
  return type !== TYPE_CNAME && type !== TYPE_ANY;
}

/** Puts the DNAME that covers the name; where its target stands in the message, 0 when it does not fit. */
function putDname(zone: ZoneImage, ownerAt: number): number {
  // A chain may pass it again, and no record is twice in an RRset (RFC 2181 §5).
  for (let i = 0; i < dnames; i++) {
    if (dnameCells[i] === cover && dnameZones[i] === zone.id) return dnameTargets[i];
  }
  const start = draft.at;
  const put = putRRset(zone, cover, findEntry(zone, cover, TYPE_DNAME), ownerAt, draft.dnssec);
  draft.answers += put;
  if (put === 0) {
    draft.truncated = true;
    return 0;
  }
  dnameZones[dnames] = zone.id;
  dnameCells[dnames] = cover;
  return dnameTargets[dnames++] = behindName(start) + RECORD_HEAD - 2;
}

/** The SOA that makes a denial cacheable, with the TTL that the denial is to have (RFC 2308 §3, §5). */
function putSoa(zone: ZoneImage): void {
  let record = draft.at;
  const entry = findEntry(zone, zone.apex, TYPE_SOA);
  const originAt = locate(draft.name.length - zone.originWire.length);
  const put = putRRset(zone, zone.apex, entry, originAt, draft.dnssec);
  if (put === 0) draft.truncated = true;
  draft.authorities += put;
  const { message } = draft;
  const ttl = zone.negativeTtl;
  for (let i = 0; i < put; i++) {
    // The signature's TTL is that of what it covers (RFC 4034 §3).
    const at = behindName(record) + 4;
    message[at] = ttl >>> 24;
    message[at + 1] = ttl >>> 16;
    message[at + 2] = ttl >>> 8;
    message[at + 3] = ttl;
    record = at + 6 + (message[at + 4] << 8 | message[at + 5]);
  }
}

/** RFC 7314: who asks for the SOA may be told when the zone expires. */
function tellExpire(start: number): void {
  const { message } = draft;
  const at = behindName(start) + 8;
  // The last field but one.
  facts.expire = uint32(message, at + 2 + (message[at] << 8 | message[at + 1]) - 8) >>> 0;
}

/** True when the chain was at this name before: a loop, or a collision of hashes, where stopping is no fault either. */
function seenBefore(): boolean {
  const hash = draft.name.hashes[0];
  const { hop } = draft;
  for (let i = 0; i < hop; i++) if (chain[i] === hash) return true;
  chain[hop] = hash;
  return false;
}

function headerOnly(context: AnswerContext, code: number): number {
  const out = draft.message;
  context.kind = RESPONSE.error;
  context.flood = 0;
  context.cookieValid = false;
  out[3] = code;
  for (let i = 4; i < 12; i++) out[i] = 0;
  return 12;
}

/** Completes the header and adds OPT (RFC 6891 §6.1) when the query had it. */
function finish(context: AnswerContext): number {
  const out = draft.message;
  const { rcode, answers, authorities, additionals } = draft;
  facts.rcode = rcode;
  const end = putOpt(out, draft.at, extra, context, facts);
  const counted = additionals + (extra.present ? 1 : 0);
  // RA, AD and CD stay clear (RFC 4035 §3.1.6).
  out[2] |= (draft.authoritative ? 0x04 : 0) | (draft.truncated ? 0x02 : 0);
  out[3] = rcode & 0x0f;
  out[6] = answers >>> 8;
  out[7] = answers;
  out[8] = authorities >>> 8;
  out[9] = authorities;
  out[10] = counted >>> 8;
  out[11] = counted;
  return end;
}

const NOERROR = 0;
const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;
const YXDOMAIN = 6;
const BADVERS = 16;
const BADCOOKIE = 23;

const CLIENT_COOKIE_OCTETS = 8;

/** RFC 8914 §4. */
const EDE_NOT_READY = 14;
const EDE_NOT_AUTHORITATIVE = 20;
const EDE_INVALID_TYPE = 30;

const CLASS_IN = 1;
const CLASS_CH = 3;
const CLASS_ANY = 255;

const TYPE_NS = 2;
const TYPE_CNAME = 5;
const TYPE_SOA = 6;
const TYPE_MX = 15;
const TYPE_SRV = 33;
const TYPE_DNAME = 39;
const TYPE_DS = 43;
const TYPE_RRSIG = 46;
const TYPE_SVCB = 64;
const TYPE_HTTPS = 65;
const TYPE_NXNAME = 128;
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;
const TYPE_ANY = 255;

/** Types below 256 whose targets' addresses go along. */
const HAS_ADDITIONAL = new Uint8Array(256);
for (const type of [TYPE_NS, TYPE_MX, TYPE_SRV, TYPE_SVCB, TYPE_HTTPS]) HAS_ADDITIONAL[type] = 1;

/** The longest chain of CNAME and DNAME that is followed; a resolver goes on from there by itself. */
const MAX_LINKS = 16;

// Where `draft.name` is in the zone that answers: its cell, or that of its closest encloser.
let cell = 0;
/** The label of the name with which that cell's own name starts; 0 for the name itself. */
let label = 0;
/** The same for the apex. */
let apexLabel = 0;
/** The cell that covers the name, 0 for none, and its label. */
let cover = 0;
let coverLabel = 0;

let flood = 0;
const chain = new Int32Array(MAX_LINKS);
const labels = new Uint8Array(256);

// The DNAMEs in the answer section, and where the targets of theirs stand.
const dnameZones = new Int32Array(MAX_LINKS);
const dnameCells = new Int32Array(MAX_LINKS);
const dnameTargets = new Int32Array(MAX_LINKS);
let dnames = 0;

const extra = createQueryExtra();
const facts: OptFacts = { rcode: 0, serial: -1, expire: -1, zoneLabels: -1, ede: -1 };
