/**
 * Types about keys and certificates outside DNSSEC: TLSA (RFC 6698), SMIMEA (RFC 8162), SSHFP (RFC 4255), CAA
 * (RFC 8659), CERT (RFC 4398), OPENPGPKEY (RFC 7929).
 */
import type { Descriptor, Field } from "./descriptor.ts";
import { base64Rest, enumerated, hexRest, textRest, uint } from "./fields.ts";
import { ALGORITHMS } from "./dnssec.ts";

/** Mnemonics of RFC 7218. SMIMEA has the same shape. */
export const TLSA: Descriptor = {
  fields: [
    enumerated(1, "the usage", { "PKIX-TA": 0, "PKIX-EE": 1, "DANE-TA": 2, "DANE-EE": 3, PRIVCERT: 255 }),
    enumerated(1, "the selector", { CERT: 0, SPKI: 1, PRIVSEL: 255 }),
    enumerated(1, "the matching type", { FULL: 0, "SHA2-256": 1, "SHA2-512": 2, PRIVMATCH: 255 }),
    hexRest("the certificate data"),
  ],
};

/** Octets of a fingerprint by its type: SHA-1 (RFC 4255), SHA-256 (RFC 6594). */
const FINGERPRINT_OCTETS: ReadonlyMap<number, number> = new Map([[1, 20], [2, 32]]);

export const SSHFP: Descriptor = {
  fields: [uint(1, "the algorithm"), uint(1, "the fingerprint type"), hexRest("the fingerprint")],
  check(rdata) {
    const wanted = FINGERPRINT_OCTETS.get(rdata[1]);
    return wanted === undefined || rdata.length - 2 === wanted
      ? undefined
      : `a fingerprint of type ${rdata[1]} has ${wanted * 2} hexadecimal digits, not ${
        (rdata.length - 2) * 2
      }`;
  },
};

/** RFC 8659 §4.1: the tag is a string of letters and digits. */
const tag: Field = {
  read(input, out) {
    const token = input.take("the tag");
    const word = input.word(token, 255);
    if (word === undefined || !/^[A-Za-z0-9]+$/.test(word)) {
      throw input.fault(
        "bad-string",
        token,
        `the tag "${
          input.tokens.text(token)
        }" is not made of letters and digits; write issue, issuewild or iodef`,
      );
    }
    out.octet(word.length, token);
    for (let i = 0; i < word.length; i++) out.octet(word.charCodeAt(i), token);
  },
  print: (wire) => String.fromCharCode(...wire.take(wire.octet())),
  skip(bytes, at, end) {
    if (at >= end || bytes[at] === 0) return -1;
    const behind = at + 1 + bytes[at];
    if (behind > end) return -1;
    for (let i = at + 1; i < behind; i++) {
      const byte = bytes[i];
      const letter = (byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x7a;
      if (!letter && !(byte >= 0x30 && byte <= 0x39)) return -1;
    }
    return behind;
  },
};

export const CAA: Descriptor = { fields: [uint(1, "the flags"), tag, textRest("the value", 0)] };

export const CERT: Descriptor = {
  fields: [
    enumerated(2, "the certificate type", {
      PKIX: 1,
      SPKI: 2,
      PGP: 3,
      IPKIX: 4,
      ISPKI: 5,
      IPGP: 6,
      ACPKIX: 7,
      IACPKIX: 8,
      URI: 253,
      OID: 254,
    }),
    uint(2, "the key tag"),
    enumerated(1, "the algorithm", ALGORITHMS),
    base64Rest("the certificate"),
  ],
};

export const OPENPGPKEY: Descriptor = { fields: [base64Rest("the key")] };
