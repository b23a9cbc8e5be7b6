/** Messages made from scratch or from the message they answer. */
import { CLASS } from "../rr/types.ts";
import type { Edns, Message, Name } from "../types.ts";
import { OPCODE, RCODE } from "./codes.ts";

/** A question on its own: opcode QUERY, class IN, recursion not desired. */
export function queryFor(
  question: { readonly name: Name; readonly type: number },
  options: { readonly id: number; readonly edns?: Edns | undefined },
): Message {
  return {
    ...EMPTY_MESSAGE,
    id: options.id,
    questions: [{ name: question.name, type: question.type, class: CLASS.IN }],
    edns: options.edns,
  };
}

/** The response to `query`, empty but for what `parts` says: ID, opcode, questions and RD are the query's, CD is clear
 * (RFC 4035 §3.1.6). */
export function responseTo(query: Message, parts: Partial<Message> = {}): Message {
  return {
    ...EMPTY_MESSAGE,
    id: query.id,
    opcode: query.opcode,
    response: true,
    recursionDesired: query.recursionDesired,
    questions: query.questions,
    ...parts,
  };
}

/** EDNS of version 0 with nothing in it. */
export function plainEdns(udpSize = 1232): Edns {
  return { udpSize, version: 0, dnssecOk: false, options: [] };
}

export const EMPTY_MESSAGE: Message = {
  id: 0,
  opcode: OPCODE.QUERY,
  rcode: RCODE.NOERROR,
  response: false,
  authoritative: false,
  truncated: false,
  recursionDesired: false,
  recursionAvailable: false,
  authenticData: false,
  checkingDisabled: false,
  questions: [],
  answers: [],
  authorities: [],
  additionals: [],
  edns: undefined,
};
