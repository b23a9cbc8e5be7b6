/** From `Message` to wire, with names compressed where that is allowed. */
import { nameToWire } from "../name.ts";
import { rdataNames } from "../rr/rdata.ts";
import type { Message, Name, Question, ResourceRecord } from "../types.ts";
import { optRecord } from "./edns.ts";
import { FLAG, HEADER_OCTETS, MAX_MESSAGE_OCTETS, putUint16, putUint32 } from "./header.ts";

export interface BuildOptions {
  /** The longest message to make, in octets; default and at most 65535. */
  readonly maxSize?: number | undefined;
}

/**
 * Writes a message. Owner names are compressed (RFC 1035 §4.1.4), names in rdata only in the types of RFC 1035 (RFC 3597 §4), and
 * only against a name of the same case, so nothing is lost. Where not everything has room, the records from the first
 * that has none are left off and TC is set, except for additional records, which are left off silently (RFC 2181 §9); OPT always stays.
 * @throws {RangeError} when header, questions and OPT alone have no room, or a response code from 16 has no OPT to go into
 */
export function buildMessage(message: Message, options: BuildOptions = {}): Uint8Array {
  const maxSize = Math.min(options.maxSize ?? MAX_MESSAGE_OCTETS, MAX_MESSAGE_OCTETS);
  if (message.rcode > 0x0f && message.edns === undefined) {
    throw new RangeError(`response code ${message.rcode} needs OPT`);
  }
  const opt = message.edns === undefined ? new Uint8Array(0) : optRecord(message.edns, message.rcode);
  const writer = createWriter(maxSize - opt.length);

  for (const question of message.questions) {
    if (!writer.question(question)) {
      throw new RangeError(`the questions alone take more than ${maxSize} octets`);
    }
  }
  const answers = writer.records(message.answers);
  const authorities = answers < message.answers.length ? 0 : writer.records(message.authorities);
  const cut = answers < message.answers.length || authorities < message.authorities.length;
  const additionals = cut ? 0 : writer.records(message.additionals);
  if (writer.length() + opt.length > maxSize) throw new RangeError(`${maxSize} octets hold no message`);

  const wire = writer.finish(opt);
  putUint16(wire, 0, message.id);
  putUint16(wire, 2, flagsOf(message) | (cut ? FLAG.TC : 0));
  putUint16(wire, 4, message.questions.length);
  putUint16(wire, 6, answers);
  putUint16(wire, 8, authorities);
  putUint16(wire, 10, additionals + (opt.length > 0 ? 1 : 0));
  return wire;
}

function flagsOf(message: Message): number {
  return (message.opcode & 0x0f) << 11 | message.rcode & 0x0f |
    (message.response ? FLAG.QR : 0) | (message.authoritative ? FLAG.AA : 0) |
    (message.truncated ? FLAG.TC : 0) | (message.recursionDesired ? FLAG.RD : 0) |
    (message.recursionAvailable ? FLAG.RA : 0) | (message.authenticData ? FLAG.AD : 0) |
    (message.checkingDisabled ? FLAG.CD : 0);
}

/** A growing buffer that remembers where names were written. */
function createWriter(limit: number) {
  let bytes = new Uint8Array(Math.min(512, Math.max(limit, HEADER_OCTETS)));
  let length = HEADER_OCTETS;
  const places = new Map<string, number>();
  /** Names written since the last record that fitted; forgotten with a record that does not. */
  let tentative: string[] = [];

  const reserve = (octets: number) => {
    if (length + octets <= bytes.length) return;
    const larger = new Uint8Array(Math.max(bytes.length * 2, length + octets));
    larger.set(bytes.subarray(0, length));
    bytes = larger;
  };
  const put = (octets: Uint8Array) => {
    reserve(octets.length);
    bytes.set(octets, length);
    length += octets.length;
  };
  const putName = (wire: Uint8Array) => {
    const text = String.fromCharCode(...wire);
    for (let at = 0; wire[at] !== 0; at += 1 + wire[at]) {
      const suffix = text.slice(at);
      const place = places.get(suffix);
      reserve(2 + wire[at]);
      if (place !== undefined) {
        putUint16(bytes, length, 0xc000 | place);
        length += 2;
        return;
      }
      if (length < MAX_POINTER) {
        places.set(suffix, length);
        tentative.push(suffix);
      }
      bytes.set(wire.subarray(at, at + 1 + wire[at]), length);
      length += 1 + wire[at];
    }
    put(ROOT_WIRE);
  };
  const putOwner = (name: Name) => putName(nameToWire(name));
  const putRdata = (type: number, rdata: Uint8Array) => {
    let from = 0;
    for (const name of rdataNames(type, rdata)) {
      if (!name.compressible) continue;
      put(rdata.subarray(from, name.offset));
      from = name.offset + name.length;
      putName(rdata.subarray(name.offset, from));
    }
    put(rdata.subarray(from));
  };
  const fits = (write: () => void): boolean => {
    const before = length;
    tentative = [];
    write();
    if (length <= limit) return true;
    length = before;
    for (const suffix of tentative) places.delete(suffix);
    return false;
  };

  return {
    length: () => length,
    question: ({ name, type, class: questionClass }: Question) =>
      fits(() => {
        putOwner(name);
        reserve(4);
        putUint16(bytes, length, type);
        putUint16(bytes, length + 2, questionClass);
        length += 4;
      }),
    /** Writes records up to the first that has no room; gives how many were written. */
    records(records: readonly ResourceRecord[]): number {
      for (const [index, record] of records.entries()) {
        const written = fits(() => {
          putOwner(record.owner);
          reserve(10);
          const fixed = length;
          putUint16(bytes, fixed, record.type);
          putUint16(bytes, fixed + 2, record.class);
          putUint32(bytes, fixed + 4, record.ttl);
          length += 10;
          putRdata(record.type, record.rdata);
          putUint16(bytes, fixed + 8, length - fixed - 10);
        });
        if (!written) return index;
      }
      return records.length;
    },
    finish(tail: Uint8Array): Uint8Array {
      put(tail);
      return bytes.slice(0, length);
    },
  };
}

const ROOT_WIRE = new Uint8Array(1);
/** A pointer has 14 bits. */
const MAX_POINTER = 0x4000;
