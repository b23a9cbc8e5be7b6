/**
 * The additional section: glue of referrals (RFC 9471), and addresses of the hosts that an answer names (RFC 1034 §4.3.2
 * step 6, RFC 2782, RFC 9460 §4.1).
 *
 * Hot path of referrals. The image knows for each name in such rdata the cell that it leads to; only when that cell or one
 * above it has been laid over by a change is the name looked up.
 */
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
import { createNameScan, type NameScan, scanName } from "../image/scan.ts";
import { behindName, draft, locate, putRRset, readName, uint32 } from "./draft.ts";

/**
 * Glue for the NS RRset of `cut`, whose name starts with `label` of `draft.name` and whose records stand at `start`.
 * Addresses below the cut are indispensable: they come first, and TC is set where they do not fit (RFC 9471 §3.1). What
 * else the zone knows of the name servers is put as far as there is room (§3.2).
 */
export function addGlue(
  zone: ZoneImage,
  cut: number,
  label: number,
  entry: number,
  start: number,
): void {
  const count = zone.words[entry + ENTRY.typeAndCount] & 0xffff;
  const targets = targetsOf(zone, cut, entry);
  let others = false;
  for (let pass = 0; pass < 2; pass++) {
    let record = start;
    for (let i = 0; i < count; i++) {
      const place = behindName(record) + RECORD_HEAD - 2;
      const cell = targetCell(
        zone,
        targets === 0 ? 0 : uint32(zone.bytes, targets + 4 * i),
        place,
        cut,
        label,
      );
      if (cell !== 0) {
        if (inside !== (pass === 0)) others = true;
        else if (!addAddresses(zone, cell, place)) {
          if (!inside) return;
          draft.truncated = true;
        }
      }
      record = place + (draft.message[place - 2] << 8 | draft.message[place - 1]);
    }
    if (!others) return;
  }
}

/** Addresses of the hosts that the RRset of `cell` names, whose records stand at `start` of the message. */
export function addAdditional(zone: ZoneImage, cell: number, entry: number, start: number): void {
  const { words, bytes } = zone;
  const message = draft.message;
  const type = words[entry + ENTRY.typeAndCount] >>> 16;
  const count = words[entry + ENTRY.typeAndCount] & 0xffff;
  const service = type === TYPE_SVCB || type === TYPE_HTTPS;
  const skip = type === TYPE_NS ? 0 : type === TYPE_SRV ? 6 : 2;
  const targets = targetsOf(zone, cell, entry);
  added = 0;
  let record = start;
  for (let i = 0; i < count; i++) {
    const rdata = behindName(record) + RECORD_HEAD - 2;
    const place = rdata + skip;
    const alias = service && message[place - 2] === 0 && message[place - 1] === 0;
    if (service && message[place] === 0) {
      // The root stands for the owner, and as an alias for nothing (RFC 9460 §2.5).
      if (!alias && !addHost(zone, cell, draft.hop === 0 ? 12 : locate(0), 0)) return;
    } else {
      const host = targetCell(zone, targets === 0 ? 0 : uint32(bytes, targets + 4 * i), place, 0, 0);
      // What lies below a cut is not this zone's to tell, but for the addresses of the zone's own name servers: without
      // them it could not be reached (the root's lie below the cut `net`, and RFC 8109 §3.3 wants them).
      if (host !== 0 && (!covered || type === TYPE_NS)) {
        if (!addHost(zone, host, place, alias ? type : 0)) return;
      }
    }
    record = rdata + (message[rdata - 2] << 8 | message[rdata - 1]);
  }
}

/** Once a message; `service`: the type that an alias leads to is put too (RFC 9460 §4.1). False: no room for more. */
function addHost(zone: ZoneImage, cell: number, ownerAt: number, service: number): boolean {
  for (let i = 0; i < added; i++) if (addedCells[i] === cell) return true;
  if (added === addedCells.length) return false;
  addedCells[added++] = cell;
  if (!addAddresses(zone, cell, ownerAt)) return false;
  return service === 0 || add(zone, cell, findEntry(zone, cell, service), ownerAt);
}

function addAddresses(zone: ZoneImage, cell: number, ownerAt: number): boolean {
  const { words } = zone;
  const end = cell + zone.headWords + (words[cell + CELL.head] >>> 8 & 0xff) * ENTRY.size;
  for (let entry = cell + zone.headWords; entry < end; entry += ENTRY.size) {
    const type = words[entry + ENTRY.typeAndCount] >>> 16;
    if (type > TYPE_AAAA) break;
    if ((type === TYPE_A || type === TYPE_AAAA) && !add(zone, cell, entry, ownerAt)) return false;
  }
  return true;
}

