/** The twelve octets that every message begins with (RFC 1035 §4.1.1), read and answered without parsing the rest. */

export const HEADER_OCTETS = 12;
/** What a length field of two octets can say, and so the longest message (RFC 1035 §4.2.2). */
export const MAX_MESSAGE_OCTETS = 65_535;

/** The bits of the header's second 16-bit word. */
export const FLAG = {
  QR: 0x8000,
  AA: 0x0400,
  TC: 0x0200,
  RD: 0x0100,
  RA: 0x0080,
  AD: 0x0020,
  CD: 0x0010,
} as const;

/** The ID; `undefined` when the bytes are no header. */
export function messageId(bytes: Uint8Array): number | undefined {
  return bytes.length < HEADER_OCTETS ? undefined : uint16(bytes, 0);
}

/** The opcode; `undefined` when the bytes are no header. */
export function opcodeOf(bytes: Uint8Array): number | undefined {
  return bytes.length < HEADER_OCTETS ? undefined : bytes[2] >>> 3 & 0x0f;
}

/** True for a response (QR). A server must not answer those. */
export function isResponse(bytes: Uint8Array): boolean {
  return bytes.length >= HEADER_OCTETS && (bytes[2] & 0x80) !== 0;
}

export function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}

export function uint32(bytes: Uint8Array, at: number): number {
  return uint16(bytes, at) * 0x10000 + uint16(bytes, at + 2);
}

export function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  putUint16(bytes, at, value >>> 16);
  putUint16(bytes, at + 2, value & 0xffff);
}
