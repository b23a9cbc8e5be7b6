/** What an image says of its SOA record besides the record itself. */
import { type Cells, ENTRY, findEntry, RECORD_HEAD, type ZoneImage } from "../image/layout.ts";
import { RRTYPE } from "../rr/types.ts";
import { uint32At } from "./heap.ts";

/** From the SOA RRset of an apex that has one. */
export function soaNumbers(cells: Cells, apex: number): Pick<ZoneImage, "serial" | "negativeTtl"> {
  const entry = findEntry(cells, apex, RRTYPE.SOA);
  const at = (apex << 2) + cells.words[entry + ENTRY.start];
  const { bytes } = cells;
  const end = at + RECORD_HEAD + (bytes[at + 10] << 8 | bytes[at + 11]);
  return {
    serial: uint32At(bytes, end - 20),
    // RFC 2308 §5
    negativeTtl: Math.min(uint32At(bytes, at + 6), uint32At(bytes, end - 4)),
  };
}
