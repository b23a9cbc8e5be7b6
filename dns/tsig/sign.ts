/** Signing messages (RFC 8945 §5.1 and §5.3). All times are seconds since 1970. */
import { uint16 } from "../message/header.ts";
import { nameOctets } from "../name.ts";
import type { TsigKey } from "../types.ts";
import { algorithmName, macOctets, macOf } from "./hmac.ts";
import { priorMac, type TsigRecord, tsigTimers, tsigVariables, withTsig } from "./record.ts";

/** RFC 8945 §10 recommends 300 seconds. */
export const DEFAULT_FUDGE = 300;

export interface SignedMessage {
  readonly bytes: Uint8Array;
  /** The MAC, which goes into the digest of what follows. */
  readonly mac: Uint8Array;
}

/** Signs a request. `bytes` is a whole message without TSIG. */
export function signRequest(
  bytes: Uint8Array,
  key: TsigKey,
  options: { readonly now: number; readonly fudge?: number | undefined },
): SignedMessage {
  const record = unsignedRecord(bytes, key, options.now, options.fudge);
  return finish(bytes, key, record, [bytes, tsigVariables(record)]);
}

/**
 * Signs the response to a request with this MAC. `error` and `other` are for responses that say what is wrong with the
 * request's signature (§5.3.2), `timeSigned` for the one of them that repeats the request's time.
 */
export function signResponse(
  bytes: Uint8Array,
  signer: { readonly key: TsigKey; readonly requestMac: Uint8Array },
  now: number,
  details: { readonly error?: number; readonly other?: Uint8Array; readonly fudge?: number } = {},
): SignedMessage {
  const record: TsigRecord = {
    ...unsignedRecord(bytes, signer.key, now, details.fudge),
    error: details.error ?? 0,
    other: details.other ?? new Uint8Array(0),
  };
  return finish(bytes, signer.key, record, [priorMac(signer.requestMac), bytes, tsigVariables(record)]);
}

/** Signs a message after the first of an answer of several (§5.3.1); `previousMac` is that of the one before. */
export function signContinuation(
  bytes: Uint8Array,
  signer: { readonly key: TsigKey; readonly previousMac: Uint8Array },
  now: number,
): SignedMessage {
  const record = unsignedRecord(bytes, signer.key, now, undefined);
  return finish(bytes, signer.key, record, [priorMac(signer.previousMac), bytes, tsigTimers(record)]);
}

/** How much longer a message gets by a signature with this key. */
export function signatureOctets(key: TsigKey): number {
  return nameOctets(key.name) + 10 + nameOctets(algorithmName(key.algorithm)) + 16 + macOctets(key.algorithm);
}

function unsignedRecord(
  bytes: Uint8Array,
  key: TsigKey,
  now: number,
  fudge: number | undefined,
): TsigRecord {
  return {
    keyName: key.name,
    algorithm: algorithmName(key.algorithm),
    timeSigned: Math.floor(now),
    fudge: fudge ?? DEFAULT_FUDGE,
    mac: new Uint8Array(0),
    originalId: uint16(bytes, 0),
    error: 0,
    other: new Uint8Array(0),
  };
}

function finish(
  bytes: Uint8Array,
  key: TsigKey,
  record: TsigRecord,
  digested: readonly Uint8Array[],
): SignedMessage {
  const mac = macOf(key, digested);
  return { bytes: withTsig(bytes, { ...record, mac }), mac };
}
