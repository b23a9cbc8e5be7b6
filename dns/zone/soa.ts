/** The SOA record in the forms that answers need. */
import { PLACEHOLDER, RECORD_HEAD, type ZoneImage } from "../image/layout.ts";
import { soaMinimum } from "../rr/soa.ts";
import { compressAgainst } from "./compress.ts";

/** The fields of `ZoneImage` made from the record with its head, uncompressed. */
export function soaForms(
  soa: Uint8Array,
  originWire: Uint8Array,
): Pick<ZoneImage, "soa" | "negativeSoa" | "soaPointers"> {
  const rdata = soa.subarray(RECORD_HEAD);
  const mnameEnd = skipName(rdata, 0);
  const mname = compressAgainst(rdata, 0, mnameEnd, originWire);
  const rname = compressAgainst(rdata, mnameEnd, rdata.length - 20, originWire);
  const numbers = rdata.subarray(rdata.length - 20);
  const negative = new Uint8Array(RECORD_HEAD + mname.length + rname.length + 20);
  negative.set(soa.subarray(0, RECORD_HEAD));
  negative.set(mname, RECORD_HEAD);
  negative.set(rname, RECORD_HEAD + mname.length);
  negative.set(numbers, RECORD_HEAD + mname.length + rname.length);
  const view = new DataView(negative.buffer);
  view.setUint32(6, Math.min(view.getUint32(6), soaMinimum(rdata)));
  view.setUint16(10, negative.length - RECORD_HEAD);
  const pointer = (name: Uint8Array, from: number) =>
    name[name.length - 1] === PLACEHOLDER ? from + name.length - 2 : 0;
  return {
    soa,
    negativeSoa: negative,
    soaPointers: [pointer(mname, RECORD_HEAD), pointer(rname, RECORD_HEAD + mname.length)],
  };
}

function skipName(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] !== 0) at += 1 + bytes[at];
  return at + 1;
}
