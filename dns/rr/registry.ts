/** Which descriptor serves which type. A type without one is opaque (RFC 3597). */
import { A, AAAA, EUI48, EUI64 } from "./address.ts";
import { AFSDB, CNAME, DNAME, HINFO, MAILBOX_NAME, MINFO, MX, NS, PTR, PX, RP, SOA, TXT } from "./basic.ts";
import { CAA, CERT, OPENPGPKEY, SSHFP, TLSA } from "./certificate.ts";
import type { Descriptor } from "./descriptor.ts";
import { CSYNC, DNSKEY, DS, NSEC, NSEC3, NSEC3PARAM, RRSIG, ZONEMD } from "./dnssec.ts";
import { LOC } from "./location.ts";
import { KX, NAPTR, SRV, URI } from "./service.ts";
import { SVCB } from "./svcb.ts";
import { RRTYPE } from "./types.ts";

const DESCRIPTORS: ReadonlyMap<number, Descriptor> = new Map([
  [RRTYPE.A, A],
  [RRTYPE.NS, NS],
  [RRTYPE.MD, MAILBOX_NAME],
  [RRTYPE.MF, MAILBOX_NAME],
  [RRTYPE.CNAME, CNAME],
  [RRTYPE.SOA, SOA],
  [RRTYPE.MB, MAILBOX_NAME],
  [RRTYPE.MG, MAILBOX_NAME],
  [RRTYPE.MR, MAILBOX_NAME],
  [RRTYPE.PTR, PTR],
  [RRTYPE.HINFO, HINFO],
  [RRTYPE.MINFO, MINFO],
  [RRTYPE.MX, MX],
  [RRTYPE.TXT, TXT],
  [RRTYPE.RP, RP],
  [RRTYPE.AFSDB, AFSDB],
  [RRTYPE.RT, AFSDB],
  [RRTYPE.PX, PX],
  [RRTYPE.AAAA, AAAA],
  [RRTYPE.LOC, LOC],
  [RRTYPE.SRV, SRV],
  [RRTYPE.NAPTR, NAPTR],
  [RRTYPE.KX, KX],
  [RRTYPE.CERT, CERT],
  [RRTYPE.DNAME, DNAME],
  [RRTYPE.DS, DS],
  [RRTYPE.SSHFP, SSHFP],
  [RRTYPE.RRSIG, RRSIG],
  [RRTYPE.NSEC, NSEC],
  [RRTYPE.DNSKEY, DNSKEY],
  [RRTYPE.NSEC3, NSEC3],
  [RRTYPE.NSEC3PARAM, NSEC3PARAM],
  [RRTYPE.TLSA, TLSA],
  [RRTYPE.SMIMEA, TLSA],
  [RRTYPE.CDS, DS],
  [RRTYPE.CDNSKEY, DNSKEY],
  [RRTYPE.OPENPGPKEY, OPENPGPKEY],
  [RRTYPE.CSYNC, CSYNC],
  [RRTYPE.ZONEMD, ZONEMD],
  [RRTYPE.SVCB, SVCB],
  [RRTYPE.HTTPS, SVCB],
  [RRTYPE.NINFO, TXT],
  [RRTYPE.SPF, TXT],
  [RRTYPE.EUI48, EUI48],
  [RRTYPE.EUI64, EUI64],
  [RRTYPE.URI, URI],
  [RRTYPE.CAA, CAA],
  [RRTYPE.AVC, TXT],
  [RRTYPE.RESINFO, TXT],
  [RRTYPE.WALLET, TXT],
  [RRTYPE.DLV, DS],
]);

/** By type number, for the hot path: all but two types lie below this table's end. */
const LOW: (Descriptor | undefined)[] = Array.from({ length: 512 }, (_, type) => DESCRIPTORS.get(type));

export function descriptorOf(type: number): Descriptor | undefined {
  return type < LOW.length ? LOW[type] : DESCRIPTORS.get(type);
}

/** The types that have a descriptor. */
export function describedTypes(): number[] {
  return [...DESCRIPTORS.keys()];
}
