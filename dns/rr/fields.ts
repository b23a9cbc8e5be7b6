/** The fields that most record types are made of: numbers, names, strings, binary data. */
import { nameFromWire, parseName, skipWireName, wireNameText } from "../name.ts";
import { CONTROL, ESCAPED, INNER_QUOTE, QUOTED, type Tokens } from "../zonefile/tokens.ts";
import type { Field, NameRules, RdataInput, WireCursor, WireWriter } from "./descriptor.ts";
import { MAX_RDATA_OCTETS, RdataFault } from "./descriptor.ts";

/** An unsigned number of 1, 2 or 4 octets. */
export function uint(octets: 1 | 2 | 4, what: string): Field {
  const limit = 2 ** (8 * octets) - 1;
  return {
    read(input, out) {
      const token = input.take(what);
      putUint(out, octets, readDecimal(input.tokens, token, limit, what), token);
    },
    print: (wire) => String(takeUint(wire, octets)),
    skip: fixed(octets),
  };
}

/** A number with mnemonics: read as either, printed as the number. */
export function enumerated(octets: 1 | 2, what: string, mnemonics: Readonly<Record<string, number>>): Field {
  const byName = new Map(Object.entries(mnemonics));
  const plain = uint(octets, what);
  return {
    ...plain,
    read(input, out) {
      const token = input.tokens;
      const value = input.more ? byName.get(input.word(input.next)?.toUpperCase() ?? "") : undefined;
      if (value === undefined && input.more && !isDigit(token.bytes[token.start[input.next]])) {
        throw input.fault(
          "bad-number",
          input.next,
          `${what} "${token.text(input.next)}" is neither a number nor a known mnemonic; write the number`,
        );
      }
      if (value === undefined) return plain.read(input, out);
      putUint(out, octets, value, input.next++);
    },
  };
}

/** Seconds, with units if one likes: `1h30m`. */
export function duration(what: string): Field {
  return {
    read(input, out) {
      const token = input.take(what);
      const { bytes, start, end } = input.tokens;
      const value = readDuration(bytes, start[token], end[token]);
      if (value === undefined || value > 0xffff_ffff) {
        throw input.fault(
          "bad-number",
          token,
          `${what} "${
            input.tokens.text(token)
          }" is no time; write seconds up to 4294967295, or units as in 1h30m`,
        );
      }
      out.uint32(value, token);
    },
    print: (wire) => String(wire.uint32()),
    skip: fixed(4),
  };
}

/**
 * Reads seconds with or without units (`w d h m s`, any case); `undefined` when the text is no time, Infinity when it
 * is beyond any.
 */
export function readDuration(bytes: Uint8Array, start: number, end: number): number | undefined {
  let total = 0;
  let number = 0;
  let digits = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i];
    if (isDigit(byte)) {
      number = number * 10 + byte - 0x30;
      digits++;
      continue;
    }
    const unit = UNITS[byte | 0x20];
    if (unit === undefined || digits === 0) return undefined;
    total += number * unit;
    number = digits = 0;
  }
  // Digits behind a unit are seconds, as in `1h30`.
  if (digits === 0 && total === 0 && (end === start || isDigit(bytes[end - 1]))) return undefined;
  return total + number;
}

const UNITS: Readonly<Record<number, number>> = {
  0x77: 604_800,
  0x64: 86_400,
  0x68: 3_600,
  0x6d: 60,
  0x73: 1,
};

/** A name of RFC 1035: compressible, expanded, lower-cased in canonical form. */
export const WELL_KNOWN: NameRules = { compress: true, expand: true, lower: true };
/** A name of the types that RFC 3597 §4 lists for receivers, lower-cased by RFC 4034 §6.2. */
export const EXPANDED: NameRules = { compress: false, expand: true, lower: true };
/** A name that is never compressed and still lower-cased (RFC 4034 §6.2). */
export const LOWERED: NameRules = { compress: false, expand: false, lower: true };
/** A name that is left as it is. */
export const KEPT: NameRules = { compress: false, expand: false, lower: false };

export function domainName(what: string, rules: NameRules): Field {
  return {
    name: rules,
    read(input, out) {
      readNameToken(input, out, input.take(what), what);
    },
    print: printName,
    skip: (bytes, at, end) => skipWireName(bytes, at, end) ?? -1,
  };
}

/** Puts the name of a token, completed with the origin and in the case it is written in. */
function readNameToken(input: RdataInput, out: WireWriter, token: number, what: string): void {
  const end = writeTextName(input.tokens, token, input.origin, out.bytes, out.length);
  if (end === -1 || end > MAX_RDATA_OCTETS) {
    throw input.fault("bad-name", token, `${what}: ${explainBadName(input.tokens, token, input.origin)}`);
  }
  out.length = end;
}

