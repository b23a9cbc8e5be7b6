/** OPT of the responses that the full machinery writes: the same options as those of the query path. Allocates. */
import type { AnswerContext } from "../answer/context.ts";
import { readOptions } from "../message/edns.ts";
import { HEADER_OCTETS, uint16 } from "../message/header.ts";
import { skipName } from "../message/skip.ts";
import type { Edns } from "../types.ts";
import { createQueryExtra, type OptFacts, putOpt, readExtra, reserveOpt } from "./options.ts";

/**
 * What OPT of a response to `query` says: NSID, a cookie, keepalive, as asked for; `undefined` where the query has no sound
 * OPT. Sets `context.cookieValid`. Extended errors are the caller's to add.
 */
export function ednsFor(query: Uint8Array, context: AnswerContext): Edns | undefined {
  let at = HEADER_OCTETS;
  if (query.length < at) return undefined;
  for (let questions = uint16(query, 4); questions > 0; questions--) {
    const end = skipName(query, at);
    if (end === -1 || end + 4 > query.length) return undefined;
    at = end + 4;
  }
  const extra = createQueryExtra();
  readExtra(extra, query, at, query.length, context);
  if (!extra.present) return undefined;
  const out = new Uint8Array(reserveOpt(extra, context));
  const end = putOpt(out, 0, extra, context, NO_FACTS);
  return {
    udpSize: context.settings.udpPayload,
    version: 0,
    dnssecOk: extra.dnssecOk,
    options: readOptions(out, OPT_OCTETS, end) ?? [],
  };
}

const NO_FACTS: OptFacts = { rcode: 0, serial: -1, expire: -1, zoneLabels: -1, ede: -1 };
const OPT_OCTETS = 11;
