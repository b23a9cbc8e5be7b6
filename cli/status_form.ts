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
