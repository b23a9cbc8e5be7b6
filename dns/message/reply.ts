/** Replies that need nothing of a query but its header and its question as it stands, case and all. */
import { skipWireName } from "../name.ts";
import type { Edns } from "../types.ts";
import { optRecord } from "./edns.ts";
import { FLAG, HEADER_OCTETS, putUint16, uint16 } from "./header.ts";
import { layoutOf } from "./skip.ts";

/**
 * A response without records: ID, opcode and RD of the query, its question section octet for octet where there is one
 * question that can be read, and OPT only if `edns` is given (RFC 6891 §6.1.1: not to a query without it). `undefined` when
 * the bytes are no header or a response themselves, because neither may be answered.
 * @param rcode up to 15, up to 4095 with `edns`
 */
export function bareReply(query: Uint8Array, rcode: number, edns?: Edns): Uint8Array | undefined {
  if (query.length < HEADER_OCTETS || (query[2] & 0x80) !== 0) return undefined;
  const questionEnd = echoedQuestionEnd(query);
  const opt = edns === undefined ? undefined : optRecord(edns, rcode);
  const reply = new Uint8Array(questionEnd + (opt?.length ?? 0));
  reply.set(query.subarray(0, 2));
  putUint16(reply, 2, uint16(query, 2) & (0x7800 | FLAG.RD) | FLAG.QR | rcode & 0x0f);
  if (questionEnd > HEADER_OCTETS) {
    reply.set(query.subarray(HEADER_OCTETS, questionEnd), HEADER_OCTETS);
    putUint16(reply, 4, 1);
  }
  if (opt !== undefined) {
    reply.set(opt, questionEnd);
    putUint16(reply, 10, 1);
  }
  return reply;
}

/** True when a well-formed message has an OPT record, which allows one in the response. */
export function hasEdns(query: Uint8Array): boolean {
  return layoutOf(query)?.opt !== undefined;
}

/** The offset behind the only question, if its name is spelled out; else that behind the header. */
function echoedQuestionEnd(query: Uint8Array): number {
  if (uint16(query, 4) !== 1) return HEADER_OCTETS;
  const nameEnd = skipWireName(query, HEADER_OCTETS, query.length);
  return nameEnd === undefined || nameEnd + 4 > query.length ? HEADER_OCTETS : nameEnd + 4;
}
