import { CLASS, nameFromWire, nameToWire, type ResourceRecord } from "../../dns/mod.ts";

/**
 * Records as the journal keeps them: one after the other in uncompressed wire form (RFC 1035 §3.2.1) without the
 * class, which is always IN.
 */
export function encodeRecords(records: readonly ResourceRecord[]): Uint8Array {
  const owners = records.map((record) => nameToWire(record.owner));
  const size = records.reduce((sum, record, at) => sum + owners[at].length + FIXED + record.rdata.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  records.forEach((record, index) => {
    bytes.set(owners[index], at);
    at += owners[index].length;
    view.setUint16(at, record.type);
    view.setUint32(at + 2, record.ttl);
    view.setUint16(at + 6, record.rdata.length);
    bytes.set(record.rdata, at + FIXED);
    at += FIXED + record.rdata.length;
  });
  return bytes;
}

/** @throws {RangeError} when the bytes are not what `encodeRecords` writes */
export function decodeRecords(bytes: Uint8Array): ResourceRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const records: ResourceRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const owner = nameFromWire(bytes, at);
    if (owner === undefined) throw new RangeError(`no name at offset ${at} of a journal entry`);
    const type = view.getUint16(owner.end);
    const ttl = view.getUint32(owner.end + 2);
    const end = owner.end + FIXED + view.getUint16(owner.end + 6);
    if (end > bytes.length) throw new RangeError(`a journal entry is cut at offset ${at}`);
    records.push({
      owner: owner.name,
      type,
      class: CLASS.IN,
      ttl,
      rdata: bytes.slice(owner.end + FIXED, end),
    });
    at = end;
  }
  return records;
}

/** Type, TTL and length of the rdata. */
const FIXED = 8;
