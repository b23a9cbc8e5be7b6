/**
 * The answer algorithm (RFC 1034 §4.3.2 with RFC 2308, 4592, 6672, 6891, 8020, 8482 and 9471): a query in wire form and
 * the images in, a response in wire form out.
 *
 * Hot path: it allocates nothing, parses no text and does not wait. Records lie ready in the image and are copied; what
 * a copy needs to fit its message (owner pointer, the pointer to the origin at the end of compressed names) is patched
 * behind it. The state of the answer being written is in this module's variables, so one call is one answer and calls
 * do not nest. `tests/bench/answers_bench.ts` compares it with NSD and Knot.
 */
import {
  findNode,
  findRRset,
  FLAG,
  NODE,
  PLACEHOLDER,
  RECORD_HEAD,
  RRSET,
  type ZoneImage,
} from "../image/layout.ts";
import { createNameScan, scanName } from "../image/scan.ts";
import { findZone, type ImageSet } from "../image/set.ts";
import type { AnswerContext } from "./context.ts";
import {
  clearExtra,
  createQueryExtra,
  putOpt,
  readExtra,
  reserveOpt,
  responseLimit,
} from "../edns/options.ts";

/** The UDP payload that we offer and never exceed (RFC 6891 §6.2.5; 1232 fits the smallest IPv6 packet). */
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
  message = out;
  answers = authorities = additionals = 0;
  authoritative = truncated = false;
  rcode = NOERROR;
  out[0] = query[0];
  out[1] = query[1];
  // RD is copied (RFC 1035 §4.1.1); RA, AD and CD stay clear (RFC 4035 §3.1.6).
  flags = 0x80 | query[2] & 0x01;
  clearExtra(extra, context);

  if (query[4] !== 0 || query[5] !== 1) {
    // One question (RFC 9619), or none and a COOKIE option, to be told a server cookie (RFC 7873 §5.4).
    const sound = query[4] === 0 && query[5] === 0 && readExtra(extra, query, 12, length, context);
    if (!sound || !extra.present || !extra.cookieMade) return headerOnly(FORMERR);
    at = 12;
    const bad = extra.cookieOctets > 8 && !context.cookieValid;
    return finish(context, 0, bad ? BADCOOKIE : NOERROR);
  }
  name = firstScan;
  const nameEnd = scanName(name, query, 12, length, images.seed);
  if (nameEnd < 0 || nameEnd + 4 > length) return headerOnly(FORMERR);
  at = nameEnd + 4;
  for (let i = 12; i < at; i++) out[i] = query[i];
  const type = query[nameEnd] << 8 | query[nameEnd + 1];
  if (type === TYPE_AXFR || type === TYPE_IXFR) return SLOW_PATH;

  if (
    at !== length || query[6] !== 0 || query[7] !== 0 || query[8] !== 0 || query[9] !== 0 ||
    query[10] !== 0 || query[11] !== 0
  ) {
    if (!readExtra(extra, query, at, length, context)) return finish(context, 1, FORMERR);
    if (extra.tsig) return SLOW_PATH;
  }
  end = responseLimit(extra, context);
  if (end > out.length) end = out.length;
  end -= reserveOpt(extra, context);
  if (extra.present && extra.version !== 0) return finish(context, 1, BADVERS);
  if (query[nameEnd + 2] !== 0 || query[nameEnd + 3] !== 1) rcode = REFUSED;
  else resolve(images, type);
  return finish(context, 1, rcode);
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

/** Follows the question through our zones until something ends it (RFC 1034 §4.3.2). */
function resolve(images: ImageSet, type: number): void {
  nameAt = 12;
  nameLiteral = name.length;
  nameTail = 0;
  for (hop = 0; hop < MAX_HOPS; hop++) {
    if (seenBefore()) return;
    let found = findZone(images, name, 0);
    if (found < 0) {
      if (hop === 0) rcode = REFUSED;
      return;
    }
    // DS is the parent's (RFC 4035 §3.1.4.1).
    if (type === TYPE_DS && images.zones[found].originLabels === name.labels) {
      const parent = findZone(images, name, 1);
      if (parent >= 0) found = parent;
    }
    const zone = images.zones[found];
    if (zone.broken) {
      if (hop === 0) rcode = SERVFAIL;
      return;
    }
    originAt = suffixAt(name.length - zone.originWire.length);
    // AA belongs to the first owner name in the answer (RFC 1035 §4.1.1).
    if (hop === 0) authoritative = true;
    if (!resolveIn(zone, type)) return;
  }
}

