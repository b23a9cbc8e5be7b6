/**
 * DNSSEC: DS, DNSKEY, RRSIG, NSEC (RFC 4034), NSEC3, NSEC3PARAM (RFC 5155), CDS, CDNSKEY (RFC 7344), CSYNC (RFC 7477),
 * ZONEMD (RFC 8976).
 */
import type { Descriptor, Field } from "./descriptor.ts";
import {
  base64Rest,
  domainName,
  duration,
  encodeHex,
  enumerated,
  fixed,
  hexRest,
  KEPT,
  LOWERED,
  readHex,
  uint,
  valueTable,
} from "./fields.ts";
import { typeFromName, typeName } from "./types.ts";

/** Mnemonics of the IANA registry of DNSSEC algorithm numbers. */
export const ALGORITHMS = {
  RSAMD5: 1,
  DH: 2,
  DSA: 3,
  RSASHA1: 5,
  "DSA-NSEC3-SHA1": 6,
  NSEC3DSA: 6,
  "RSASHA1-NSEC3-SHA1": 7,
  NSEC3RSASHA1: 7,
  RSASHA256: 8,
  RSASHA512: 10,
  "ECC-GOST": 12,
  ECDSAP256SHA256: 13,
  ECDSAP384SHA384: 14,
  ED25519: 15,
  ED448: 16,
  INDIRECT: 252,
  PRIVATEDNS: 253,
  PRIVATEOID: 254,
} as const;

const algorithm = enumerated(1, "the algorithm", ALGORITHMS);

/** Octets of a digest by its type: SHA-1, SHA-256, GOST, SHA-384. */
const DIGEST_OCTETS: ReadonlyMap<number, number> = new Map([[1, 20], [2, 32], [3, 32], [4, 48]]);

/** CDS has the same shape. */
export const DS: Descriptor = {
  fields: [uint(2, "the key tag"), algorithm, uint(1, "the digest type"), hexRest("the digest")],
  check(rdata) {
    const wanted = DIGEST_OCTETS.get(rdata[3]);
    return wanted === undefined || rdata.length - 4 === wanted
      ? undefined
      : `a digest of type ${rdata[3]} has ${wanted * 2} hexadecimal digits, not ${(rdata.length - 4) * 2}`;
  },
};

/** CDNSKEY has the same shape. */
export const DNSKEY: Descriptor = {
  fields: [uint(2, "the flags"), uint(1, "the protocol"), algorithm, base64Rest("the public key")],
};

/** An RR type by its mnemonic. */
const coveredType: Field = {
  read(input, out) {
    const token = input.take("the type covered");
    const type = typeFromName(input.word(token) ?? "");
    if (type === undefined) {
      throw input.fault("bad-type", token, unknownType(input.tokens.text(token)));
    }
    out.uint16(type, token);
  },
  print: (wire) => typeName(wire.uint16()),
  skip: fixed(2),
};

/** RFC 4034 §3.2: YYYYMMDDHHmmSS in UTC, or seconds since 1970. */
function timestamp(what: string): Field {
  return {
    read(input, out) {
      const token = input.take(what);
      const seconds = parseTimestamp(input.word(token) ?? "");
      if (seconds === undefined) {
        throw input.fault(
          "bad-time",
          token,
          `${what} "${input.tokens.text(token)}" is no time from 1970 to 2106; write YYYYMMDDHHmmSS in UTC`,
        );
      }
      out.uint32(seconds, token);
    },
    print(wire) {
      const iso = new Date(wire.uint32() * 1000).toISOString();
      return iso.slice(0, 19).replace(/[-T:]/g, "");
    },
    skip: fixed(4),
  };
}

function parseTimestamp(text: string): number | undefined {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text) <= 0xffff_ffff ? Number(text) : undefined;
  const parts = /^([0-9]{4})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})([0-9]{2})$/.exec(text);
  if (parts === null) return undefined;
  const [year, month, day, hour, minute, second] = parts.slice(1).map(Number);
  const time = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  // Date rolls the 31st of February over; what comes back then differs.
  if (time.getTime() < 0 || time.toISOString().slice(0, 19).replace(/[-T:]/g, "") !== text) return undefined;
  const seconds = time.getTime() / 1000;
  return seconds <= 0xffff_ffff ? seconds : undefined;
}

export const RRSIG: Descriptor = {
  fields: [
    coveredType,
    algorithm,
    uint(1, "the label count"),
    duration("the original TTL"),
    timestamp("the expiration"),
    timestamp("the inception"),
    uint(2, "the key tag"),
    domainName("the signer", LOWERED),
    base64Rest("the signature"),
  ],
};