/** The reason why a token is no name. */
export function explainBadName(tokens: Tokens, token: number, origin: Uint8Array): string {
  const { bytes, start, end } = tokens;
  // Four characters an octet is the most that an escaped name of 255 octets takes.
  const text = new TextDecoder().decode(
    bytes.subarray(start[token], Math.min(end[token], start[token] + 1_100)),
  );
  const parsed = parseName(text, nameFromWire(origin, 0)?.name);
  return parsed.ok ? `"${tokens.text(token)}" is no domain name` : parsed.error.message;
}

/**
 * Writes a token's name in wire form at `at` of `target`, case kept; gives the offset behind it, -1 when it is no name.
 * An empty `origin` stands for none: the text is absolute then.
 * `target` has room for 320 octets more.
 */
export function writeTextName(
  tokens: Tokens,
  token: number,
  origin: Uint8Array,
  target: Uint8Array,
  at: number,
): number {
  const { bytes } = tokens;
  const from = tokens.start[token];
  const to = tokens.end[token];
  const size = to - from;
  if (size === 0) return -1;
  if (size === 1 && bytes[from] === 0x40) {
    if (origin.length === 0) return -1;
    target.set(origin, at);
    return at + origin.length;
  }
  if (size === 1 && bytes[from] === 0x2e) {
    target[at] = 0;
    return at + 1;
  }
  let lengthAt = at;
  let put = at + 1;
  for (let i = from; i < to; i++) {
    let octet = bytes[i];
    if (octet === 0x2e) {
      const length = put - lengthAt - 1;
      if (length === 0 || length > 63 || put - at > 254) return -1;
      target[lengthAt] = length;
      lengthAt = put++;
      continue;
    }
    if (octet === 0x5c) {
      const escaped = escapedOctet(bytes, i + 1, to);
      if (escaped === -1) return -1;
      i += isDigit(bytes[i + 1]) ? 3 : 1;
      octet = escaped;
    } else if (octet <= 0x1f || octet >= 0x7f) {
      return -1;
    }
    target[put++] = octet;
    if (put - lengthAt > 64) return -1;
  }
  const length = put - lengthAt - 1;
  if (length === 0) {
    target[lengthAt] = 0;
    return put - at > 255 ? -1 : put;
  }
  target[lengthAt] = length;
  const base = origin.length === 0 ? ROOT_WIRE : origin;
  if (put - at + base.length > 255) return -1;
  target.set(base, put);
  return put + base.length;
}

const ROOT_WIRE = new Uint8Array(1);

/** Prints a name with its case. */
function printName(wire: WireCursor): string {
  const read = wireNameText(wire.bytes, wire.at, wire.end);
  if (read === undefined) throw new RangeError("rdata was printed without having been checked");
  wire.at = read.end;
  return read.text;
}

/** One character-string (RFC 1035 §3.3), printed in quotes. */
export function characterString(what: string): Field {
  return {
    read(input, out) {
      readCharacterString(input, out, input.take(what), what);
    },
    print: (wire) => quote(wire.take(wire.octet())),
    skip: skipCharacterString,
  };
}

/** One or more character-strings to the end of the rdata. */
export function characterStrings(what: string): Field {
  return {
    read(input, out) {
      do {
        readCharacterString(input, out, input.take(what), what);
      } while (input.more);
    },
    print(wire) {
      const strings: string[] = [];
      while (wire.at < wire.end) strings.push(quote(wire.take(wire.octet())));
      return strings.join(" ");
    },
    skip(bytes, at, end) {
      if (at === end) return -1;
      while (at !== -1 && at < end) at = skipCharacterString(bytes, at, end);
      return at;
    },
  };
}

/** Text to the end of the rdata, without a length: one string, printed in quotes. */
export function textRest(what: string, minimum: 0 | 1): Field {
  return {
    read(input, out) {
      const token = input.take(what);
      const before = out.length;
      readText(input, out, token, what);
      if (out.length - before < minimum) throw input.fault("bad-string", token, `${what} is empty; write it`);
    },
    print: (wire) => quote(wire.rest()),
    skip: (_, at, end) => end - at < minimum ? -1 : end,
  };
}

function readCharacterString(input: RdataInput, out: WireWriter, token: number, what: string): void {
  const lengthAt = out.length;
  out.octet(0, token);
  readText(input, out, token, what);
  const length = out.length - lengthAt - 1;
  if (length > 255) {
    throw input.fault(
      "string-too-long",
      token,
      `${what} "${
        input.tokens.text(token)
      }" has ${length} octets and a string holds 255; split it into several quoted strings`,
    );
  }
  out.bytes[lengthAt] = length;
}

