/**
 * Compiles records into a zone. Records may come in any order and are taken one by one, so that a zone-file parser can
 * pour into it without a list of a million objects in between.
 *
 * Hot path: `add` and `finish` decide how long a start with a large zone takes; everything grows in typed arrays and
 * nothing but what is passed in is an object (`tests/bench/answers_bench.ts` prints the time).
 */
import type { Result } from "../../conduit/mod.ts";
import {
  findNode,
  FLAG,
  NODE,
  RECORD_HEAD,
  RRSET,
  type Searchable,
  type ZoneImage,
} from "../image/layout.ts";
import { createNameScan, scanName, spread } from "../image/scan.ts";
import { uint32 } from "../message/header.ts";
import { isAtOrBelow, nameFromWire, nameToWire, writeName } from "../name.ts";
import { canonicalRdata, compareRdata, rdataIsValid } from "../rr/rdata.ts";
import { RRTYPE, typeName } from "../rr/types.ts";
import type { Name, ResourceRecord } from "../types.ts";
import { openZone, type Zone } from "./zone.ts";
import { compressAgainst } from "./compress.ts";
import { soaForms } from "./soa.ts";
import { emptyImage, nextImageId, numbersOf, octetsOf } from "./memory.ts";

export type ZoneErrorCode =
  | "out-of-zone"
  | "not-class-in"
  | "bad-ttl"
  | "bad-rdata"
  | "misplaced-soa"
  | "several-records"
  | "ttl-differs"
  | "no-soa"
  | "too-large";

/** Why records make no zone. */
export interface ZoneError {
  readonly code: ZoneErrorCode;
  /** One sentence without a final dot. */
  readonly message: string;
  /** The owner concerned. */
  readonly owner: Name;
  readonly type: number;
  /** The record was taken all the same: `ttl-differs`, where the RRset's first TTL counts (RFC 2181 §5.2). */
  readonly taken?: boolean;
}

export interface ZoneBuilder {
  /**
   * Takes a record; an equal one taken before, names in rdata compared without case, makes no second (RFC 2181 §5).
   * Gives the error when it cannot stand in this zone; the builder is then as it was, unless the error says `taken`.
   */
  add(record: ResourceRecord): ZoneError | undefined;
  /** As `add`, from octets; what is passed is read during the call only. */
  addWire(record: WireRecord): ZoneError | undefined;
  /** The zone. The builder is not to be used any more. */
  finish(): Result<Zone, ZoneError>;
}

/** A record of class IN in wire form; the object and its buffers may be used again for the next one. */
export interface WireRecord {
  /** A buffer that begins with the owner name, uncompressed, in any case. */
  readonly owner: Uint8Array;
  /** The owner is that of the call before, which gave no error other than `ttl-differs`. */
  readonly ownerIsSame: boolean;
  readonly type: number;
  readonly ttl: number;
  /** A buffer with the rdata, and where it stands there. */
  readonly rdata: Uint8Array;
  readonly rdataStart: number;
  readonly rdataOctets: number;
}

/** How large a zone will be, about. */
export interface ZoneSize {
  /** Octets of its zone file. */
  readonly octets?: number;
  readonly records?: number;
}

/** All at once; the first error ends it. TTLs that differ within an RRset: the first counts (RFC 2181 §5.2). */
export function compileZone(origin: Name, records: Iterable<ResourceRecord>): Result<Zone, ZoneError> {
  const builder = createZoneBuilder(origin);
  for (const record of records) {
    const error = builder.add(record);
    if (error !== undefined && error.taken !== true) return { ok: false, error };
  }
  return builder.finish();
}