/** One zone's part; true when `name` has become another name to go on with. */
function resolveIn(zone: ZoneImage, type: number): boolean {
  let node = findNode(zone, name, 0);
  const exact = node >= 0;
  // The closest encloser (RFC 4592 §3.3.1); the apex ends the search at the latest.
  for (let label = 1; node < 0; label++) node = findNode(zone, name, label);
  const nodes = zone.nodes;
  let cover = nodes[node * NODE.size + NODE.cover];
  if (cover < 0 && !exact && (nodes[node * NODE.size + NODE.flags] & FLAG.dname) !== 0) cover = node;
  if (cover >= 0) {
    if ((nodes[cover * NODE.size + NODE.flags] & FLAG.cut) === 0) return redirect(zone, cover, type);
    // At the cut itself DS is ours, all else is the child's.
    if (type !== TYPE_DS || !exact || cover !== node) {
      refer(zone, cover);
      return false;
    }
  }
  if (!exact) {
    // Nothing exists below a name that does not (RFC 8020): either the wildcard of the closest encloser, or nothing.
    node = nodes[node * NODE.size + NODE.wildcard];
    if (node < 0) {
      rcode = NXDOMAIN;
      deny(zone);
      return false;
    }
  }
  if (type === TYPE_ANY) {
    answerAny(zone, node);
    return false;
  }
  const rrset = findRRset(zone, node, type);
  if (rrset >= 0) {
    const start = at;
    const put = type === TYPE_SOA ? putSoa(zone, false) : putRRset(zone, rrset, nameAt);
    answers += put;
    if (put === 0) truncated = true;
    else if (HAS_ADDITIONAL[type & 0xff] === 1 && type < 256) addAdditional(zone, type, start, put);
    return false;
  }
  if ((nodes[node * NODE.size + NODE.flags] & FLAG.cname) !== 0) {
    return follow(zone, findRRset(zone, node, TYPE_CNAME));
  }
  deny(zone);
  return false;
}

/** Puts a CNAME and goes on with its target. */
function follow(zone: ZoneImage, rrset: number): boolean {
  const start = at;
  if (putRRset(zone, rrset, nameAt) === 0) {
    truncated = true;
    return false;
  }
  answers++;
  const from = zone.rrsets[rrset * RRSET.size + RRSET.offset] + RECORD_HEAD;
  const literal = expandTarget(zone, zone.records, from, at - start - RECORD_HEAD);
  goOn(start + RECORD_HEAD, literal, originAt);
  return true;
}

/** Puts a DNAME and the CNAME that it stands for (RFC 6672 §3.1), and goes on with that one's target. */
function redirect(zone: ZoneImage, cover: number, type: number): boolean {
  const start = at;
  const kept = name.length - zone.nodes[cover * NODE.size + NODE.length];
  const rrset = findRRset(zone, cover, TYPE_DNAME);
  if (putRRset(zone, rrset, suffixAt(kept)) === 0) {
    truncated = true;
    return false;
  }
  answers++;
  const targetAt = start + RECORD_HEAD;
  const targetOctets = at - targetAt;
  if (kept + targetOctets > 255) {
    // The new name would be too long (RFC 6672 §2.2).
    rcode = YXDOMAIN;
    return false;
  }
  if (at + RECORD_HEAD + kept + 2 > end) {
    truncated = true;
    return false;
  }
  const cname = at;
  putHead(nameAt, TYPE_CNAME, kept + 2);
  for (let i = 6; i < 10; i++) message[cname + i] = message[start + i];
  for (let i = 0; i < kept; i++) {
    const octet = hop === 0 ? message[12 + i] : name.lower[i];
    message[at++] = octet;
    target[i] = octet;
  }
  putPointer(targetAt);
  answers++;
  for (let i = 0; i < targetOctets; i++) target[kept + i] = message[targetAt + i];
  targetLength = kept + targetOctets;
  goOn(cname + RECORD_HEAD, kept, targetAt);
  // The CNAME is what was asked for.
  return type !== TYPE_CNAME && type !== TYPE_ANY;
}

