/** What `status --json` prints. Programs rely on it: keys may be added, none changes or goes. Times are RFC 3339, UTC. */
export interface Status {
  readonly version: string;
  readonly data: string;
  /** When this was found. */
  readonly at: string;
  readonly server: {
    readonly running: boolean;
    readonly pid: number | null;
    /** From here on only while it runs. */
    readonly since?: string;
    readonly dns?: readonly string[];
    /** `off` where it is. */
    readonly ssh?: string;
    readonly web?: string;
    readonly gitDaemon?: string | null;
    readonly gitHttp?: string | null;
  };
  /** `null` before anything was served. */
  readonly source:
    | null
    | ({ readonly kind: "embedded"; readonly repository: string } & ServedCommits)
    | ({ readonly kind: "bundle"; readonly file: string } & ServedCommits)
    | ({
      readonly kind: "remote";
      readonly upstream: string;
      readonly branch: string;
      /** When the upstream was last reached; `null` for never. */
      readonly reached: string | null;
      /** Seconds since then. */
      readonly age: number | null;
      /** Why the last pull failed; `null` where it did not. */
      readonly trouble: string | null;
    } & ServedCommits);
  readonly zones: readonly ZoneStatus[];
  readonly certificates: readonly CertificateStatus[];
  /** Packs of the repository that are broken. */
  readonly damage: readonly { readonly pack: string; readonly reason: string }[];
  /** What else of the repository could not be read, a sentence each. */
  readonly unread: readonly string[];
  /** The last collection of the repository. */
  readonly collection: { readonly at: string; readonly outcome: string } | null;
  /**
   * What DNS was asked and answered, from the start of the server `pid` to `at`: a running server notes it every 10 s, and
   * when it stops. `null` before the first one noted anything.
   */
  readonly counters: CountersStatus | null;
}

/** Counts; names stand only where their count is not 0. */
export interface CountersStatus {
  readonly at: string;
  readonly pid: number;
  readonly queries: number;
  readonly answers: number;
  /** Queries by type; `other` for those that are rarely asked for. */
  readonly types: Readonly<Record<string, number>>;
  /** Answers by the RCODE of their header. */
  readonly rcodes: Readonly<Record<string, number>>;
  /** Queries; all four always stand here. */
  readonly transports: Readonly<Record<"udp4" | "udp6" | "tcp4" | "tcp6", number>>;
  /** Answers by length. */
  readonly octets: readonly HistogramBar[];
  /** Answers by the time from receiving to sending. */
  readonly microseconds: readonly HistogramBar[];
  /** Not answered, being responses or shorter than a header. */
  readonly dropped: number;
  /** Answers with TC. */
  readonly truncated: number;
  /** Rate limiting: not answered, and answered with TC alone. */
  readonly limited: number;
  readonly slipped: number;
  /** What the image alone does not answer: updates, TSIG; and of it what was dropped because too much was under way. */
  readonly slow: number;
  readonly slowDropped: number;
  /** Answered SERVFAIL because of a fault in the program. */
  readonly faults: number;
  /** Answers that the system refused to send. */
  readonly sendErrors: number;
  /** Changes of the zones that workers took up, and how long one was kept by it at most. */
  readonly versions: { readonly taken: number; readonly longestMicroseconds: number };
  readonly tcp: {
    /** Connections: open now, accepted, closed at once because of a limit, and closed by reason. */
    readonly open: number;
    readonly accepted: number;
    readonly refused: number;
    readonly closed: Readonly<Record<string, number>>;
  };
}

/** Values below `below` and not below the bar before: powers of 2. Bars without a count are left out. */
export interface HistogramBar {
  readonly below: number;
  readonly count: number;
}

interface ServedCommits {
  readonly main: string | null;
  readonly machine: string | null;
}

export interface ZoneStatus {
  /** Without the final dot; `.` for the root. */
  readonly name: string;
  /** `null` for a broken zone. */
  readonly serial: number | null;
  /** `held`: its file is faulty and its last good state is served; `broken`: there is none, it answers SERVFAIL. */
  readonly state: "good" | "held" | "broken";
  readonly file: string | null;
  readonly main: string | null;
  readonly machine: string | null;
  /** The first of them, as a pusher reads them. */
  readonly faults: readonly string[];
  readonly faultCount: number;
  /** Records of programs that may not be served beside people's. */
  readonly heldBack: readonly { readonly owner: string; readonly type: string; readonly reason: string }[];
}

export interface CertificateStatus {
  readonly host: string;
  readonly zone: string;
  /** `requested` before the provisioner said anything. */
  readonly state: "requested" | "pending" | "refused" | "issued";
  readonly names: readonly string[];
  readonly issuer: string | null;
  readonly notAfter: string | null;
  /** The next attempt, or the renewal. */
  readonly next: string | null;
  readonly reason: string | null;
}