/** RFC 4034 §4.1.2: windows in order, without empty ones and without zero octets at their end. */
const typeBitmap: Field = {
  read(input, out) {
    const types = new Set<number>();
    const first = input.next;
    while (input.more) {
      const token = input.next++;
      const type = typeFromName(input.word(token) ?? "");
      if (type === undefined) throw input.fault("bad-type", token, unknownType(input.tokens.text(token)));
      types.add(type);
    }
    const sorted = [...types].sort((a, b) => a - b);
    for (let i = 0; i < sorted.length;) {
      const window = sorted[i] >>> 8;
      const bitmap = new Uint8Array(32);
      let length = 0;
      for (; i < sorted.length && sorted[i] >>> 8 === window; i++) {
        const low = sorted[i] & 0xff;
        bitmap[low >>> 3] |= 0x80 >>> (low & 7);
        length = (low >>> 3) + 1;
      }
      out.octet(window, first);
      out.octet(length, first);
      for (let octet = 0; octet < length; octet++) out.octet(bitmap[octet], first);
    }
  },
  print(wire) {
    const names: string[] = [];
    while (wire.at < wire.end) {
      const window = wire.octet();
      const bitmap = wire.take(wire.octet());
      bitmap.forEach((octet, i) => {
        for (let bit = 0; bit < 8; bit++) {
          if (octet & 0x80 >>> bit) names.push(typeName(window << 8 | i << 3 | bit));
        }
      });
    }
    return names.join(" ");
  },
  skip(bytes, at, end) {
    let last = -1;
    while (at < end) {
      if (at + 2 > end || bytes[at] <= last) return -1;
      last = bytes[at];
      const length = bytes[at + 1];
      at += 2 + length;
      if (length === 0 || length > 32 || at > end || bytes[at - 1] === 0) return -1;
    }
    return at;
  },
};

/** The next name keeps its case in canonical form (RFC 6840 §5.1). */
export const NSEC: Descriptor = { fields: [domainName("the next name", KEPT), typeBitmap] };

const hashAlgorithm = enumerated(1, "the hash algorithm", { "SHA-1": 1, SHA1: 1 });

/** RFC 5155 §3.3: hexadecimal, `-` when empty. */
const salt: Field = {
  read(input, out) {
    const token = input.take("the salt");
    const lengthAt = out.length;
    out.octet(0, token);
    if (input.word(token) === "-") return;
    readHex(input, out, token, token + 1, "the salt");
    const length = out.length - lengthAt - 1;
    if (length > 255) throw input.fault("bad-hex", token, `the salt has ${length} octets and may have 255`);
    out.bytes[lengthAt] = length;
  },
  print(wire) {
    const octets = wire.take(wire.octet());
    return octets.length === 0 ? "-" : encodeHex(octets);
  },
  skip: (bytes, at, end) => at >= end || at + 1 + bytes[at] > end ? -1 : at + 1 + bytes[at],
};

const BASE32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV";
const BASE32_VALUE = valueTable(BASE32, "abcdefghijklmnopqrstuv", 10);

/** RFC 5155 §3.3: base32hex without padding, at least one octet. */
const hashedOwner: Field = {
  read(input, out) {
    const token = input.take("the next hashed owner name");
    const { bytes, start, end } = input.tokens;
    const lengthAt = out.length;
    out.octet(0, token);
    let bits = 0;
    let held = 0;
    let well = end[token] > start[token];
    for (let i = start[token]; well && i < end[token]; i++) {
      const value = BASE32_VALUE[bytes[i]];
      well = value !== 255;
      bits = (bits << 5 | value) & 0xfff;
      held += 5;
      if (well && held >= 8) {
        held -= 8;
        out.octet(bits >>> held & 0xff, token);
      }
    }
    const length = out.length - lengthAt - 1;
    if (!well || held >= 5 || (bits & (1 << held) - 1) !== 0 || length === 0 || length > 255) {
      throw input.fault(
        "bad-base32",
        token,
        `the next hashed owner name "${input.tokens.text(token)}" is no base32hex without padding`,
      );
    }
    out.bytes[lengthAt] = length;
  },
  print(wire) {
    let text = "";
    let bits = 0;
    let held = 0;
    for (const octet of wire.take(wire.octet())) {
      bits = (bits << 8 | octet) & 0x1fff;
      held += 8;
      while (held >= 5) {
        held -= 5;
        text += BASE32[bits >>> held & 31];
      }
    }
    return held > 0 ? text + BASE32[bits << 5 - held & 31] : text;
  },
  skip: (bytes, at, end) =>
    at >= end || bytes[at] === 0 || at + 1 + bytes[at] > end ? -1 : at + 1 + bytes[at],
};

export const NSEC3: Descriptor = {
  fields: [hashAlgorithm, uint(1, "the flags"), uint(2, "the iterations"), salt, hashedOwner, typeBitmap],
};

export const NSEC3PARAM: Descriptor = {
  fields: [hashAlgorithm, uint(1, "the flags"), uint(2, "the iterations"), salt],
};

export const CSYNC: Descriptor = { fields: [uint(4, "the serial"), uint(2, "the flags"), typeBitmap] };

/** Octets of a ZONEMD digest by hash algorithm: SHA-384, SHA-512 (RFC 8976 §2.2.3). */
const ZONEMD_OCTETS: ReadonlyMap<number, number> = new Map([[1, 48], [2, 64]]);

export const ZONEMD: Descriptor = {
  fields: [
    uint(4, "the serial"),
    uint(1, "the scheme"),
    uint(1, "the hash algorithm"),
    hexRest("the digest"),
  ],
  check(rdata) {
    const octets = rdata.length - 6;
    const wanted = rdata[4] === 1 ? ZONEMD_OCTETS.get(rdata[5]) : undefined;
    if (wanted !== undefined && wanted !== octets) {
      return `a digest of hash algorithm ${rdata[5]} has ${wanted * 2} hexadecimal digits, not ${octets * 2}`;
    }
    return octets < 12 ? "the digest has less than 24 hexadecimal digits (RFC 8976 §2.2.4)" : undefined;
  },
};

function unknownType(text: string): string {
  return `"${text}" is no record type; write its mnemonic, or TYPE and its number`;
}