/** A delegation: NS in the authority section, glue in the additional one. */
function refer(zone: ZoneImage, cut: number): void {
  if (hop === 0) authoritative = false;
  const start = at;
  const cutOctets = zone.nodes[cut * NODE.size + NODE.length];
  const put = putRRset(zone, findRRset(zone, cut, TYPE_NS), suffixAt(name.length - cutOctets));
  authorities += put;
  if (put === 0) {
    truncated = true;
    return;
  }
  added = 0;
  const cutName = zone.nodes[cut * NODE.size + NODE.name];
  // Addresses inside the delegated zone are indispensable and come first (RFC 9471 §3.1).
  let others = false;
  for (let pass = 0; pass < 2; pass++) {
    let record = start;
    for (let i = 0; i < put; i++) {
      const octets = message[record + 10] << 8 | message[record + 11];
      const node = targetNode(zone, record + RECORD_HEAD, octets);
      if (node >= 0) {
        const inside = endsWith(other.lower, other.length, zone.names, cutName, cutOctets);
        if (inside !== (pass === 0)) others = true;
        else if (!addAddresses(zone, node, record + RECORD_HEAD) && inside) truncated = true;
      }
      record += RECORD_HEAD + octets;
    }
    if (!others) return;
  }
}

/** The SOA that makes a denial cacheable (RFC 2308 §3). */
function deny(zone: ZoneImage): void {
  if (putSoa(zone, true) === 0) truncated = true;
  else authorities++;
}

/** ANY gets the least that RFC 8482 allows: a CNAME (§4.3), else HINFO (§4.2). */
function answerAny(zone: ZoneImage, node: number): void {
  if (zone.nodes[node * NODE.size + NODE.rrsetCount] === 0) return deny(zone);
  let rrset = findRRset(zone, node, TYPE_CNAME);
  if (rrset < 0) rrset = findRRset(zone, node, TYPE_HINFO);
  if (rrset >= 0) {
    const put = putRRset(zone, rrset, nameAt);
    answers += put;
    if (put === 0) truncated = true;
    return;
  }
  if (at + RECORD_HEAD + RFC8482.length > end) {
    truncated = true;
    return;
  }
  putHead(nameAt, TYPE_HINFO, RFC8482.length);
  message[at - 4] = 3600 >>> 8;
  message[at - 3] = 3600 & 0xff;
  for (let i = 0; i < RFC8482.length; i++) message[at++] = RFC8482[i];
  answers++;
}

/** Addresses of the names in an RRset that was put at `start`, as far as they fit. */
function addAdditional(zone: ZoneImage, type: number, start: number, count: number): void {
  added = 0;
  const skip = type === TYPE_NS ? 0 : type === TYPE_SRV ? 6 : 2;
  let record = start;
  for (let i = 0; i < count; i++) {
    const octets = message[record + 10] << 8 | message[record + 11];
    const nameStart = record + RECORD_HEAD + skip;
    // The root as target of SVCB stands for the owner (RFC 9460 §2.5).
    const own = (type === TYPE_SVCB || type === TYPE_HTTPS) && message[nameStart] === 0;
    const node = own ? findNode(zone, name, 0) : targetNode(zone, nameStart, octets - skip);
    if (node >= 0 && zone.nodes[node * NODE.size + NODE.cover] < 0) {
      if (!addAddresses(zone, node, own ? nameAt : nameStart)) return;
    }
    record += RECORD_HEAD + octets;
  }
}

/** The node that the name at `from` of the message leads to, taken apart in `other`; -1 outside the zone. */
function targetNode(zone: ZoneImage, from: number, octets: number): number {
  expandTarget(zone, message, from, octets);
  scanName(other, target, 0, targetLength, zone.seed);
  const origin = zone.originWire;
  if (!endsWith(other.lower, other.length, origin, 0, origin.length)) return -1;
  return findNode(zone, other, 0);
}

/** A and AAAA of a node, once a message; false when they do not fit. */
function addAddresses(zone: ZoneImage, node: number, ownerAt: number): boolean {
  for (let i = 0; i < added; i++) if (addedNodes[i] === node) return true;
  if (added === addedNodes.length) return false;
  addedNodes[added++] = node;
  const first = zone.nodes[node * NODE.size + NODE.firstRRset];
  const last = first + zone.nodes[node * NODE.size + NODE.rrsetCount];
  for (let rrset = first; rrset < last; rrset++) {
    const type = zone.rrsets[rrset * RRSET.size + RRSET.type];
    if (type !== TYPE_A && type !== TYPE_AAAA) continue;
    const put = ownerAt > MAX_POINTER ? putInFull(zone, rrset, node) : putRRset(zone, rrset, ownerAt);
    additionals += put;
    if (put === 0) return false;
  }
  return true;
}

/**
 * Puts the name in rdata at `from` into `target`, whole: its labels up to a pointer, and the origin in the pointer's
 * stead. Gives the octets that stand there literally. Only names of the zone's own data come here: they are sound, and
 * the one pointer that they can have is to the origin. Works in messages as in the image.
 */
