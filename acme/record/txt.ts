/** TXT rdata: a sequence of character-strings of up to 255 octets (RFC 1035 §3.3.14). */

/** @throws {RangeError} for a string that is not ASCII or is too long, and for none */
export function encodeTxt(strings: readonly string[]): Uint8Array {
  if (strings.length === 0) throw new RangeError("a TXT record needs at least one string");
  const octets: number[] = [];
  for (const text of strings) {
    if (text.length > 255) {
      throw new RangeError(`a string of a TXT record has ${text.length} octets; 255 fit`);
    }
    octets.push(text.length);
    for (let at = 0; at < text.length; at++) {
      const octet = text.charCodeAt(at);
      if (octet > 0x7e || octet < 0x20) throw new RangeError("a string to publish is not printable ASCII");
      octets.push(octet);
    }
  }
  return Uint8Array.from(octets);
}

/** The strings, octet by octet as Latin-1; `undefined` where lengths do not add up. */
export function decodeTxt(rdata: Uint8Array): string[] | undefined {
  const strings: string[] = [];
  for (let at = 0; at < rdata.length;) {
    const end = at + 1 + rdata[at];
    if (end > rdata.length) return undefined;
    let text = "";
    for (let i = at + 1; i < end; i++) text += String.fromCharCode(rdata[i]);
    strings.push(text);
    at = end;
  }
  return strings.length === 0 ? undefined : strings;
}

/** Cuts a text into strings of at most 255 octets. */
export function cutStrings(text: string): string[] {
  const strings: string[] = [];
  for (let at = 0; at < text.length; at += 255) strings.push(text.slice(at, at + 255));
  return strings;
}