function add(zone: ZoneImage, cell: number, entry: number, ownerAt: number): boolean {
  if (entry === 0) return true;
  let put = putRRset(zone, cell, entry, ownerAt, draft.dnssec);
  // Signatures may be left out where they do not fit (RFC 4035 §3.1.1).
  if (put === 0 && draft.dnssec) put = putRRset(zone, cell, entry, ownerAt, false);
  draft.additionals += put;
  return put !== 0;
}

/** Where an RRset's targets stand in `bytes`; 0 when it has none. */
function targetsOf(zone: ZoneImage, cell: number, entry: number): number {
  const { words, bytes } = zone;
  const shape = words[entry + ENTRY.octetsAndExtras];
  if ((shape & EXTRA.targets) === 0) return 0;
  let at = (cell << 2) + words[entry + ENTRY.start] + (shape & 0xff_ffff);
  if ((shape & EXTRA.fixups) !== 0) at += 2 + 2 * (bytes[at] << 8 | bytes[at + 1]);
  if ((shape & EXTRA.signatures) !== 0) at += 6 + uint32(bytes, at + 2);
  return at;
}

/**
 * The cell, of this version, of the name at `place` of the message, which the base has as `known`; 0 for none. Sets
 * `covered`, and `inside` when the name lies at or below `cut`, whose own name starts with `label` of `draft.name`.
 */
function targetCell(zone: ZoneImage, known: number, place: number, cut: number, label: number): number {
  const words = zone.words;
  if (known === 0) return zone.patches.length === 0 ? 0 : lookUp(zone, place, label);
  covered = false;
  inside = false;
  for (let cell = known;;) {
    draft.steps++;
    const parent = words[cell + CELL.parent];
    if (parent === 0) {
      if (cell === known) return zone.apex;
      if ((words[zone.apex + CELL.head] & FLAG.dname) !== 0) covered = true;
      return known;
    }
    const head = words[cell + CELL.head];
    if ((head & FLAG.patched) !== 0 && zone.patches.length !== 0) return lookUp(zone, place, label);
    if ((head & FLAG.cut) !== 0 || (head & FLAG.dname) !== 0 && cell !== known) covered = true;
    if (cell === cut) inside = true;
    cell = parent;
  }
}

/** The same by name. */
function lookUp(zone: ZoneImage, place: number, label: number): number {
  const words = zone.words;
  scanName(host, target, 0, readName(target, place), zone.seed);
  covered = false;
  inside = false;
  const apexLabel = host.labels - zone.originLabels;
  draft.steps += host.labels + 1;
  if (apexLabel < 0 || !endsIn(host, zone.originWire, 0, zone.originWire.length)) return 0;
  const found = apexLabel === 0 ? zone.apex : findCell(zone, host, 0);
  if (found === 0) return 0;
  const name = draft.name;
  inside = endsIn(host, name.lower, name.starts[label], name.length - name.starts[label]);
  for (let cell = found, i = 0; i < apexLabel; i++) {
    const head = words[cell + CELL.head];
    if ((head & FLAG.cut) !== 0 || (head & FLAG.dname) !== 0 && i > 0) covered = true;
    if (i + 1 < apexLabel) cell = currentCell(zone, words[cell + CELL.parent], host, i + 1);
    else if ((words[zone.apex + CELL.head] & FLAG.dname) !== 0) covered = true;
  }
  return found;
}

/** Whether a name ends in the lower-case name of `octets` octets at `from`. */
function endsIn(scan: NameScan, bytes: Uint8Array, from: number, octets: number): boolean {
  const start = scan.length - octets;
  if (start < 0) return false;
  for (let i = 0; i < octets; i++) if (scan.lower[start + i] !== bytes[from + i]) return false;
  // The match must begin with a label.
  for (let label = scan.labels; label >= 0; label--) if (scan.starts[label] === start) return true;
  return false;
}

const TYPE_A = 1;
const TYPE_NS = 2;
const TYPE_AAAA = 28;
const TYPE_SRV = 33;
const TYPE_SVCB = 64;
const TYPE_HTTPS = 65;

/** Of the last target: below a cut or a DNAME; at or below the cut that is referred to. */
let covered = false;
let inside = false;

const host = createNameScan();
const target = new Uint8Array(256);

/** Cells that the additional section was given. */
const addedCells = new Int32Array(64);
let added = 0;
