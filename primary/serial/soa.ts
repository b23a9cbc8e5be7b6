import { type RRset, soaSerial, withSoaSerial } from "../../dns/mod.ts";

/** The serial of a SOA RRset. */
export function serialOf(soa: RRset): number {
  return soaSerial(soa.rdatas[0]);
}

/** The same SOA under another serial; the same object where it has that serial already. */
export function withSerial(soa: RRset, serial: number): RRset {
  return serialOf(soa) === serial ? soa : { ...soa, rdatas: [withSoaSerial(soa.rdatas[0], serial)] };
}
