/** SVCB and HTTPS (RFC 9460), with the parameter of RFC 9461. */
import { CONTROL, ESCAPED, INNER_QUOTE } from "../zonefile/tokens.ts";
import { parseIpv4, parseIpv6, printIpv4, printIpv6 } from "./address.ts";
import { type Descriptor, type Field, type RdataFault, type RdataInput, WireCursor } from "./descriptor.ts";
import { domainName, encodeBase64, KEPT, quote, uint } from "./fields.ts";

export const SVCB: Descriptor = {
  fields: [uint(2, "the priority"), domainName("the target", KEPT), serviceParameters()],
  check: checkParameters,
};

/** How the value of one parameter is read, printed and checked. */
interface Parameter {
  readonly name: string;
  /** From the value with the outer escapes resolved; `undefined` when it has no such form. */
  read(value: Uint8Array): Uint8Array | undefined;
  /** What a value looks like, for messages. */
  readonly wanted: string;
  /** Empty for a parameter that is printed without a value. */
  print(octets: Uint8Array): string;
  valid(octets: Uint8Array): boolean;
}

/** By key number (RFC 9460 §14.3.2). */
const PARAMETERS: readonly Parameter[] = [
  {
    name: "mandatory",
    wanted: "keys with commas, as in alpn,port",
    read(value) {
      const keys = splitList(value)?.map((item) => keyFromText(latin1(item)));
      if (keys === undefined) return undefined;
      const known = keys.filter((key) => key !== undefined).sort((a, b) => a - b);
      return known.length === keys.length
        ? Uint8Array.from(known.flatMap((key) => [key >>> 8, key & 0xff]))
        : undefined;
    },
    print: (octets) => uint16s(octets).map(keyName).join(","),
    // RFC 9460 §8: in order, none twice, never itself.
    valid: (octets) =>
      octets.length > 0 && octets.length % 2 === 0 &&
      uint16s(octets).every((key, i, keys) => key > (i === 0 ? 0 : keys[i - 1])),
  },
  {
    name: "alpn",
    wanted: "protocols with commas, as in h2,h3",
    read(value) {
      const items = splitList(value);
      if (items === undefined || items.some((item) => item.length > 255)) return undefined;
      return Uint8Array.from(items.flatMap((item) => [item.length, ...item]));
    },
    print(octets) {
      const items: Uint8Array[] = [];
      for (const wire = new WireCursor(octets); wire.at < wire.end;) items.push(wire.take(wire.octet()));
      return quote(joinList(items));
    },
    valid(octets) {
      let at = 0;
      while (at < octets.length && octets[at] !== 0) at += 1 + octets[at];
      return octets.length > 0 && at === octets.length;
    },
  },
  {
    name: "no-default-alpn",
    wanted: "the key alone",
    read: (value) => value,
    print: () => "",
    valid: (octets) => octets.length === 0,
  },
  {
    name: "port",
    wanted: "a number from 0 to 65535",
    read(value) {
      const text = latin1(value);
      if (!/^[0-9]{1,5}$/.test(text) || Number(text) > 65_535) return undefined;
      return Uint8Array.of(Number(text) >>> 8, Number(text) & 0xff);
    },
    print: (octets) => String(octets[0] << 8 | octets[1]),
    valid: (octets) => octets.length === 2,
  },
  hints("ipv4hint", 4, "IPv4 addresses with commas, as in 192.0.2.1,192.0.2.2", parseIpv4, printIpv4),
  {
    name: "ech",
    wanted: "base64 with its padding",
    read(value) {
      const text = latin1(value);
      if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) return undefined;
      return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    },
    print: encodeBase64,
    valid: (octets) => octets.length > 0,
  },
  hints("ipv6hint", 16, "IPv6 addresses with commas, as in 2001:db8::1,2001:db8::2", parseIpv6, printIpv6),
  {
    name: "dohpath",
    wanted: "a relative URI template with the variable dns, as in /dns-query{?dns} (RFC 9461 §5)",
    read: (value) => value,
    print: quote,
    valid: (octets) => isUtf8(octets) && /\{[^}]*\bdns\b[^}]*\}/.test(latin1(octets)),
  },
];

const MANDATORY = 0;
const ALPN = 1;
const NO_DEFAULT_ALPN = 2;
/** Reserved as "invalid key" (RFC 9460 §14.3.2). */
const INVALID_KEY = 65_535;

type ReadAddress = (bytes: Uint8Array, start: number, end: number, target: Uint8Array, at: number) => boolean;