export function createZoneBuilder(origin: Name, _size: ZoneSize = {}): ZoneBuilder {
  const originWire = nameToWire(origin);
  const scan = createNameScan();
  const wire = new Uint8Array(256);
  let names = new Uint8Array(1 << 12);
  let namesEnd = 0;
  let nodes = new Int32Array(NODE.size << 7);
  let nodeCount = 0;
  let slots = new Int32Array(1 << 8);
  /** `REC.size` numbers a record taken, chained by node. */
  let taken = new Int32Array(REC.size << 7);
  let takenCount = 0;
  let rdatas = new Uint8Array(1 << 13);
  let rdatasEnd = 0;
  let lastOwner: Name | undefined;
  let lastNode = -1;

  const searchable = { names, nodes, slots };
  scanName(scan, originWire, 0, originWire.length, SEED);
  const originLabels = scan.labels;
  insertNode(0, -1);

  return { add, addWire, finish };

  function addWire({ owner, type, ttl, rdata, rdataStart, rdataOctets }: WireRecord): ZoneError | undefined {
    const name = nameFromWire(owner, 0)?.name ?? origin;
    const copy = rdata.slice(rdataStart, rdataStart + rdataOctets);
    return add({ owner: name, type, class: 1, ttl, rdata: copy });
  }

  function add(record: ResourceRecord): ZoneError | undefined {
    const { owner, type, rdata } = record;
    if (owner !== lastOwner && !isAtOrBelow(owner, origin)) {
      return refusal("out-of-zone", record, `${owner} does not lie in the zone ${origin}`);
    }
    if (record.class !== 1) {
      return refusal("not-class-in", record, `${owner} has a record of a class other than IN`);
    }
    if (!(record.ttl >= 0 && record.ttl <= 0x7fff_ffff)) {
      return refusal("bad-ttl", record, `${owner} has a TTL outside 0 to 2147483647`);
    }
    if (rdata.length > 0xffff || (CHECKED.has(type) && !rdataIsValid(type, rdata))) {
      return refusal("bad-rdata", record, `${owner} has malformed ${typeName(type)} data`);
    }
    if (type === RRTYPE.SOA && owner !== origin) {
      return refusal("misplaced-soa", record, `${owner} has a SOA record below the apex ${origin}`);
    }
    if (rdatasEnd + rdata.length > MAX_HEAP || namesEnd > MAX_HEAP || takenCount >= MAX_RECORDS) {
      return refusal("too-large", record, `the zone ${origin} is larger than an image can hold`);
    }
    const node = owner === lastOwner ? lastNode : nodeOf(owner);
    lastOwner = owner;
    lastNode = node;
    const twin = twinOf(node, type);
    if (twin >= 0 && SINGLETONS.has(type)) {
      const from = taken[twin + REC.offset];
      const known = rdatas.subarray(from, from + taken[twin + REC.length]);
      if (compareRdata(canonicalRdata(type, known), canonicalRdata(type, rdata)) === 0) return undefined;
      return refusal("several-records", record, `${owner} has another ${typeName(type)} record already`);
    }
    const ttl = twin < 0 ? record.ttl : taken[twin + REC.ttl];

    while (rdatasEnd + rdata.length > rdatas.length) {
      rdatas = doubled(rdatas, new Uint8Array(rdatas.length * 2));
    }
    if ((takenCount + 1) * REC.size > taken.length) taken = doubled(taken, new Int32Array(taken.length * 2));
    const at = takenCount * REC.size;
    taken[at + REC.type] = type;
    taken[at + REC.ttl] = ttl;
    taken[at + REC.offset] = rdatasEnd;
    taken[at + REC.length] = rdata.length;
    taken[at + REC.next] = nodes[node * NODE.size + NODE.firstRRset];
    nodes[node * NODE.size + NODE.firstRRset] = takenCount++;
    if (rdata.length < 64) {
      for (let i = 0; i < rdata.length; i++) rdatas[rdatasEnd + i] = rdata[i];
    } else {
      rdatas.set(rdata, rdatasEnd);
    }
    rdatasEnd += rdata.length;
    if (ttl === record.ttl || type === RRTYPE.RRSIG) return undefined;
    return { ...refusal("ttl-differs", record, `${owner} has ${typeName(type)} of TTL ${ttl}`), taken: true };
  }

  /** Another record of that type at the node, by its place in `taken`; -1 for none. */
  function twinOf(node: number, type: number): number {
    let record = nodes[node * NODE.size + NODE.firstRRset];
    while (record >= 0 && taken[record * REC.size + REC.type] !== type) {
      record = taken[record * REC.size + REC.next];
    }
    return record < 0 ? -1 : record * REC.size;
  }

  /** The node of an owner name, made with all its ancestors (empty non-terminals) where it is new. */
  function nodeOf(owner: Name): number {
    scanName(scan, wire, 0, writeName(owner, wire, 0), SEED);
    const known = findNode(draft(), scan, 0);
    if (known >= 0) return known;
    let parent = 0;
    for (let label = scan.labels - originLabels - 1; label >= 0; label--) {
      const node = label === 0 ? -1 : findNode(draft(), scan, label);
      parent = node >= 0 ? node : insertNode(label, parent);
    }
    return parent;
  }

  function insertNode(label: number, parent: number): number {
    const start = scan.starts[label];
    const length = scan.length - start;
    while (namesEnd + length > names.length) names = doubled(names, new Uint8Array(names.length * 2));
    if ((nodeCount + 1) * NODE.size > nodes.length) nodes = doubled(nodes, new Int32Array(nodes.length * 2));
    if (nodeCount * 2 >= slots.length) growSlots();
    for (let i = 0; i < length; i++) names[namesEnd + i] = scan.lower[start + i];
    const at = nodeCount * NODE.size;
    nodes[at + NODE.name] = namesEnd;
    nodes[at + NODE.length] = length;
    nodes[at + NODE.hash] = scan.hashes[label];
    nodes[at + NODE.firstRRset] = -1;
    nodes[at + NODE.cover] = -1;
    nodes[at + NODE.wildcard] = -1;
    nodes[at + NODE.parent] = parent;
    if (parent >= 0 && scan.lower[start] === 1 && scan.lower[start + 1] === ASTERISK) {
      nodes[parent * NODE.size + NODE.wildcard] = nodeCount;
    }
    namesEnd += length;
    place(nodeCount, scan.hashes[label]);
    return nodeCount++;
  }

  function growSlots(): void {
    slots = new Int32Array(slots.length * 2);
    for (let node = 0; node < nodeCount; node++) place(node, nodes[node * NODE.size + NODE.hash]);
  }

  function place(node: number, hash: number): void {
    const mask = slots.length - 1;
    let slot = spread(hash) & mask;
    while (slots[slot] !== 0) slot = slot + 1 & mask;
    slots[slot] = node + 1;
  }

  /** As much of an image as a search needs. */
  function draft(): Searchable {
    searchable.names = names;
    searchable.nodes = nodes;
    searchable.slots = slots;
    return searchable;
  }

  function finish(): Result<Zone, ZoneError> {
    const packer = createPacker(origin, originWire, rdatas, rdatasEnd + takenCount * RECORD_HEAD);
    const rrsets = new Int32Array(takenCount * RRSET.size);
    let rrsetCount = 0;
    let recordCount = 0;
    let order = new Int32Array(16);
    for (let node = 0; node < nodeCount; node++) {
      const at = node * NODE.size;
      let count = 0;
      for (
        let record = nodes[at + NODE.firstRRset];
        record >= 0;
        record = taken[record * REC.size + REC.next]
      ) {
        if (count === order.length) order = doubled(order, new Int32Array(count * 2));
        order[count++] = record;
      }
      nodes[at + NODE.firstRRset] = rrsetCount;
      // The chain has the last record first.
      order.subarray(0, count).reverse();
      const sorted = count > 1 ? order.subarray(0, count).sort(byTypeThenArrival) : order;
      for (let from = 0; from < count;) {
        const type = taken[sorted[from] * REC.size + REC.type];
        let to = from + 1;
        while (to < count && taken[sorted[to] * REC.size + REC.type] === type) to++;
        const offset = packer.length();
        const ttl = taken[sorted[from] * REC.size + REC.ttl];
        const packed = packer.rrset(type, ttl, taken, sorted, from, to);
        if (packed > 1 && SINGLETONS.has(type)) {
          const owner = nameFromWire(names, nodes[at + NODE.name])?.name ?? origin;
          return {
            ok: false,
            error: {
              code: "several-records",
              message: `${owner} has ${packed} ${typeName(type)} records where one is allowed`,
              owner,
              type,
            },
          };
        }
        const row = rrsetCount++ * RRSET.size;
        rrsets[row + RRSET.type] = type;
        rrsets[row + RRSET.ttl] = ttl;
        rrsets[row + RRSET.offset] = offset;
        rrsets[row + RRSET.octets] = packer.length() - offset;
        rrsets[row + RRSET.count] = packed;
        recordCount += packed;
        if (type === RRTYPE.NS && node !== 0) nodes[at + NODE.flags] |= FLAG.cut;
        if (type === RRTYPE.DNAME) nodes[at + NODE.flags] |= FLAG.dname;
        if (type === RRTYPE.CNAME) nodes[at + NODE.flags] |= FLAG.cname;
        from = to;
      }
      nodes[at + NODE.rrsetCount] = rrsetCount - nodes[at + NODE.firstRRset];
      nodes[at + NODE.cover] = coverOf(node);
    }
    const soaRow = rowOf(RRTYPE.SOA);
    if (soaRow < 0) {
      return {
        ok: false,
        error: {
          code: "no-soa",
          message: `the zone ${origin} has no SOA record at its apex`,
          owner: origin,
          type: RRTYPE.SOA,
        },
      };
    }
    const soaAt = rrsets[soaRow + RRSET.offset];
    const soa = packer.bytes().slice(soaAt, soaAt + rrsets[soaRow + RRSET.octets]);
    const image: ZoneImage = {
      id: nextImageId(),
      origin,
      originWire,
      originLabels,
      seed: SEED,
      broken: false,
      names: octetsOf(names, namesEnd),
      nodes: numbersOf(nodes, nodeCount * NODE.size),
      slots: numbersOf(slots, slots.length),
      rrsets: numbersOf(rrsets, rrsetCount * RRSET.size),
      records: octetsOf(packer.bytes(), packer.length()),
      recordCount,
      ...soaForms(soa, originWire),
    };
    return { ok: true, value: openZone(image) };

    function byTypeThenArrival(a: number, b: number): number {
      return taken[a * REC.size + REC.type] - taken[b * REC.size + REC.type] || a - b;
    }

    function rowOf(type: number): number {
      for (let i = 0; i < nodes[NODE.rrsetCount]; i++) {
        if (rrsets[i * RRSET.size + RRSET.type] === type) return i * RRSET.size;
      }
      return -1;
    }
  }

  function coverOf(node: number): number {
    const parent = nodes[node * NODE.size + NODE.parent];
    if (parent >= 0) {
      const above = nodes[parent * NODE.size + NODE.cover];
      if (above >= 0) return above;
      if ((nodes[parent * NODE.size + NODE.flags] & FLAG.dname) !== 0) return parent;
    }
    return (nodes[node * NODE.size + NODE.flags] & FLAG.cut) !== 0 ? node : -1;
  }

  function refusal(code: ZoneErrorCode, record: ResourceRecord, message: string): ZoneError {
    return { code, message, owner: record.owner, type: record.type };
  }
}