function expandTarget(zone: ZoneImage, bytes: Uint8Array, from: number, octets: number): number {
  let literal = 0;
  while (literal < octets) {
    const size = bytes[from + literal];
    if (size === 0) {
      target[literal++] = 0;
      targetLength = literal;
      return literal;
    }
    if (size > 63) break;
    for (let i = 0; i <= size; i++) target[literal + i] = bytes[from + literal + i];
    literal += size + 1;
  }
  const origin = zone.originWire;
  for (let i = 0; i < origin.length; i++) target[literal + i] = origin[i];
  targetLength = literal + origin.length;
  return literal;
}

/** Makes `target`, which stands at `start` of the message with a pointer to `tail` behind `literal` octets, the name. */
function goOn(start: number, literal: number, tail: number): void {
  const seed = name.hashes[name.labels];
  name = name === firstScan ? secondScan : firstScan;
  scanName(name, target, 0, targetLength, seed);
  nameAt = start;
  nameLiteral = literal;
  nameTail = tail;
}

/** Where in the message the part of `name` from octet `distance` on stands. */
function suffixAt(distance: number): number {
  return distance < nameLiteral ? nameAt + distance : nameTail + distance - nameLiteral;
}

/** True when the chain was at this name before: a loop, or a collision of hashes, where stopping is no fault either. */
function seenBefore(): boolean {
  const hash = name.hashes[0];
  for (let i = 0; i < hop; i++) if (chain[i] === hash) return true;
  chain[hop] = hash;
  return false;
}

/** Copies an RRset, its owner a pointer to `ownerAt`. Gives the number of records, 0 when they do not fit. */
function putRRset(zone: ZoneImage, rrset: number, ownerAt: number): number {
  const row = rrset * RRSET.size;
  const octets = zone.rrsets[row + RRSET.octets];
  if (at + octets > end) return 0;
  const from = zone.rrsets[row + RRSET.offset];
  const count = zone.rrsets[row + RRSET.count];
  const type = zone.rrsets[row + RRSET.type];
  const records = zone.records;
  const start = at;
  for (let i = 0; i < octets; i++) message[start + i] = records[from + i];
  at = start + octets;
  const compressible = type === TYPE_NS || type === TYPE_CNAME || type === TYPE_PTR || type === TYPE_MX;
  if (ownerAt === 12 && !compressible) return count;
  let record = start;
  for (let i = 0; i < count; i++) {
    message[record] = 0xc0 | ownerAt >>> 8;
    message[record + 1] = ownerAt;
    const last = record + 11 + (message[record + 10] << 8 | message[record + 11]);
    if (compressible && message[last] === PLACEHOLDER) {
      message[last - 1] = 0xc0 | originAt >>> 8;
      message[last] = originAt;
    }
    record = last + 1;
  }
  return count;
}

/** As `putRRset`, with the owner written out: it stands behind what a pointer reaches. */
function putInFull(zone: ZoneImage, rrset: number, node: number): number {
  const count = zone.rrsets[rrset * RRSET.size + RRSET.count];
  const nameFrom = zone.nodes[node * NODE.size + NODE.name];
  const nameOctets = zone.nodes[node * NODE.size + NODE.length];
  const octets = zone.rrsets[rrset * RRSET.size + RRSET.octets];
  if (at + octets + count * (nameOctets - 2) > end) return 0;
  let record = zone.rrsets[rrset * RRSET.size + RRSET.offset];
  for (let i = 0; i < count; i++) {
    const last = record + 11 + (zone.records[record + 10] << 8 | zone.records[record + 11]);
    for (let j = 0; j < nameOctets; j++) message[at++] = zone.names[nameFrom + j];
    for (let j = record + 2; j <= last; j++) message[at++] = zone.records[j];
    record = last + 1;
  }
  return count;
}

function putSoa(zone: ZoneImage, negative: boolean): number {
  const soa = zone.negativeSoa;
  const start = at;
  if (start + soa.length > end) return 0;
  for (let i = 0; i < soa.length; i++) message[start + i] = soa[i];
  at = start + soa.length;
  message[start] = 0xc0 | originAt >>> 8;
  message[start + 1] = originAt;
  if (!negative) { for (let i = 6; i < 10; i++) message[start + i] = zone.soa[i]; }
  for (let i = 0; i < 2; i++) {
    const pointer = zone.soaPointers[i];
    if (pointer === 0) continue;
    message[start + pointer] = 0xc0 | originAt >>> 8;
    message[start + pointer + 1] = originAt;
  }
  return 1;
}

