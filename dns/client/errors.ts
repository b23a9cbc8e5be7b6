/** What can go wrong between a client and a server. */
import type { ExtendedError } from "../message/edns.ts";
import type { ResponseErrorCode } from "../tsig/verify.ts";

/** Every `message` is one sentence without a final dot that names the server, fit for an operator. */
export type DnsClientError =
  /** No connection could be made. */
  | { readonly code: "unreachable"; readonly message: string; readonly cause: unknown }
  /** No answer in time. An update may have been carried out all the same. */
  | { readonly code: "timeout"; readonly message: string }
  /** The connection ended before the answer. An update may have been carried out all the same. */
  | { readonly code: "lost"; readonly message: string; readonly cause: unknown }
  /** What came is no message, or not one that answers. */
  | { readonly code: "malformed"; readonly message: string }
  /** The answer is not to be trusted, or the server did not trust the request. */
  | {
    readonly code: "untrusted";
    readonly message: string;
    readonly reason: ResponseErrorCode;
    readonly tsigError?: number | undefined;
  }
  /** The server says no. */
  | {
    readonly code: "rcode";
    readonly message: string;
    readonly rcode: number;
    /** What it says besides (RFC 8914). */
    readonly extended: readonly ExtendedError[];
  }
  /** What was to be sent is no message. */
  | { readonly code: "too-long"; readonly message: string };
