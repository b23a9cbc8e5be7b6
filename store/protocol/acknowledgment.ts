/** What a server answers to haves (gitprotocol-pack "Packfile Negotiation", gitprotocol-v2 "fetch"). Pure. */
import { parseOid } from "../object/oid.ts";
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import { oneLine, refuseError } from "./advertisement.ts";
import { lineOf, type Pkt } from "./pkt_line.ts";

export type Acknowledgment =
  | { readonly kind: "nak" }
  | { readonly kind: "ready" }
  /** `final` ends the negotiation (v0, v1); in v2 every acknowledgment is plain. */
  | { readonly kind: "ack"; readonly oid: Oid; readonly status: "final" | "common" | "ready" };

/** @throws {StoreError} `remote` for what the server refuses, `protocol` */
export function readAcknowledgment(pkt: Pkt): Acknowledgment {
  refuseError(pkt);
  const line = pkt.kind === "data" ? lineOf(pkt.payload) : undefined;
  if (line === "NAK") return { kind: "nak" };
  if (line === "ready") return { kind: "ready" };
  const match = /^ACK ([0-9a-f]{40})(?: (common|continue|ready))?$/.exec(line ?? "");
  const oid = match === null ? undefined : parseOid(match[1]);
  if (match === null || oid === undefined) {
    throw new StoreError("protocol", `not an acknowledgment: ${oneLine(line ?? pkt.kind)}`);
  }
  const status = match[2] === "ready" ? "ready" : match[2] === undefined ? "final" : "common";
  return { kind: "ack", oid, status };
}
