/** Verifying messages (RFC 8945 §5.2 and §5.4). All times are seconds since 1970. */
import type { Result } from "../../conduit/mod.ts";
import { BADSIG, RCODE } from "../message/codes.ts";
import { bareReply } from "../message/reply.ts";
import type { Name, TsigKey } from "../types.ts";
import { algorithmName, macOctets, macOf, macsEqual } from "./hmac.ts";
import {
  priorMac,
  splitTsig,
  timeOctets,
  type TsigRecord,
  tsigTimers,
  tsigVariables,
  withTsig,
} from "./record.ts";
import { signResponse } from "./sign.ts";

export type RequestVerdict =
  | { readonly kind: "unsigned" }
  | {
    readonly kind: "valid";
    readonly key: TsigKey;
    /** The request's MAC, which the response's signature covers. */
    readonly mac: Uint8Array;
    /** The request as it was before it was signed: without TSIG, with its original ID. */
    readonly message: Uint8Array;
    readonly timeSigned: number;
    readonly fudge: number;
  }
  | {
    readonly kind: "refused";
    /** The response to send; `undefined` for bytes that must not be answered (no header, or a response). */
    readonly reply: Uint8Array | undefined;
    readonly reason: RefusalReason;
  };

export type RefusalReason = "malformed" | "bad-key" | "bad-signature" | "bad-time" | "bad-truncation";

/**
 * Judges the signature of a request, in the order of RFC 8945 §5.2: key, MAC, time, truncation. A truncated MAC is refused
 * because nobody here asks for one. Responses about the key or the MAC are not signed, the others are (§5.3.2).
 */
export function verifyRequest(
  bytes: Uint8Array,
  lookupKey: (name: Name) => TsigKey | undefined,
  now: number,
): RequestVerdict {
  const split = splitTsig(bytes);
  if (split.kind === "unsigned") return split;
  if (split.kind === "malformed") return malformed(bytes);
  const { record, message } = split;

  const key = lookupKey(record.keyName);
  if (key === undefined || algorithmName(key.algorithm) !== record.algorithm) {
    return { kind: "refused", reply: unsignedRefusal(message, record, RCODE.BADKEY), reason: "bad-key" };
  }
  if (!isPossibleMacLength(key, record.mac.length)) return malformed(bytes);
  if (!isMac(key, record.mac, [message, tsigVariables(record)])) {
    return { kind: "refused", reply: unsignedRefusal(message, record, BADSIG), reason: "bad-signature" };
  }
  const valid = {
    kind: "valid",
    key,
    mac: record.mac,
    message,
    timeSigned: record.timeSigned,
    fudge: record.fudge,
  } as const;
  if (!isInTime(record, now)) return refuseTime(valid, now);
  if (record.mac.length < macOctets(key.algorithm)) {
    const bare = bareReply(message, RCODE.NOTAUTH);
    const signed = bare &&
      signResponse(bare, { key, requestMac: record.mac }, now, { error: RCODE.BADTRUNC });
    return { kind: "refused", reply: signed?.bytes, reason: "bad-truncation" };
  }
  return valid;
}

/** Refuses a request whose signature is right for its time (§5.2.3), for instance because it is older than one seen before. */
export function refuseTime(
  request: Extract<RequestVerdict, { kind: "valid" }>,
  now: number,
): Extract<RequestVerdict, { kind: "refused" }> {
  const bare = bareReply(request.message, RCODE.NOTAUTH);
  // The client's own time, so that it can verify this, and ours beside it.
  const signed = bare && signResponse(
    bare,
    { key: request.key, requestMac: request.mac },
    request.timeSigned,
    { error: RCODE.BADTIME, other: timeOctets(Math.floor(now)), fudge: request.fudge },
  );
  return { kind: "refused", reply: signed?.bytes, reason: "bad-time" };
}

export type ResponseErrorCode =
  | "malformed"
  | "unsigned"
  | "bad-key"
  | "bad-signature"
  | "bad-time"
  | "bad-truncation"
  | "refused-by-peer";

/** Why a response cannot be trusted. */
export interface ResponseError {
  readonly code: ResponseErrorCode;
  /** One sentence without a final dot. */
  readonly message: string;
  /** The TSIG error that the peer gave, for `refused-by-peer`. */
  readonly tsigError?: number;
}

export interface VerifiedResponse {
  /** The response without TSIG. */
  readonly message: Uint8Array;
  readonly mac: Uint8Array;
}

