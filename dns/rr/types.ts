/** The registry of RR types and classes (IANA, "Domain Name System (DNS) Parameters"). */

/** RR types and query types by mnemonic. */
export const RRTYPE = {
  A: 1,
  NS: 2,
  MD: 3,
  MF: 4,
  CNAME: 5,
  SOA: 6,
  MB: 7,
  MG: 8,
  MR: 9,
  NULL: 10,
  WKS: 11,
  PTR: 12,
  HINFO: 13,
  MINFO: 14,
  MX: 15,
  TXT: 16,
  RP: 17,
  AFSDB: 18,
  X25: 19,
  ISDN: 20,
  RT: 21,
  NSAP: 22,
  "NSAP-PTR": 23,
  SIG: 24,
  KEY: 25,
  PX: 26,
  GPOS: 27,
  AAAA: 28,
  LOC: 29,
  NXT: 30,
  EID: 31,
  NIMLOC: 32,
  SRV: 33,
  ATMA: 34,
  NAPTR: 35,
  KX: 36,
  CERT: 37,
  A6: 38,
  DNAME: 39,
  SINK: 40,
  OPT: 41,
  APL: 42,
  DS: 43,
  SSHFP: 44,
  IPSECKEY: 45,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  DHCID: 49,
  NSEC3: 50,
  NSEC3PARAM: 51,
  TLSA: 52,
  SMIMEA: 53,
  HIP: 55,
  NINFO: 56,
  RKEY: 57,
  TALINK: 58,
  CDS: 59,
  CDNSKEY: 60,
  OPENPGPKEY: 61,
  CSYNC: 62,
  ZONEMD: 63,
  SVCB: 64,
  HTTPS: 65,
  DSYNC: 66,
  HHIT: 67,
  BRID: 68,
  SPF: 99,
  UINFO: 100,
  UID: 101,
  GID: 102,
  UNSPEC: 103,
  NID: 104,
  L32: 105,
  L64: 106,
  LP: 107,
  EUI48: 108,
  EUI64: 109,
  NXNAME: 128,
  TKEY: 249,
  TSIG: 250,
  IXFR: 251,
  AXFR: 252,
  MAILB: 253,
  MAILA: 254,
  ANY: 255,
  URI: 256,
  CAA: 257,
  AVC: 258,
  DOA: 259,
  AMTRELAY: 260,
  RESINFO: 261,
  WALLET: 262,
  CLA: 263,
  IPN: 264,
  TA: 32768,
  DLV: 32769,
} as const;

/** Classes by mnemonic (RFC 1035 §3.2.4, RFC 2136 §1.3). */
export const CLASS = { IN: 1, CS: 2, CH: 3, HS: 4, NONE: 254, ANY: 255 } as const;

/** The mnemonic of a type, `TYPE65280` where it has none (RFC 3597 §5). */
export function typeName(type: number): string {
  return NAME_BY_TYPE.get(type) ?? `TYPE${type}`;
}

/** The number of a type from its mnemonic or from `TYPEn`, any case; `undefined` for anything else. */
export function typeFromName(text: string): number | undefined {
  const upper = text.toUpperCase();
  return TYPE_BY_NAME.get(upper) ?? numbered(upper, "TYPE");
}

/** The mnemonic of a class, `CLASS32` where it has none (RFC 3597 §5). */
export function className(value: number): string {
  return NAME_BY_CLASS.get(value) ?? `CLASS${value}`;
}

/** The number of a class from its mnemonic or from `CLASSn`, any case; `undefined` for anything else. */
export function classFromName(text: string): number | undefined {
  const upper = text.toUpperCase();
  return CLASS_BY_NAME.get(upper) ?? numbered(upper, "CLASS");
}

/**
 * True for types that are no data of a zone: OPT, and the query and meta types 128 to 255 (RFC 6895 §3.1), and the
 * reserved 0 and 65535. They can stand in messages and never in a zone file.
 */
export function isMetaType(type: number): boolean {
  return type === 0 || type === RRTYPE.OPT || (type >= 128 && type <= 255) || type === 65535;
}

const TYPE_BY_NAME: ReadonlyMap<string, number> = new Map(Object.entries(RRTYPE));
const NAME_BY_TYPE: ReadonlyMap<number, string> = new Map(
  Object.entries(RRTYPE).map(([name, type]) => [type, name]),
);
const CLASS_BY_NAME: ReadonlyMap<string, number> = new Map(Object.entries(CLASS));
const NAME_BY_CLASS: ReadonlyMap<number, string> = new Map(
  Object.entries(CLASS).map(([name, value]) => [value, name]),
);

function numbered(text: string, prefix: string): number | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const digits = text.slice(prefix.length);
  if (!/^[0-9]{1,5}$/.test(digits)) return undefined;
  const number = Number(digits);
  return number <= 0xffff ? number : undefined;
}
