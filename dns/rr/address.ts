/** Addresses: A (RFC 1035 §3.4.1), AAAA (RFC 3596), EUI48 and EUI64 (RFC 7043). */
import type { Descriptor, Field } from "./descriptor.ts";
import { fixed, isDigit, valueTable } from "./fields.ts";

const ipv4Field: Field = {
  read(input, out) {
    const token = input.take("the IPv4 address");
    const { bytes, start, end } = input.tokens;
    if (out.length + 4 > 65_535 || !parseIpv4(bytes, start[token], end[token], out.bytes, out.length)) {
      throw input.fault(
        "bad-address",
        token,
        `"${
          input.tokens.text(token)
        }" is no IPv4 address; write four numbers from 0 to 255 with dots, as in 192.0.2.1`,
      );
    }
    out.length += 4;
  },
  print: (wire) => printIpv4(wire.take(4)),
  skip: fixed(4),
};

const ipv6Field: Field = {
  read(input, out) {
    const token = input.take("the IPv6 address");
    const { bytes, start, end } = input.tokens;
    if (out.length + 16 > 65_535 || !parseIpv6(bytes, start[token], end[token], out.bytes, out.length)) {
      throw input.fault(
        "bad-address",
        token,
        `"${input.tokens.text(token)}" is no IPv6 address; write it as in 2001:db8::1`,
      );
    }
    out.length += 16;
  },
  print: (wire) => printIpv6(wire.take(16)),
  skip: fixed(16),
};

function eui(octets: 6 | 8): Field {
  const what = `the EUI-${octets * 8} address`;
  return {
    read(input, out) {
      const token = input.take(what);
      const { bytes, start, end } = input.tokens;
      let well = end[token] - start[token] === octets * 3 - 1;
      for (let i = 0; well && i < octets; i++) {
        const at = start[token] + i * 3;
        const high = HEX_VALUE[bytes[at]];
        const low = HEX_VALUE[bytes[at + 1]];
        well = high !== 255 && low !== 255 && (i === octets - 1 || bytes[at + 2] === 0x2d);
        if (well) out.octet(high << 4 | low, token);
      }
      if (!well) {
        throw input.fault(
          "bad-address",
          token,
          `"${
            input.tokens.text(token)
          }" is not ${what}; write ${octets} pairs of hexadecimal digits with hyphens`,
        );
      }
    },
    print: (wire) => Array.from(wire.take(octets), (octet) => octet.toString(16).padStart(2, "0")).join("-"),
    skip: fixed(octets),
  };
}

const HEX_VALUE = valueTable("0123456789abcdef", "ABCDEF", 10);

export const A: Descriptor = { fields: [ipv4Field] };
export const AAAA: Descriptor = { fields: [ipv6Field] };
export const EUI48: Descriptor = { fields: [eui(6)] };
export const EUI64: Descriptor = { fields: [eui(8)] };

/** Four numbers without leading zeros (RFC 3986 §3.2.2), written at `at` of `target`; false when it is no address. */
export function parseIpv4(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): boolean {
  let part = 0;
  let value = 0;
  let digits = 0;
  for (let i = start; i <= end; i++) {
    const byte = i === end ? 0x2e : bytes[i];
    if (byte === 0x2e) {
      if (digits === 0 || value > 255 || part > 3) return false;
      target[at + part++] = value;
      value = digits = 0;
    } else {
      // 010 is eight to some readers and ten to others: refused.
      if (!isDigit(byte) || (digits === 1 && value === 0) || digits === 3) return false;
      value = value * 10 + byte - 0x30;
      digits++;
    }
  }
  return part === 4;
}

/** The text forms of RFC 4291 §2.2, written at `at` of `target`; false when it is no address. */
export function parseIpv6(
  bytes: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): boolean {
  if (end - start < 2 || end - start > 45) return false;
  let put = at;
  let gap = -1;
  let i = start;
  if (bytes[i] === COLON) {
    if (bytes[i + 1] !== COLON) return false;
    gap = put;
    i += 2;
  }
  while (i < end) {
    if (put === at + 16) return false;
    let value = 0;
    let digits = 0;
    const groupStart = i;
    while (i < end && HEX_VALUE[bytes[i]] !== 255 && digits < 5) {
      value = value << 4 | HEX_VALUE[bytes[i++]];
      digits++;
    }
    if (i < end && bytes[i] === 0x2e) {
      if (put > at + 12 || !parseIpv4(bytes, groupStart, end, target, put)) return false;
      put += 4;
      i = end;
      break;
    }
    if (digits === 0 || digits > 4) return false;
    target[put++] = value >>> 8;
    target[put++] = value & 0xff;
    if (i === end) break;
    if (bytes[i++] !== COLON || i === end) return false;
    if (bytes[i] === COLON) {
      if (gap !== -1) return false;
      gap = put;
      i++;
    }
  }
  if (gap === -1) return put === at + 16;
  if (put === at + 16) return false;
  const tail = put - gap;
  target.copyWithin(at + 16 - tail, gap, put);
  target.fill(0, gap, at + 16 - tail);
  return true;
}

export function printIpv4(octets: Uint8Array): string {
  return octets.join(".");
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups shortened. */
export function printIpv6(octets: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => octets[2 * i] << 8 | octets[2 * i + 1]);
  let bestAt = -1;
  let best = 1;
  for (let i = 0; i < 8;) {
    let run = 0;
    while (i + run < 8 && groups[i + run] === 0) run++;
    if (run > best) {
      best = run;
      bestAt = i;
    }
    i += run + 1;
  }
  const text = (from: number, to: number) =>
    groups.slice(from, to).map((group) => group.toString(16)).join(":");
  return bestAt === -1 ? text(0, 8) : `${text(0, bestAt)}::${text(bestAt + best, 8)}`;
}

const COLON = 0x3a;
