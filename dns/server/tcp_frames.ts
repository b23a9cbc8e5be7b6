/** Messages over a stream: each with two octets of length before it (RFC 1035 §4.2.2, RFC 7766 §8). */
import { uint16 } from "../message/header.ts";

export interface FrameReader {
  /** Takes the next octets of the stream. */
  push(bytes: Uint8Array): void;
  /** The next whole message; `undefined` until more octets come. */
  next(): Uint8Array | undefined;
  /** Octets that wait for the rest of their message. */
  readonly pending: number;
}

/** Cuts a stream into messages, however its octets arrive. Holds no more than one message besides what was pushed last. */
export function createFrameReader(): FrameReader {
  let buffer = new Uint8Array(512);
  let at = 0;
  let end = 0;
  return {
    push(bytes) {
      if (end + bytes.length > buffer.length) {
        // Doubling, so that octets that come one by one are not copied each time.
        const needed = end - at + bytes.length;
        const target = needed > buffer.length / 2 ? new Uint8Array(needed * 2) : buffer;
        target.set(buffer.subarray(at, end));
        buffer = target;
        end -= at;
        at = 0;
      }
      buffer.set(bytes, end);
      end += bytes.length;
    },
    next() {
      if (end - at < 2) return undefined;
      const behind = at + 2 + uint16(buffer, at);
      if (behind > end) return undefined;
      const message = buffer.slice(at + 2, behind);
      at = behind;
      if (at === end) at = end = 0;
      return message;
    },
    get pending() {
      return end - at;
    },
  };
}

/** A message with its length before it, in one piece so that it leaves in one segment (RFC 7766 §8). */
export function frame(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  framed[0] = message.length >>> 8;
  framed[1] = message.length;
  framed.set(message, 2);
  return framed;
}
