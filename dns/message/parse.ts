/** From wire to `Message`, strictly: what is not well-formed to the last octet is an error. */
import type { Result } from "../../conduit/mod.ts";
import { nameFromWire } from "../name.ts";
import { decompressRdata } from "../rr/rdata.ts";
import { CLASS, RRTYPE, typeName } from "../rr/types.ts";
import type { Edns, Message, Name, Question, ResourceRecord } from "../types.ts";
import { OPCODE } from "./codes.ts";
import { readOptions } from "./edns.ts";
import { FLAG, HEADER_OCTETS, uint16, uint32 } from "./header.ts";

export type MessageErrorCode =
  | "short"
  | "too-many-records"
  | "bad-name"
  | "cut"
  | "bad-rdata"
  | "bad-opt"
  | "bad-tsig"
  | "trailing-octets";

/** Why bytes are no message. A server answers each with FORMERR, where it can answer at all. */
export interface MessageError {
  readonly code: MessageErrorCode;
  /** The offset in the message where it went wrong. */
  readonly offset: number;
  /** One sentence without a final dot. */
  readonly message: string;
}

/** A message, and the TSIG record taken off its end. */
export interface ParsedMessage extends Message {
  /** Where the TSIG record stands, unverified; `undefined` in an unsigned message. See `verifyRequest`. */
  readonly tsig: { readonly offset: number; readonly name: Name } | undefined;
}

/**
 * Reads a message. Pointers go strictly backward; rdata is checked and expanded (RFC 3597 §4); OPT stands once, at
 * the root, among the additional records (RFC 6891 §6.1.1); TSIG stands last (RFC 8945 §5.1); nothing follows. Work and memory are
 * bounded by the length of `bytes`, whatever the counts claim.
 */
export function parseMessage(bytes: Uint8Array): Result<ParsedMessage, MessageError> {
  try {
    return { ok: true, value: readMessage(bytes) };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return { ok: false, error: { code: error.code, offset: error.offset, message: error.message } };
  }
}

function readMessage(bytes: Uint8Array): ParsedMessage {
  if (bytes.length < HEADER_OCTETS) {
    throw new Malformed(
      "short",
      0,
      `a message has at least ${HEADER_OCTETS} octets and this has ${bytes.length}`,
    );
  }
  const flags = uint16(bytes, 2);
  const opcode = flags >>> 11 & 0x0f;
  const counts = { questions: uint16(bytes, 4), records: 0 };
  const sections = [uint16(bytes, 6), uint16(bytes, 8), uint16(bytes, 10)];
  counts.records = sections[0] + sections[1] + sections[2];
  const least = counts.questions * LEAST_QUESTION + counts.records * LEAST_RECORD;
  if (least > bytes.length - HEADER_OCTETS) {
    throw new Malformed("too-many-records", 4, "the counts announce more than the message can hold");
  }

  const reader: Reader = { bytes, at: HEADER_OCTETS, opcode };
  const questions = Array.from({ length: counts.questions }, () => readQuestion(reader));
  const answers = readSection(reader, sections[0], "answer");
  const authorities = readSection(reader, sections[1], "authority");
  const last = readSection(reader, sections[2], "additional");
  if (reader.at !== bytes.length) {
    throw new Malformed("trailing-octets", reader.at, "octets follow the last record");
  }
  return {
    id: uint16(bytes, 0),
    opcode,
    rcode: flags & 0x0f | (last.opt?.extendedRcode ?? 0) << 4,
    response: (flags & FLAG.QR) !== 0,
    authoritative: (flags & FLAG.AA) !== 0,
    truncated: (flags & FLAG.TC) !== 0,
    recursionDesired: (flags & FLAG.RD) !== 0,
    recursionAvailable: (flags & FLAG.RA) !== 0,
    authenticData: (flags & FLAG.AD) !== 0,
    checkingDisabled: (flags & FLAG.CD) !== 0,
    questions,
    answers: answers.records,
    authorities: authorities.records,
    additionals: last.records,
    edns: last.opt?.edns,
    tsig: last.tsig,
  };
}