/** A placeholder for a zone that was never good: every question below it is answered SERVFAIL. */
export function brokenZone(origin: Name): Zone {
  const originWire = nameToWire(origin);
  const scan = createNameScan();
  scanName(scan, originWire, 0, originWire.length, SEED);
  return openZone({ ...emptyImage(origin, originWire, scan.labels, SEED), broken: true });
}

/** Records as they were taken. */
const REC = { type: 0, ttl: 1, offset: 2, length: 3, next: 4, size: 5 } as const;

/** Hash tables start from a number that nobody outside knows. */
const SEED = crypto.getRandomValues(new Int32Array(1))[0];

const ASTERISK = 0x2a;
/** Offsets are kept in 31 bits, with room for heads. */
const MAX_HEAP = 0x3fff_ffff;
const MAX_RECORDS = 0x0400_0000;

/** Types whose rdata the answer algorithm or this file reads; what is malformed must not get there. */
const CHECKED: ReadonlySet<number> = new Set([
  RRTYPE.NS,
  RRTYPE.CNAME,
  RRTYPE.SOA,
  RRTYPE.PTR,
  RRTYPE.MX,
  RRTYPE.SRV,
  RRTYPE.DNAME,
  RRTYPE.RRSIG,
  RRTYPE.SVCB,
  RRTYPE.HTTPS,
]);