/** Puts a token's octets, escapes resolved. */
export function readText(input: RdataInput, out: WireWriter, token: number, what: string): void {
  const { bytes, start, end, flags } = input.tokens;
  const flag = flags[token];
  if (flag & (INNER_QUOTE | CONTROL)) {
    throw input.fault(
      "bad-string",
      token,
      flag & CONTROL
        ? `${what} "${input.tokens.text(token)}" holds a control character; write it as \\DDD`
        : `${what} "${
          input.tokens.text(token)
        }" has a quote in its middle; put the whole in quotes, or write \\"`,
    );
  }
  const from = start[token];
  const to = end[token];
  if ((flag & ESCAPED) === 0) {
    if (out.length + to - from > MAX_RDATA_OCTETS) {
      throw input.fault("rdata-too-long", token, `the data takes more than ${MAX_RDATA_OCTETS} octets`);
    }
    out.bytes.set(bytes.subarray(from, to), out.length);
    out.length += to - from;
    return;
  }
  for (let i = from; i < to; i++) {
    if (bytes[i] !== 0x5c) {
      out.octet(bytes[i], token);
      continue;
    }
    const octet = escapedOctet(bytes, i + 1, to);
    if (octet === -1) {
      throw input.fault(
        "bad-string",
        token,
        `${what} "${
          input.tokens.text(token)
        }" has a bad escape; write \\ and the character, or \\ and three digits from 000 to 255`,
      );
    }
    out.octet(octet, token);
    i += isDigit(bytes[i + 1]) ? 3 : 1;
  }
}

/** What follows a backslash (RFC 1035 §5.1): three digits or one character; -1 for anything else. */
function escapedOctet(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  if (!isDigit(bytes[at])) return bytes[at] < 0x20 ? -1 : bytes[at];
  if (at + 2 >= end || !isDigit(bytes[at + 1]) || !isDigit(bytes[at + 2])) return -1;
  const value = (bytes[at] - 0x30) * 100 + (bytes[at + 1] - 0x30) * 10 + bytes[at + 2] - 0x30;
  return value > 255 ? -1 : value;
}

/** A string in quotes, everything but printable ASCII as `\DDD`. */
export function quote(octets: Uint8Array): string {
  let text = '"';
  for (const octet of octets) text += QUOTED_OCTET[octet];
  return `${text}"`;
}

const QUOTED_OCTET: readonly string[] = Array.from({ length: 256 }, (_, octet) => {
  if (octet < 0x20 || octet >= 0x7f) return `\\${String(octet).padStart(3, "0")}`;
  return octet === 0x22 || octet === 0x5c ? `\\${String.fromCharCode(octet)}` : String.fromCharCode(octet);
});

function skipCharacterString(bytes: Uint8Array, at: number, end: number): number {
  if (at >= end) return -1;
  const behind = at + 1 + bytes[at];
  return behind > end ? -1 : behind;
}

/** Base64 to the end of the rdata, in as many pieces as one likes, at least one octet. */
export function base64Rest(what: string): Field {
  return {
    read(input, out) {
      const first = input.take(what);
      const before = out.length;
      input.next = input.tokens.count;
      decodeBase64(input, out, first, input.tokens.count, what);
      if (out.length === before) throw input.fault("bad-base64", first, `${what} is empty`);
    },
    print: (wire) => encodeBase64(wire.rest()),
    skip: (_, at, end) => at < end ? end : -1,
  };
}

function badBase64(input: RdataInput, token: number, what: string): RdataFault {
  return input.fault(
    "bad-base64",
    token,
    `${what} "${input.tokens.text(token)}" is no base64; copy it again, with its padding`,
  );
}

/** Decodes tokens `from` to `to` as one base64 text. */
export function decodeBase64(
  input: RdataInput,
  out: WireWriter,
  from: number,
  to: number,
  what: string,
): void {
  const { bytes, start, end } = input.tokens;
  let bits = 0;
  let held = 0;
  let padding = 0;
  let count = 0;
  for (let token = from; token < to; token++) {
    for (let i = start[token]; i < end[token]; i++) {
      count++;
      if (bytes[i] === 0x3d) {
        padding++;
        continue;
      }
      const value = BASE64_VALUE[bytes[i]];
      if (value === 255 || padding > 0) throw badBase64(input, token, what);
      bits = bits << 6 | value;
      held += 6;
      if (held >= 8) {
        held -= 8;
        out.octet(bits >>> held & 0xff, token);
        bits &= (1 << held) - 1;
      }
    }
  }
  if (count % 4 !== 0 || padding > 2 || bits !== 0 || held !== padding * 2) {
    throw badBase64(input, to - 1, what);
  }
}

