/**
 * The way of a query that cannot be answered from the image alone: signed queries, updates, and what is refused. One
 * octet string in, one out; nothing here opens a socket.
 */
import type { PeerAddress } from "../../conduit/mod.ts";
import type { AnswerContext } from "../answer/context.ts";
import { ednsFor } from "../edns/reply.ts";
import { EDE, OPCODE, RCODE } from "../message/codes.ts";
import { type ExtendedError, extendedErrorOption } from "../message/edns.ts";
import {
  FLAG,
  HEADER_OCTETS,
  isResponse,
  MAX_MESSAGE_OCTETS,
  opcodeOf,
  putUint16,
  uint16,
} from "../message/header.ts";
import { parseMessage } from "../message/parse.ts";
import { bareReply } from "../message/reply.ts";
import { plainEdns } from "../message/respond.ts";
import { layoutOf, skipName } from "../message/skip.ts";
import { RRTYPE } from "../rr/types.ts";
import { covers, keyRight } from "../tsig/rights.ts";
import { signatureOctets, signResponse } from "../tsig/sign.ts";
import { refuseTime, type RequestVerdict, verifyRequest } from "../tsig/verify.ts";
import type { Name, TsigKey } from "../types.ts";
import { parseUpdate, type UpdateRequest } from "../update/sections.ts";
import { createUpdateMemory } from "./responder_memory.ts";

export interface ResponderOptions {
  /**
   * Answers an unsigned query into `out`, which ends where the response has to: the octets written, 0 to send nothing,
   * -1 for what it leaves to others.
   */
  readonly answer: (query: Uint8Array, out: Uint8Array, transport: Transport) => number;
  /** For OPT of what is written here: NSID, cookies and keepalive as configured; without it OPT is bare. */
  readonly context?: ((transport: Transport) => AnswerContext) | undefined;
  readonly lookupKey: (name: Name) => TsigKey | undefined;
  /** Carries out an update whose signature is right and whose key has the right to its zone section. */
  readonly update: (request: SignedUpdate) => Promise<UpdateOutcome>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: (event: ResponderEvent) => void;
  /** Signed updates remembered against replays; default 65536. */
  readonly rememberedUpdates?: number | undefined;
}

export interface Transport {
  readonly protocol: "udp" | "tcp";
  readonly peer: PeerAddress | undefined;
}

export interface SignedUpdate extends UpdateRequest {
  readonly key: TsigKey;
  /** The message as it was before it was signed. */
  readonly message: Uint8Array;
  readonly peer: PeerAddress | undefined;
}

export interface UpdateOutcome {
  readonly rcode: number;
  /** Told to a client that sent OPT. */
  readonly ede?: ExtendedError | undefined;
}

/** What is worth a line in a log. */
export type ResponderEvent =
  | { readonly kind: "tsig-refused"; readonly reason: string; readonly peer: PeerAddress | undefined }
  | {
    readonly kind: "update-refused";
    readonly rcode: number;
    readonly reason: string;
    readonly key: Name | undefined;
    readonly peer: PeerAddress | undefined;
  }
  | { readonly kind: "failed"; readonly cause: unknown; readonly peer: PeerAddress | undefined };

/** Gives the response to send; `undefined` for what must not be answered. Never rejects. */
export type Respond = (query: Uint8Array, transport: Transport) => Promise<Uint8Array | undefined>;