/** At most one record: RFC 2181 §10.1, RFC 6672 §2.4, RFC 1035 §5.2. */
const SINGLETONS: ReadonlySet<number> = new Set([RRTYPE.CNAME, RRTYPE.DNAME, RRTYPE.SOA]);

/** Where the name starts in rdata that ends in a name that may be compressed (RFC 3597 §4); -1 for other types. */
function compressibleFrom(type: number): number {
  if (type === RRTYPE.NS || type === RRTYPE.CNAME || type === RRTYPE.PTR) return 0;
  return type === RRTYPE.MX ? 2 : -1;
}

/** The Original TTL field of RRSIG data (RFC 4034 §3.1). */
function originalTtl(rdata: Uint8Array, offset: number): number {
  return uint32(rdata, offset + 4);
}

/** The larger array with the content of the smaller. */
function doubled<T extends Uint8Array | Int32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

/** Writes RRsets in their ready form. */
function createPacker(origin: Name, originWire: Uint8Array, rdatas: Uint8Array, size: number) {
  const out = new Uint8Array(size);
  let at = 0;
  const plainOrigin = origin === ".";
  return {
    bytes: () => out,
    length: () => at,
    /** Packs the records of one RRset, equal ones once, in canonical order; gives their number. */
    rrset(
      type: number,
      ttl: number,
      taken: Int32Array,
      sorted: Int32Array,
      from: number,
      to: number,
    ): number {
      if (to - from === 1) {
        const record = sorted[from] * REC.size;
        put(type, ttl, rdatas, taken[record + REC.offset], taken[record + REC.length]);
        return 1;
      }
      const list: { rdata: Uint8Array; canonical: Uint8Array }[] = [];
      for (let i = from; i < to; i++) {
        const offset = taken[sorted[i] * REC.size + REC.offset];
        const rdata = rdatas.subarray(offset, offset + taken[sorted[i] * REC.size + REC.length]);
        list.push({ rdata, canonical: canonicalRdata(type, rdata) });
      }
      list.sort((a, b) => compareRdata(a.canonical, b.canonical));
      let packed = 0;
      list.forEach((item, index) => {
        if (index > 0 && compareRdata(item.canonical, list[index - 1].canonical) === 0) return;
        put(type, ttl, item.rdata, 0, item.rdata.length);
        packed++;
      });
      return packed;
    },
  };

  function put(type: number, setTtl: number, rdata: Uint8Array, offset: number, length: number): void {
    // Signatures at one name cover RRsets of different TTLs, and each has the TTL of what it covers (RFC 4034 §3), which
    // is in its own data (§3.1.4).
    const ttl = type === RRTYPE.RRSIG ? originalTtl(rdata, offset) : setTtl;
    out[at++] = 0xc0;
    out[at++] = 12;
    out[at++] = type >>> 8;
    out[at++] = type;
    out[at++] = 0;
    out[at++] = 1;
    out[at++] = ttl >>> 24;
    out[at++] = ttl >>> 16;
    out[at++] = ttl >>> 8;
    out[at++] = ttl;
    const from = plainOrigin ? -1 : compressibleFrom(type);
    const body = from < 0 ? undefined : compressAgainst(rdata, offset + from, offset + length, originWire);
    const octets = body === undefined ? length : from + body.length;
    out[at++] = octets >>> 8;
    out[at++] = octets;
    const plain = body === undefined ? length : from;
    for (let i = 0; i < plain; i++) out[at++] = rdata[offset + i];
    if (body !== undefined) {
      out.set(body, at);
      at += body.length;
    }
  }
}