const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_VALUE = valueTable(BASE64);

/** Base64 with padding (RFC 4648 §4). */
export function encodeBase64(octets: Uint8Array): string {
  let text = "";
  let i = 0;
  for (; i + 2 < octets.length; i += 3) {
    const bits = octets[i] << 16 | octets[i + 1] << 8 | octets[i + 2];
    text += BASE64[bits >>> 18] + BASE64[bits >>> 12 & 63] + BASE64[bits >>> 6 & 63] + BASE64[bits & 63];
  }
  if (i + 1 === octets.length) {
    text += `${BASE64[octets[i] >>> 2]}${BASE64[octets[i] << 4 & 63]}==`;
  } else if (i + 2 === octets.length) {
    const bits = octets[i] << 8 | octets[i + 1];
    text += `${BASE64[bits >>> 10]}${BASE64[bits >>> 4 & 63]}${BASE64[bits << 2 & 63]}=`;
  }
  return text;
}

/** Hexadecimal to the end of the rdata, in as many pieces as one likes, at least one octet. */
export function hexRest(what: string): Field {
  return {
    read(input, out) {
      const first = input.take(what);
      input.next = input.tokens.count;
      readHex(input, out, first, input.tokens.count, what);
    },
    print: (wire) => encodeHex(wire.rest()),
    skip: (_, at, end) => at < end ? end : -1,
  };
}

/** Decodes tokens `from` to `to` as one hexadecimal text of at least one octet. */
export function readHex(input: RdataInput, out: WireWriter, from: number, to: number, what: string): void {
  const { bytes, start, end } = input.tokens;
  const before = out.length;
  let high = -1;
  for (let token = from; token < to; token++) {
    for (let i = start[token]; i < end[token]; i++) {
      const value = HEX_VALUE[bytes[i]];
      if (value === 255) {
        throw input.fault(
          "bad-hex",
          token,
          `${what} "${input.tokens.text(token)}" is not hexadecimal; write digits 0 to 9 and a to f`,
        );
      }
      if (high === -1) {
        high = value;
      } else {
        out.octet(high << 4 | value, token);
        high = -1;
      }
    }
  }
  if (high !== -1) {
    throw input.fault(
      "bad-hex",
      to - 1,
      `${what} has an odd number of hexadecimal digits; one is missing or too much`,
    );
  }
  if (out.length === before) throw input.fault("bad-hex", from, `${what} is empty`);
}

const HEX = "0123456789ABCDEF";
const HEX_VALUE = valueTable(HEX, "abcdef", 10);

export function encodeHex(octets: Uint8Array): string {
  let text = "";
  for (const octet of octets) text += HEX[octet >>> 4] + HEX[octet & 15];
  return text;
}

/** For each byte the value of that digit, 255 for none. */
export function valueTable(digits: string, more = "", from = 0): Uint8Array {
  const table = new Uint8Array(256).fill(255);
  for (let value = 0; value < digits.length; value++) table[digits.charCodeAt(value)] = value;
  for (let i = 0; i < more.length; i++) table[more.charCodeAt(i)] = from + i;
  return table;
}

/** Reads a decimal number up to `limit`. @throws {RdataFault} */
export function readDecimal(tokens: Tokens, token: number, limit: number, what: string): number {
  const { bytes } = tokens;
  const from = tokens.start[token];
  const to = tokens.end[token];
  let value = 0;
  for (let i = from; i < to; i++) {
    if (!isDigit(bytes[i])) value = Infinity;
    value = value * 10 + bytes[i] - 0x30;
  }
  // Ten digits hold every number that DNS knows; longer texts are leading zeros or out of range.
  if (from === to || value > limit || to - from > 10 || tokens.flags[token] & QUOTED) {
    throw new RdataFault(
      "bad-number",
      `${what} "${tokens.text(token)}" is no number from 0 to ${limit}`,
      token,
    );
  }
  return value;
}

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** The `skip` of a field with a fixed number of octets. */
export function fixed(octets: number): Field["skip"] {
  return (_, at, end) => at + octets > end ? -1 : at + octets;
}

function putUint(out: WireWriter, octets: 1 | 2 | 4, value: number, token: number): void {
  if (octets === 1) out.octet(value, token);
  else if (octets === 2) out.uint16(value, token);
  else out.uint32(value, token);
}

function takeUint(wire: WireCursor, octets: 1 | 2 | 4): number {
  if (octets === 1) return wire.octet();
  return octets === 2 ? wire.uint16() : wire.uint32();
}