export function createResponder(options: ResponderOptions): Respond {
  const memory = createUpdateMemory(options.rememberedUpdates ?? 65_536);

  const respond: Respond = async (query, transport) => {
    if (query.length < HEADER_OCTETS || isResponse(query)) return undefined;
    const verdict = verifyRequest(query, options.lookupKey, options.now() / 1000);
    if (verdict.kind === "refused") {
      options.log({ kind: "tsig-refused", reason: verdict.reason, peer: transport.peer });
      return verdict.reply;
    }
    const request: Request = {
      message: verdict.kind === "valid" ? verdict.message : query,
      verdict,
      transport,
      context: options.context?.(transport),
    };
    if (opcodeOf(query) === OPCODE.UPDATE) return await respondToUpdate(request);
    return signed(respondToQuery(request), request);
  };

  const respondToQuery = (request: Request): Uint8Array | undefined => {
    const { message, transport } = request;
    // NOTIFY (RFC 1996) too: there is no zone here that is a secondary's.
    if (opcodeOf(message) !== OPCODE.QUERY) return reply(request, RCODE.NOTIMP);
    const type = questionType(message);
    if (type === RRTYPE.AXFR || type === RRTYPE.IXFR) return reply(request, RCODE.REFUSED, NO_TRANSFERS);
    const limit = responseLimit(request);
    const out = new Uint8Array(Math.max(MIN_UDP_OCTETS, limit));
    const length = options.answer(message, out, transport);
    if (length === 0) return undefined;
    // RFC 8945 §5.3: what has no room together with its signature is cut to nothing and TC.
    if (length > limit) return truncated(reply(request, out[3] & 0x0f));
    if (length > 0) return out.subarray(0, length);
    return reply(request, layoutOf(message) === undefined ? RCODE.FORMERR : RCODE.NOTIMP);
  };

  const respondToUpdate = (request: Request): Promise<Uint8Array | undefined> => {
    const { verdict } = request;
    if (verdict.kind === "unsigned") {
      return Promise.resolve(refuseUpdate(request, {
        rcode: RCODE.REFUSED,
        ede: { code: EDE.PROHIBITED, text: "updates must be signed with a TSIG key" },
      }));
    }
    // A retransmission, or a replay, gets what the first got; while that is still at work, both wait for it.
    const now = options.now() / 1000;
    const seen = memory.find(verdict, now);
    if (seen !== undefined) return seen;
    if (memory.isTooOld(verdict.key.name, verdict.timeSigned)) {
      return Promise.resolve(refuseTime(verdict, now).reply);
    }
    const answer = applyUpdate(request, verdict);
    memory.add(verdict, answer);
    return answer;
  };

  const applyUpdate = async (request: Request, verdict: Valid): Promise<Uint8Array | undefined> => {
    const { message, transport } = request;
    const parsed = parseMessage(message);
    if (!parsed.ok) return signed(reply(request, RCODE.FORMERR), request);
    const update = parseUpdate(parsed.value);
    if (!update.ok) {
      const { rcode, message: text } = update.error;
      return signed(refuseUpdate(request, { rcode, ede: { code: EDE.OTHER, text } }), request);
    }
    const right = keyRight(verdict.key.name);
    if (right === undefined || !covers(right, "update", update.value.zone)) {
      const text = `the key ${verdict.key.name} has no right to update ${update.value.zone}`;
      const refusal = { rcode: RCODE.REFUSED, ede: { code: EDE.PROHIBITED, text } };
      return signed(refuseUpdate(request, refusal), request);
    }
    let outcome: UpdateOutcome;
    try {
      outcome = await options.update({ ...update.value, key: verdict.key, message, peer: transport.peer });
    } catch (cause) {
      options.log({ kind: "failed", cause, peer: transport.peer });
      outcome = { rcode: RCODE.SERVFAIL };
    }
    if (outcome.rcode !== RCODE.NOERROR) return signed(refuseUpdate(request, outcome), request);
    return signed(reply(request, outcome.rcode, outcome.ede), request);
  };

  const refuseUpdate = (request: Request, outcome: UpdateOutcome): Uint8Array | undefined => {
    options.log({
      kind: "update-refused",
      rcode: outcome.rcode,
      reason: outcome.ede?.text ?? "",
      key: request.verdict.kind === "valid" ? request.verdict.key.name : undefined,
      peer: request.transport.peer,
    });
    return reply(request, outcome.rcode, outcome.ede);
  };

  const signed = (bytes: Uint8Array | undefined, { verdict }: Request): Uint8Array | undefined => {
    if (bytes === undefined || verdict.kind === "unsigned") return bytes;
    return signResponse(bytes, { key: verdict.key, requestMac: verdict.mac }, options.now() / 1000).bytes;
  };

  return async (query, transport) => {
    try {
      return withIdOf(query, await respond(query, transport));
    } catch (cause) {
      options.log({ kind: "failed", cause, peer: transport.peer });
      return bareReply(query, RCODE.SERVFAIL);
    }
  };
}

type Valid = Extract<RequestVerdict, { kind: "valid" }>;

interface Request {
  /** Without its signature. */
  readonly message: Uint8Array;
  readonly verdict: Valid | { readonly kind: "unsigned" };
  readonly transport: Transport;
  readonly context: AnswerContext | undefined;
}

const NO_TRANSFERS: ExtendedError = {
  code: EDE.NOT_SUPPORTED,
  text: "zone transfers are not offered by this version",
};

/** What we send over UDP at most, whatever the client would take (fragments are lost; DNS Flag Day 2020). */
const MAX_UDP_OCTETS = 1232;
/** What every client takes (RFC 1035 §2.3.4). */
const MIN_UDP_OCTETS = 512;

/** A response without records; RFC 6891 §6.1.1 and RFC 8914 §2: OPT, and so an extended error, only to who sent one. */
function reply({ message, context }: Request, rcode: number, ede?: ExtendedError): Uint8Array | undefined {
  if (layoutOf(message)?.opt === undefined) return bareReply(message, rcode);
  const options = ede === undefined ? [] : [extendedErrorOption(ede)];
  const edns = context === undefined ? undefined : ednsFor(message, context);
  const { options: own, ...rest } = edns ?? plainEdns(MAX_UDP_OCTETS);
  return bareReply(message, rcode, { ...rest, options: [...own, ...options] });
}

function truncated(response: Uint8Array | undefined): Uint8Array | undefined {
  if (response !== undefined) putUint16(response, 2, uint16(response, 2) | FLAG.TC);
  return response;
}

/** How long an unsigned response may be so that the signed one fits. */
function responseLimit({ message, verdict, transport }: Request): number {
  const signature = verdict.kind === "valid" ? signatureOctets(verdict.key) : 0;
  if (transport.protocol === "tcp") return MAX_MESSAGE_OCTETS - signature;
  const opt = layoutOf(message)?.opt;
  // The class of OPT, behind the root's octet and the type.
  const offered = opt === undefined ? MIN_UDP_OCTETS : uint16(message, opt + 3);
  return Math.min(MAX_UDP_OCTETS, Math.max(MIN_UDP_OCTETS, offered)) - signature;
}

/**
 * A forwarder may have given the query another ID than it was signed with. The signature is over the original one, the
 * message carries the forwarder's (RFC 8945 §5.3, §5.4).
 */
function withIdOf(query: Uint8Array, response: Uint8Array | undefined): Uint8Array | undefined {
  if (response === undefined || uint16(response, 0) === uint16(query, 0)) return response;
  const copy = response.slice();
  copy.set(query.subarray(0, 2));
  return copy;
}

/** The type of the first question, if there is one. */
function questionType(message: Uint8Array): number | undefined {
  if (uint16(message, 4) === 0) return undefined;
  const at = skipName(message, HEADER_OCTETS);
  return at === -1 || at + 2 > message.length ? undefined : uint16(message, at);
}