function hints(
  name: string,
  octets: number,
  wanted: string,
  parse: ReadAddress,
  print: (octets: Uint8Array) => string,
): Parameter {
  return {
    name,
    wanted,
    read(value) {
      const items = splitList(value);
      if (items === undefined) return undefined;
      const wire = new Uint8Array(items.length * octets);
      return items.every((item, i) => parse(item, 0, item.length, wire, i * octets)) ? wire : undefined;
    },
    print(wire) {
      const items: string[] = [];
      for (let at = 0; at < wire.length; at += octets) items.push(print(wire.subarray(at, at + octets)));
      return items.join(",");
    },
    valid: (wire) => wire.length > 0 && wire.length % octets === 0,
  };
}

/** `key`, `key=value`, `key="value"`, in any order; on the wire in ascending order (RFC 9460 §2.2). */
function serviceParameters(): Field {
  return {
    read(input, out) {
      const found = new Map<number, { token: number; value: Uint8Array }>();
      while (input.more) {
        const token = input.take("the parameter");
        const { key, value } = readParameter(input, token);
        if (found.has(key)) throw wrong(input, token, `the key ${keyName(key)} is there twice; take one out`);
        found.set(key, { token, value });
      }
      for (const [key, { token, value }] of [...found].sort(([a], [b]) => a - b)) {
        out.uint16(key, token);
        out.uint16(value.length, token);
        for (const octet of value) out.octet(octet, token);
      }
    },
    print(wire) {
      const parts: string[] = [];
      while (wire.at < wire.end) {
        const key = wire.uint16();
        const octets = wire.take(wire.uint16());
        const value = key < PARAMETERS.length
          ? PARAMETERS[key].print(octets)
          : octets.length > 0
          ? quote(octets)
          : "";
        parts.push(value === "" ? keyName(key) : `${keyName(key)}=${value}`);
      }
      return parts.join(" ");
    },
    skip(bytes, at, end) {
      let last = -1;
      while (at < end) {
        if (at + 4 > end) return -1;
        const key = bytes[at] << 8 | bytes[at + 1];
        const length = bytes[at + 2] << 8 | bytes[at + 3];
        at += 4;
        if (key <= last || key === INVALID_KEY || at + length > end) return -1;
        if (key < PARAMETERS.length && !PARAMETERS[key].valid(bytes.subarray(at, at + length))) return -1;
        last = key;
        at += length;
      }
      return at;
    },
  };
}

function readParameter(input: RdataInput, token: number): { key: number; value: Uint8Array } {
  const { bytes, start, end, flags } = input.tokens;
  const equals = bytes.subarray(start[token], end[token]).indexOf(EQUALS);
  const keyEnd = equals === -1 ? end[token] : start[token] + equals;
  const keyText = keyEnd - start[token] > 64 ? "" : latin1(bytes.subarray(start[token], keyEnd));
  const key = keyFromText(keyText);
  if (key === undefined) {
    throw wrong(
      input,
      token,
      `"${input.tokens.text(token)}" has no known key; write one such as alpn or port, or keyNNNNN`,
    );
  }
  if (flags[token] & CONTROL) {
    throw wrong(input, token, `"${input.tokens.text(token)}" holds a control character; write it as \\DDD`);
  }
  const raw = unquoted(bytes.subarray(equals === -1 ? keyEnd : keyEnd + 1, end[token]), flags[token]);
  if (raw === undefined) {
    throw wrong(
      input,
      token,
      `"${input.tokens.text(token)}" has a misplaced quote or a bad escape; write key="value" or key=value`,
    );
  }
  // A known key written as keyNNNNN has its value in wire form (RFC 9460 §2.1).
  const parameter = keyText.toLowerCase().startsWith("key") ? undefined : PARAMETERS[key];
  const value = parameter === undefined ? raw : parameter.read(raw);
  const wellFormed = value !== undefined && (key >= PARAMETERS.length || PARAMETERS[key].valid(value));
  if (!wellFormed || value.length > 65_535) {
    throw wrong(
      input,
      token,
      `the value of ${keyName(key)} in "${input.tokens.text(token)}" is wrong; write ${
        PARAMETERS[key]?.wanted ?? "at most 65535 octets"
      }`,
    );
  }
  return { key, value };
}