/** Owner, type, class IN, TTL 0, RDLENGTH. */
function putHead(ownerAt: number, type: number, octets: number): void {
  putPointer(ownerAt);
  message[at++] = type >>> 8;
  message[at++] = type;
  message[at++] = 0;
  message[at++] = 1;
  for (let i = 0; i < 4; i++) message[at++] = 0;
  message[at++] = octets >>> 8;
  message[at++] = octets;
}

function putPointer(offset: number): void {
  message[at++] = 0xc0 | offset >>> 8;
  message[at++] = offset;
}

function headerOnly(code: number): number {
  message[2] = flags;
  message[3] = code;
  for (let i = 4; i < 12; i++) message[i] = 0;
  return 12;
}

/** Completes the header and adds OPT (RFC 6891 §6.1) when the query had it. */
function finish(context: AnswerContext, questions: number, code: number): number {
  const out = message;
  facts.rcode = code;
  const end = putOpt(out, at, extra, context, facts);
  if (end !== at) additionals++;
  at = end;
  out[2] = flags | (authoritative ? 0x04 : 0) | (truncated ? 0x02 : 0);
  out[3] = code & 0x0f;
  out[4] = 0;
  out[5] = questions;
  out[6] = answers >>> 8;
  out[7] = answers;
  out[8] = authorities >>> 8;
  out[9] = authorities;
  out[10] = additionals >>> 8;
  out[11] = additionals;
  return at;
}

/** True when the name of `length` octets ends in the one of `octets` octets at `from`. Both are lower case. */
function endsWith(
  lower: Uint8Array,
  length: number,
  bytes: Uint8Array,
  from: number,
  octets: number,
): boolean {
  const tail = length - octets;
  if (tail < 0) return false;
  for (let i = 0; i < octets; i++) if (lower[tail + i] !== bytes[from + i]) return false;
  // The match must begin with a label.
  let start = 0;
  while (start < tail) start += 1 + lower[start];
  return start === tail;
}

const NOERROR = 0;
const FORMERR = 1;
const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;
const YXDOMAIN = 6;
const BADVERS = 16;
const BADCOOKIE = 23;

const TYPE_A = 1;
const TYPE_NS = 2;
const TYPE_CNAME = 5;
const TYPE_SOA = 6;
const TYPE_PTR = 12;
const TYPE_HINFO = 13;
const TYPE_MX = 15;
const TYPE_AAAA = 28;
const TYPE_SRV = 33;
const TYPE_DNAME = 39;
const TYPE_DS = 43;
const TYPE_SVCB = 64;
const TYPE_HTTPS = 65;
const TYPE_IXFR = 251;
const TYPE_AXFR = 252;
const TYPE_ANY = 255;

/** Types below 256 whose targets' addresses go along. */
const HAS_ADDITIONAL = new Uint8Array(256);
for (const type of [TYPE_NS, TYPE_MX, TYPE_SRV, TYPE_SVCB, TYPE_HTTPS]) HAS_ADDITIONAL[type] = 1;

/** The longest chain of CNAME and DNAME that is followed; a resolver goes on from there by itself. */
const MAX_HOPS = 16;
/** The farthest octet that a compression pointer reaches (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;
/** `"RFC8482" ""` (RFC 8482 §4.2). */
const RFC8482 = Uint8Array.of(7, 0x52, 0x46, 0x43, 0x38, 0x34, 0x38, 0x32, 0);

// The answer being written.
let message: Uint8Array = new Uint8Array(0);
let at = 0;
/** Where records must end; room for OPT is set aside. */
let end = 0;
let flags = 0;
let rcode = 0;
let authoritative = false;
let truncated = false;
let answers = 0;
let authorities = 0;
let additionals = 0;

// The name that is being answered: the question's, or the last target of a chain.
const firstScan = createNameScan();
const secondScan = createNameScan();
let name = firstScan;
/** Where it stands in the message; `nameLiteral` octets there, the rest at `nameTail`. */
let nameAt = 0;
let nameLiteral = 0;
let nameTail = 0;
/** Where the origin of the zone that answers stands in the message. */
let originAt = 0;
let hop = 0;
const chain = new Int32Array(MAX_HOPS);

// The name that a record leads to.
const other = createNameScan();
const target = new Uint8Array(512);
let targetLength = 0;

/** Nodes whose addresses are in the additional section already. */
const addedNodes = new Int32Array(64);
let added = 0;

const extra = createQueryExtra();
const facts = { rcode: 0, serial: -1, expire: -1, zoneLabels: -1, ede: -1 };
