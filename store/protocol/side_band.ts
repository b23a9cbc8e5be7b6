/** side-band and side-band-64k (git: gitprotocol-pack, "Packfile Data"): three streams in one row of packets. */
import { MAX_PKT, type Pkt, writeLength } from "./pkt_line.ts";
import { StoreError } from "../types.ts";

/** 1: data; 2: text for the user; 3: the fatal error that ends the conversation. */
export type Band = 1 | 2 | 3;

/** How much a packet holds beside its length and band: `side-band-64k`, and the older `side-band`. */
export const BAND_64K = MAX_PKT - 5;
export const BAND_SMALL = 1000 - 5;

/** The bytes as packets on a band. */
export function encodeBand(band: Band, bytes: Uint8Array, room: number = BAND_64K): Uint8Array {
  const packets = Math.ceil(bytes.length / room);
  const out = new Uint8Array(bytes.length + packets * 5);
  let at = 0;
  for (let from = 0; from < bytes.length; from += room) {
    const part = bytes.subarray(from, from + room);
    writeLength(out.subarray(at), part.length + 5);
    out[at + 4] = band;
    out.set(part, at + 5);
    at += part.length + 5;
  }
  return out;
}

/**
 * Text as it may be shown on a peer's terminal: whole lines (git writes `remote: ` before each), and no control
 * characters, because what is quoted in a message may have come from anybody.
 */
export function terminalText(text: string): string {
  // deno-lint-ignore no-control-regex -- control characters are what it is about
  const clean = text.replace(/\r\n?/g, "\n").replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "?");
  return clean === "" || clean.endsWith("\n") ? clean : `${clean}\n`;
}

/** A packet of a side-band stream taken apart; the flush ends the stream. @throws {StoreError} `protocol` */
export function decodeBand(pkt: Pkt): { readonly band: Band; readonly bytes: Uint8Array } | "end" {
  if (pkt.kind === "flush") return "end";
  if (pkt.kind !== "data") throw new StoreError("protocol", `a ${pkt.kind} packet in a side-band stream`);
  const band = pkt.payload[0];
  if (band !== 1 && band !== 2 && band !== 3) {
    throw new StoreError("protocol", `a packet on side band ${band ?? "none"}: there are 1, 2 and 3`);
  }
  return { band, bytes: pkt.payload.subarray(1) };
}
