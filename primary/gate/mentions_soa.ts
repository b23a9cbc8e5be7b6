/** `SOA`, or `TYPE6` of RFC 3597, anywhere in any case: a file without it need not be parsed. */
export function mentionsSoa(bytes: Uint8Array): boolean {
  for (let at = 0; at + 2 < bytes.length; at++) {
    const octet = bytes[at] | 0x20;
    if (octet === 0x73 && (bytes[at + 1] | 0x20) === 0x6f && (bytes[at + 2] | 0x20) === 0x61) return true;
    if (
      octet === 0x74 && (bytes[at + 1] | 0x20) === 0x79 && (bytes[at + 2] | 0x20) === 0x70 &&
      bytes[at + 4] === 0x36
    ) {
      return true;
    }
  }
  return false;
}
