/** What an answer depends on besides the query and the zones, and what its server has to know of it afterwards. */

/** As configured; the same for all workers, exchanged as a whole. Structured-cloneable. */
export interface AnswerSettings {
  /** Told to who asks for NSID (RFC 5001); empty: not told. */
  readonly nsid: Uint8Array;
  /** Secrets of server cookies (RFC 9018), 16 octets each, the one that makes new cookies first; none: no cookies. */
  readonly cookieSecrets: readonly Uint8Array[];
  /** Answer to CHAOS TXT `version.bind` and `version.server`; empty: REFUSED. */
  readonly version: string;
  /** Answer to CHAOS TXT `id.server` and `hostname.bind` (RFC 4892); empty: REFUSED. */
  readonly id: string;
  /** Idle time told to TCP clients that ask (RFC 7828), in units of 100 ms; 0: not told. */
  readonly keepalive: number;
  /** The UDP payload that we offer and never exceed (RFC 6891 §6.2.5; 1232 fits the smallest IPv6 packet). */
  readonly udpPayload: number;
}

export const DEFAULT_SETTINGS: AnswerSettings = {
  nsid: new Uint8Array(0),
  cookieSecrets: [],
  version: "",
  id: "",
  keepalive: 0,
  udpPayload: 1232,
};

/** One per server loop, written anew for each query: by its server above the line, by `answerQuery` below it. */
export interface AnswerContext {
  settings: AnswerSettings;
  /** `tls`: any encrypted transport, where padding has a meaning (RFC 7830). */
  transport: "udp" | "tcp" | "tls";
  /** The client's address: the first `addressOctets` octets. */
  readonly address: Uint8Array;
  /** 4 or 16; 0 when it is not known, and then there are no cookies. */
  addressOctets: number;
  /** Seconds since 1970; cookies have an age. */
  now: number;

  /** What kind of response it is, for rate limiting: one of `RESPONSE`. */
  kind: number;
  /** Hash of the name that a flood of such responses has in common: the question's, or of what denies or refers it. */
  flood: number;
  /** The query had a server cookie of ours for this address that is young enough: it is not spoofed. */
  cookieValid: boolean;
}

export const RESPONSE = { answer: 0, referral: 1, nodata: 2, nxdomain: 3, error: 4, any: 5 } as const;

export function createAnswerContext(
  transport: AnswerContext["transport"],
  settings: AnswerSettings = DEFAULT_SETTINGS,
): AnswerContext {
  return {
    settings,
    transport,
    address: new Uint8Array(16),
    addressOctets: 0,
    now: 0,
    kind: RESPONSE.answer,
    flood: 0,
    cookieValid: false,
  };
}