/** Judges the response to a request of ours that had this MAC (§5.4). */
export function verifyResponse(
  bytes: Uint8Array,
  key: TsigKey,
  requestMac: Uint8Array,
  now: number,
): Result<VerifiedResponse, ResponseError> {
  return verify(bytes, key, requestMac, now, tsigVariables);
}

/** Judges a message after the first of an answer of several (§5.3.1); `previousMac` is that of the one before. */
export function verifyContinuation(
  bytes: Uint8Array,
  key: TsigKey,
  previousMac: Uint8Array,
  now: number,
): Result<VerifiedResponse, ResponseError> {
  return verify(bytes, key, previousMac, now, tsigTimers);
}

function verify(
  bytes: Uint8Array,
  key: TsigKey,
  previousMac: Uint8Array,
  now: number,
  variables: (record: TsigRecord) => Uint8Array,
): Result<VerifiedResponse, ResponseError> {
  const split = splitTsig(bytes);
  if (split.kind === "malformed") return failure("malformed", "the response is no well-formed message");
  if (split.kind === "unsigned") return failure("unsigned", `the response is not signed with ${key.name}`);
  const { record, message } = split;
  if (record.keyName !== key.name || record.algorithm !== algorithmName(key.algorithm)) {
    return failure("bad-key", `the response is signed with ${record.keyName} instead of ${key.name}`);
  }
  if (record.error !== 0 && record.mac.length === 0) return peerRefusal(key, record);
  if (!isPossibleMacLength(key, record.mac.length)) {
    return failure("malformed", "the response's MAC has a length that no MAC of its algorithm has");
  }
  if (!isMac(key, record.mac, [priorMac(previousMac), message, variables(record)])) {
    return failure("bad-signature", `the response's signature does not match the key ${key.name}`);
  }
  if (record.error !== 0) return peerRefusal(key, record);
  if (!isInTime(record, now)) {
    return failure("bad-time", `the response was signed at ${record.timeSigned}, too far from our time`);
  }
  if (record.mac.length < macOctets(key.algorithm)) {
    return failure("bad-truncation", "the response's MAC is truncated");
  }
  return { ok: true, value: { message, mac: record.mac } };
}

function peerRefusal(key: TsigKey, record: TsigRecord): Result<VerifiedResponse, ResponseError> {
  const why = PEER_ERRORS.get(record.error) ?? `gives TSIG error ${record.error} for`;
  return {
    ok: false,
    error: {
      code: "refused-by-peer",
      message: `the server ${why} the key ${key.name}`,
      tsigError: record.error,
    },
  };
}

const PEER_ERRORS: ReadonlyMap<number, string> = new Map<number, string>([
  [BADSIG, "finds the signature wrong (BADSIG): check the secret of"],
  [RCODE.BADKEY, "does not know (BADKEY)"],
  [RCODE.BADTIME, "has another time (BADTIME): check the clocks; it was asked with"],
  [RCODE.BADTRUNC, "refuses a truncated signature (BADTRUNC) with"],
]);

function malformed(bytes: Uint8Array): RequestVerdict {
  return { kind: "refused", reply: bareReply(bytes, RCODE.FORMERR), reason: "malformed" };
}

/** NOTAUTH with an empty MAC (§5.2.1, §5.2.2). */
function unsignedRefusal(message: Uint8Array, request: TsigRecord, error: number): Uint8Array | undefined {
  const bare = bareReply(message, RCODE.NOTAUTH);
  return bare && withTsig(bare, { ...request, mac: new Uint8Array(0), error, other: new Uint8Array(0) });
}

/** §5.2.2.1: no longer than the algorithm's, no shorter than half of it, and never under ten octets. */
function isPossibleMacLength(key: TsigKey, length: number): boolean {
  const full = macOctets(key.algorithm);
  return length <= full && length >= Math.max(10, full / 2);
}

function isMac(key: TsigKey, mac: Uint8Array, digested: readonly Uint8Array[]): boolean {
  return macsEqual(mac, macOf(key, digested).subarray(0, mac.length));
}

/** §5.2.3 */
function isInTime(record: TsigRecord, now: number): boolean {
  return Math.abs(Math.floor(now) - record.timeSigned) <= record.fudge;
}

function failure(code: ResponseErrorCode, message: string): Result<VerifiedResponse, ResponseError> {
  return { ok: false, error: { code, message } };
}