/** Takes quotes off and resolves escapes (RFC 9460 appendix A); `undefined` when they are wrong. */
function unquoted(text: Uint8Array, flags: number): Uint8Array | undefined {
  if ((flags & (ESCAPED | INNER_QUOTE)) === 0) return text;
  const inQuotes = text[0] === QUOTE;
  if (inQuotes && (text.length < 2 || text[text.length - 1] !== QUOTE)) return undefined;
  const body = inQuotes ? text.subarray(1, -1) : text;
  if ((flags & ESCAPED) === 0) return body.includes(QUOTE) ? undefined : body;
  const octets: number[] = [];
  for (let i = 0; i < body.length; i++) {
    if (body[i] === QUOTE) return undefined;
    if (body[i] !== BACKSLASH) {
      octets.push(body[i]);
      continue;
    }
    if (++i === body.length) return undefined;
    const digits = latin1(body.subarray(i, i + 3));
    if (/^[0-9]/.test(digits)) {
      if (!/^[0-9]{3}$/.test(digits) || Number(digits) > 255) return undefined;
      octets.push(Number(digits));
      i += 2;
    } else {
      octets.push(body[i]);
    }
  }
  return Uint8Array.from(octets);
}

/** Splits at commas; `\,` and `\\` stand for themselves (RFC 9460 §A.1). `undefined` for an empty item. */
function splitList(value: Uint8Array): Uint8Array[] | undefined {
  if (!value.includes(BACKSLASH)) return splitPlainList(value);
  const items: number[][] = [[]];
  for (let i = 0; i < value.length; i++) {
    const last = items[items.length - 1];
    if (value[i] === COMMA) {
      items.push([]);
    } else if (value[i] === BACKSLASH) {
      if (value[i + 1] !== COMMA && value[i + 1] !== BACKSLASH) return undefined;
      last.push(value[++i]);
    } else {
      last.push(value[i]);
    }
  }
  return items.some((item) => item.length === 0) ? undefined : items.map((item) => Uint8Array.from(item));
}

/** Views instead of copies, which cost much more. */
function splitPlainList(value: Uint8Array): Uint8Array[] | undefined {
  const items: Uint8Array[] = [];
  for (let at = 0; at <= value.length;) {
    const comma = value.indexOf(COMMA, at);
    const end = comma === -1 ? value.length : comma;
    if (end === at) return undefined;
    items.push(value.subarray(at, end));
    at = end + 1;
  }
  return items;
}

function joinList(items: readonly Uint8Array[]): Uint8Array {
  const octets: number[] = [];
  items.forEach((item, i) => {
    if (i > 0) octets.push(COMMA);
    for (const octet of item) {
      if (octet === COMMA || octet === BACKSLASH) octets.push(BACKSLASH);
      octets.push(octet);
    }
  });
  return Uint8Array.from(octets);
}

/** Rules across parameters; the fields are well-formed. */
function checkParameters(rdata: Uint8Array): string | undefined {
  let at = 2;
  while (rdata[at] !== 0) at += 1 + rdata[at];
  const keys = new Set<number>();
  let mandatory: number[] = [];
  for (const wire = new WireCursor(rdata, at + 1); wire.at < wire.end;) {
    const key = wire.uint16();
    const value = wire.take(wire.uint16());
    keys.add(key);
    if (key === MANDATORY) mandatory = uint16s(value);
  }
  // RFC 9460 §8
  const missing = mandatory.find((key) => !keys.has(key));
  if (missing !== undefined) {
    return `the key ${keyName(missing)} is mandatory and not there; add it or take it out`;
  }
  // RFC 9460 §7.1.1
  if (keys.has(NO_DEFAULT_ALPN) && !keys.has(ALPN)) {
    return "no-default-alpn makes no sense without alpn; add alpn";
  }
  return undefined;
}

function keyFromText(text: string): number | undefined {
  const lower = text.toLowerCase();
  const known = PARAMETERS.findIndex(({ name }) => name === lower);
  if (known !== -1) return known;
  const number = /^key(0|[1-9][0-9]{0,4})$/.exec(lower);
  return number !== null && Number(number[1]) < INVALID_KEY ? Number(number[1]) : undefined;
}

function keyName(key: number): string {
  return PARAMETERS[key]?.name ?? `key${key}`;
}

function uint16s(octets: Uint8Array): number[] {
  return Array.from({ length: octets.length >>> 1 }, (_, i) => octets[2 * i] << 8 | octets[2 * i + 1]);
}

function latin1(octets: Uint8Array): string {
  let text = "";
  for (const octet of octets) text += String.fromCharCode(octet);
  return text;
}

function isUtf8(octets: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(octets);
    return true;
  } catch {
    // The decoder's only way to say no.
    return false;
  }
}

function wrong(input: RdataInput, token: number, message: string): RdataFault {
  return input.fault("bad-parameter", token, message);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const EQUALS = 0x3d;
const BACKSLASH = 0x5c;
