declare const nameBrand: unique symbol;

/**
 * A domain name that we own, as text: absolute, lower case, ending in a dot, `.` being the root; octets outside
 * the printable ASCII range, dots and backslashes inside labels, quotes, semicolons, parentheses, `@`, `$` and
 * spaces escaped as `\DDD` or `\X` in one canonical way (RFC 4343 §2.1), so that two names are equal exactly
 * when their texts are. Names inside packets are never of this type: they are offsets into the packet.
 */
export type Name = string & { readonly [nameBrand]: true };

/** A resource record. `rdata` is uncompressed wire form with the case of names as written. */
export interface ResourceRecord {
  readonly owner: Name;
  /** RR type number, e.g. `RRTYPE.TLSA`. */
  readonly type: number;
  /** Class number; 1 = IN. UPDATE messages also use ANY (255) and NONE (254). */
  readonly class: number;
  /** Seconds, 0 … 2^31-1 (RFC 2181 §8). */
  readonly ttl: number;
  readonly rdata: Uint8Array;
}

/** All records of one owner and type, class IN; one TTL (RFC 2181 §5.2); no two equal rdata; in canonical order. */
export interface RRset {
  readonly owner: Name;
  readonly type: number;
  readonly ttl: number;
  readonly rdatas: readonly Uint8Array[];
}

/** What the update and transfer logic need to see of a zone. */
export interface ZoneView {
  readonly origin: Name;
  rrset(owner: Name, type: number): RRset | undefined;
  /** All RRsets at an owner name, by type; empty where there is no data (an empty non-terminal too). */
  rrsets(owner: Name): readonly RRset[];
}

/** One operation of the update section (RFC 2136 §2.5). */
export type UpdateOperation =
  | { readonly kind: "add"; readonly record: ResourceRecord }
  | { readonly kind: "delete-rrset"; readonly owner: Name; readonly type: number }
  | { readonly kind: "delete-name"; readonly owner: Name }
  | {
    readonly kind: "delete-record";
    readonly owner: Name;
    readonly type: number;
    readonly rdata: Uint8Array;
  };

/** One line of the prerequisite section (RFC 2136 §2.4). */
export type Prerequisite =
  | { readonly kind: "rrset-exists"; readonly owner: Name; readonly type: number }
  | {
    readonly kind: "rrset-equals";
    readonly owner: Name;
    readonly type: number;
    readonly rdatas: readonly Uint8Array[];
  }
  | { readonly kind: "rrset-absent"; readonly owner: Name; readonly type: number }
  | { readonly kind: "name-in-use"; readonly owner: Name }
  | { readonly kind: "name-not-in-use"; readonly owner: Name };

/** A place in a text file; line and column count from 1, the column in bytes. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something wrong with a zone file or a zone, said so that it can be mended. */
export interface Fault {
  readonly position: Position;
  readonly severity: "error" | "warning";
  /** Stable, kebab-case: `syntax`, `no-soa`, `cname-and-other-data`, … */
  readonly code: string;
  /** What is wrong, with the text concerned quoted, and what to do. One line. */
  readonly message: string;
}

/** A shared secret for TSIG (RFC 8945). */
export interface TsigKey {
  readonly name: Name;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Uint8Array;
}

export type TsigAlgorithm = "hmac-sha1" | "hmac-sha224" | "hmac-sha256" | "hmac-sha384" | "hmac-sha512";

export interface Question {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
}

export interface EdnsOption {
  readonly code: number;
  readonly data: Uint8Array;
}

/** The OPT record (RFC 6891), taken apart. */
export interface Edns {
  readonly udpSize: number;
  readonly version: number;
  readonly dnssecOk: boolean;
  readonly options: readonly EdnsOption[];
}

/** A message outside the hot path: updates, the client, tests. OPT is in `edns`; TSIG never appears here. */
export interface Message {
  readonly id: number;
  readonly opcode: number;
  /** With the extended bits of OPT merged in. */
  readonly rcode: number;
  readonly response: boolean;
  readonly authoritative: boolean;
  readonly truncated: boolean;
  readonly recursionDesired: boolean;
  readonly recursionAvailable: boolean;
  readonly authenticData: boolean;
  readonly checkingDisabled: boolean;
  readonly questions: readonly Question[];
  readonly answers: readonly ResourceRecord[];
  readonly authorities: readonly ResourceRecord[];
  readonly additionals: readonly ResourceRecord[];
  readonly edns: Edns | undefined;
}
