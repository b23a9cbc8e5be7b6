/** What the provisioner needs from outside. It reaches a primary through `CertificatePrimary` alone. */
import type { Result } from "../../conduit/mod.ts";
import type { Name, RRset, UpdateOperation } from "../../dns/mod.ts";

export interface CertificatePrimary {
  zones(): readonly Name[];
  rrset(owner: Name, type: number): RRset | undefined;
  /** Every TLSA RRset at a `_letsencrypt._tcp.HOST`. */
  requests(): Iterable<RRset>;
  /** All or nothing; served by this primary when it resolves. */
  change(operations: readonly UpdateOperation[], message: string): Promise<Result<void, { reason: string }>>;
  /** Owner names whose records changed. Gives the function that ends it. */
  subscribe(listener: (owners: ReadonlySet<Name>) => void): () => void;
  /** Resolves when every name server of the zone serves that record, or names one that did not in time. */
  everywhere(
    owner: Name,
    type: number,
    rdata: Uint8Array,
    signal: AbortSignal,
  ): Promise<Result<void, { laggard: string }>>;
}

/** Synchronous and durable: what `put` was given is there after a crash. Values are JSON. */
export interface Ledger {
  get(key: string): unknown;
  put(key: string, value: unknown): void;
  delete(key: string): void;
  /** Keys that start with the prefix. */
  list(prefix: string): readonly string[];
}

/** Resolves after that many milliseconds, or at once when the signal is aborted. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>;

export interface ProvisionerLog {
  info(message: string): void;
  warn(message: string): void;
}
