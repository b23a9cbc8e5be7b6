/**
 * pkt-line framing (git: gitprotocol-common). Encoding, and an incremental decoder that is given bytes as they
 * come and gives packets back; it never allocates by a length that was only announced.
 */
import { StoreError } from "../types.ts";

/** One packet: a payload or one of the three special packets. */
export type Pkt =
  | { readonly kind: "data"; readonly payload: Uint8Array }
  | { readonly kind: "flush" }
  | { readonly kind: "delim" }
  | { readonly kind: "response-end" };

/** The longest packet, its four digits of length included (git: LARGE_PACKET_MAX). */
export const MAX_PKT = 65520;
/** The longest payload. */
export const MAX_PAYLOAD = MAX_PKT - 4;

export const FLUSH: Uint8Array = ascii("0000");
export const DELIM: Uint8Array = ascii("0001");
export const RESPONSE_END: Uint8Array = ascii("0002");

/** A data packet with this payload. @throws {StoreError} `protocol` where it does not fit in one packet */
export function encodePkt(payload: Uint8Array | string): Uint8Array {
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  if (bytes.length > MAX_PAYLOAD) {
    throw new StoreError(
      "protocol",
      `a packet of ${bytes.length} bytes does not fit: the most is ${MAX_PAYLOAD}`,
    );
  }
  const packet = new Uint8Array(bytes.length + 4);
  writeLength(packet, bytes.length + 4);
  packet.set(bytes, 4);
  return packet;
}

/** Writes the four digits of a packet's length at its start. */
export function writeLength(packet: Uint8Array, length: number): void {
  for (let i = 3; i >= 0; i--) {
    packet[i] = HEX.charCodeAt(length & 15);
    length >>= 4;
  }
}

/** Bytes in, packets out. What it holds back is at most one packet more than the longest `push`. */
export class PktDecoder {
  #buffer: Uint8Array = new Uint8Array(0);
  #start = 0;

  push(bytes: Uint8Array): void {
    if (this.#start === this.#buffer.length) {
      this.#buffer = bytes;
    } else {
      const rest = this.#buffer.subarray(this.#start);
      const joined = new Uint8Array(rest.length + bytes.length);
      joined.set(rest);
      joined.set(bytes, rest.length);
      this.#buffer = joined;
    }
    this.#start = 0;
  }

  /** The next packet; `undefined` where more bytes are needed. @throws {StoreError} `protocol` on a bad length */
  next(): Pkt | undefined {
    const buffer = this.#buffer;
    const start = this.#start;
    if (buffer.length - start < 4) return undefined;
    const length = readLength(buffer, start);
    if (length < 3) {
      this.#start = start + 4;
      return length === 0 ? { kind: "flush" } : length === 1 ? { kind: "delim" } : { kind: "response-end" };
    }
    if (buffer.length - start < length) return undefined;
    this.#start = start + length;
    return { kind: "data", payload: buffer.subarray(start + 4, start + length) };
  }

  /** Bytes that came and belong to no packet yet. */
  get pending(): number {
    return this.#buffer.length - this.#start;
  }

  /** Takes the bytes that came after the last packet: where framing ends and a raw pack begins. */
  takeRest(): Uint8Array {
    const rest = this.#buffer.subarray(this.#start);
    this.#start = this.#buffer.length;
    return rest;
  }
}

/** A packet's payload as text, a newline at its end taken off; `undefined` where it is not UTF-8. */
export function lineOf(payload: Uint8Array): string | undefined {
  const end = payload.length > 0 && payload[payload.length - 1] === 10 ? payload.length - 1 : payload.length;
  try {
    return STRICT.decode(payload.subarray(0, end));
  } catch {
    return undefined; // The one thing a strict decoder throws for is text that is not UTF-8.
  }
}

const HEX = "0123456789abcdef";
const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function readLength(bytes: Uint8Array, at: number): number {
  let length = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = hexDigit(bytes[i]);
    if (digit < 0) {
      throw new StoreError("protocol", `bad packet length ${quoted(bytes.subarray(at, at + 4))}`);
    }
    length = length * 16 + digit;
  }
  if (length === 3 || length > MAX_PKT) {
    throw new StoreError("protocol", `bad packet length ${quoted(bytes.subarray(at, at + 4))}`);
  }
  return length;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  if (byte >= 97 && byte <= 102) return byte - 87;
  if (byte >= 65 && byte <= 70) return byte - 55;
  return -1;
}

function quoted(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, "0")}`;
  }
  return JSON.stringify(text);
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
