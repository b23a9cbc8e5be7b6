/** The little of DER (X.690 §8.1, §10.1) that is needed where a library hides the signed octets. */

/** An element: `start` of its tag, `content` and `end` as offsets. */
export interface DerElement {
  readonly tag: number;
  readonly start: number;
  readonly content: number;
  readonly end: number;
}

/** The element at an offset; `undefined` where it is cut, indefinite or not in shortest form. */
export function derElement(bytes: Uint8Array, start: number): DerElement | undefined {
  if (start + 2 > bytes.length || (bytes[start] & 0x1f) === 0x1f) return undefined;
  let content = start + 2;
  let length = bytes[start + 1];
  if (length >= 0x80) {
    const octets = length & 0x7f;
    if (octets === 0 || octets > 4 || content + octets > bytes.length) return undefined;
    length = 0;
    for (let at = 0; at < octets; at++) length = length * 256 + bytes[content + at];
    if (length < 0x80 || length < 256 ** (octets - 1)) return undefined;
    content += octets;
  }
  const end = content + length;
  return end > bytes.length ? undefined : { tag: bytes[start], start, content, end };
}

/** The part of SEQUENCE { signed, algorithm, signature } that is signed; `undefined` if octets follow it. */
export function signedPart(bytes: Uint8Array): Uint8Array | undefined {
  const outer = derElement(bytes, 0);
  if (outer === undefined || outer.tag !== 0x30 || outer.end !== bytes.length) return undefined;
  const inner = derElement(bytes, outer.content);
  if (inner === undefined || inner.tag !== 0x30 || inner.end > outer.end) return undefined;
  return bytes.subarray(inner.start, inner.end);
}