/** The root's name, type and class; and with TTL and length besides. */
const LEAST_QUESTION = 5;
const LEAST_RECORD = 11;

interface Reader {
  readonly bytes: Uint8Array;
  readonly opcode: number;
  at: number;
}

interface Section {
  readonly records: ResourceRecord[];
  readonly opt: { readonly edns: Edns; readonly extendedRcode: number } | undefined;
  readonly tsig: ParsedMessage["tsig"];
}

function readQuestion(reader: Reader): Question {
  const name = readName(reader);
  need(reader, 4);
  const type = uint16(reader.bytes, reader.at);
  const questionClass = uint16(reader.bytes, reader.at + 2);
  reader.at += 4;
  return { name, type, class: questionClass };
}

function readSection(reader: Reader, count: number, which: "answer" | "authority" | "additional"): Section {
  const { bytes } = reader;
  const records: ResourceRecord[] = [];
  let opt: Section["opt"];
  let tsig: Section["tsig"];
  for (let i = 0; i < count; i++) {
    const start = reader.at;
    const owner = readName(reader);
    need(reader, 10);
    const type = uint16(bytes, reader.at);
    const recordClass = uint16(bytes, reader.at + 2);
    const ttl = uint32(bytes, reader.at + 4);
    const length = uint16(bytes, reader.at + 8);
    reader.at += 10;
    need(reader, length);
    const rdataAt = reader.at;
    reader.at += length;
    if (type === RRTYPE.OPT) {
      if (which !== "additional" || owner !== "." || opt !== undefined) {
        throw new Malformed("bad-opt", start, "OPT stands once, at the root, among the additional records");
      }
      const options = readOptions(bytes, rdataAt, reader.at);
      if (options === undefined) throw new Malformed("bad-opt", rdataAt, "an option of OPT is cut");
      const flags = ttl & 0xffff;
      opt = {
        extendedRcode: ttl >>> 24,
        edns: { udpSize: recordClass, version: ttl >>> 16 & 0xff, dnssecOk: (flags & 0x8000) !== 0, options },
      };
    } else if (type === RRTYPE.TSIG) {
      if (which !== "additional" || i !== count - 1) {
        throw new Malformed("bad-tsig", start, "TSIG stands last among the additional records");
      }
      tsig = { offset: start, name: owner };
    } else {
      const rdata = readRdata(reader, type, recordClass, rdataAt, length);
      // RFC 2181 §8: a TTL with the highest bit set counts as 0.
      records.push({ owner, type, class: recordClass, ttl: ttl > MAX_TTL ? 0 : ttl, rdata });
    }
  }
  return { records, opt, tsig };
}

const MAX_TTL = 0x7fff_ffff;

function readRdata(
  reader: Reader,
  type: number,
  recordClass: number,
  offset: number,
  length: number,
): Uint8Array {
  // RFC 2136 §2.4, §2.5: in an update, empty rdata under ANY and NONE says "any", whatever the type.
  const meta = recordClass === CLASS.ANY || recordClass === CLASS.NONE;
  if (length === 0 && reader.opcode === OPCODE.UPDATE && meta) return new Uint8Array(0);
  const rdata = decompressRdata(type, reader.bytes, offset, length);
  if (rdata === undefined) {
    throw new Malformed("bad-rdata", offset, `the octets are no rdata of type ${typeName(type)}`);
  }
  return rdata;
}

function readName(reader: Reader): Name {
  const read = nameFromWire(reader.bytes, reader.at);
  if (read === undefined) throw new Malformed("bad-name", reader.at, "the octets are no name");
  reader.at = read.end;
  return read.name;
}

function need(reader: Reader, octets: number): void {
  if (reader.at + octets > reader.bytes.length) {
    throw new Malformed("cut", reader.at, "the message ends inside a record");
  }
}

/** Leaves the nested readers; never the file. */
class Malformed extends Error {
  constructor(readonly code: MessageErrorCode, readonly offset: number, message: string) {
    super(message);
  }
}
