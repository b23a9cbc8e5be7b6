/** The OPT record (RFC 6891) and extended errors (RFC 8914). */
import { RRTYPE } from "../rr/types.ts";
import type { Edns, EdnsOption, Message } from "../types.ts";
import { EDNS_OPTION } from "./codes.ts";
import { putUint16, uint16 } from "./header.ts";

/** An extended error as it is told to people: `code` is one of `EDE`. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}

/** The option that carries an extended error; a text over 200 octets is cut at a character's border. */
export function extendedErrorOption(error: ExtendedError): EdnsOption {
  const data = new Uint8Array(2 + MAX_TEXT_OCTETS);
  putUint16(data, 0, error.code);
  const { written } = new TextEncoder().encodeInto(error.text, data.subarray(2));
  return { code: EDNS_OPTION.EXTENDED_ERROR, data: data.slice(0, 2 + written) };
}

/** The extended errors of a message, in order; options that are cut or no UTF-8 are read as far as they go. */
export function extendedErrorsOf(message: Message): ExtendedError[] {
  return (message.edns?.options ?? [])
    .filter((option) => option.code === EDNS_OPTION.EXTENDED_ERROR && option.data.length >= 2)
    .map(({ data }) => ({ code: uint16(data, 0), text: new TextDecoder().decode(data.subarray(2)) }));
}

/** The wire form of OPT with the upper bits of a response code (RFC 6891 §6.1.2). */
export function optRecord(edns: Edns, rcode: number): Uint8Array {
  const size = edns.options.reduce((sum, option) => sum + 4 + option.data.length, 0);
  const wire = new Uint8Array(11 + size);
  putUint16(wire, 1, RRTYPE.OPT);
  putUint16(wire, 3, edns.udpSize);
  wire[5] = rcode >>> 4;
  wire[6] = edns.version;
  wire[7] = edns.dnssecOk ? 0x80 : 0;
  putUint16(wire, 9, size);
  let at = 11;
  for (const option of edns.options) {
    putUint16(wire, at, option.code);
    putUint16(wire, at + 2, option.data.length);
    wire.set(option.data, at + 4);
    at += 4 + option.data.length;
  }
  return wire;
}

/** Takes the options of OPT apart; `undefined` when their lengths do not add up. */
export function readOptions(bytes: Uint8Array, start: number, end: number): EdnsOption[] | undefined {
  const options: EdnsOption[] = [];
  for (let at = start; at < end;) {
    if (at + 4 > end) return undefined;
    const length = uint16(bytes, at + 2);
    if (at + 4 + length > end) return undefined;
    options.push({ code: uint16(bytes, at), data: bytes.slice(at + 4, at + 4 + length) });
    at += 4 + length;
  }
  return options;
}

/** An extended error is a hint for people; longer than this it is a burden for a packet. */
const MAX_TEXT_OCTETS = 200;
