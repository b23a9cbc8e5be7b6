/** What both kinds of a fetch's conversation have in common: what is asked for, and what we may be told to have. */
import type { Oid } from "../types.ts";
import { StoreError } from "../types.ts";
import type { BandSource } from "./band_source.ts";
import type { Deepening, ShallowReply } from "./fetch_shallow.ts";
import type { Negotiator } from "./negotiator/negotiator.ts";
import type { RemoteSession } from "./remote.ts";

export interface FetchRequest {
  readonly session: RemoteSession;
  readonly wants: readonly Oid[];
  readonly haves: Haves;
  /** The boundaries of our history that the server is told of. */
  readonly marks: ReadonlySet<Oid>;
  readonly deepening: Deepening | undefined;
  readonly thin: boolean;
  readonly includeTags: boolean;
  readonly progress: ((text: string) => void) | undefined;
  /** The most boundaries that are taken from a server. */
  readonly maxShallow: number;
}

export interface FetchAnswer {
  readonly pack: BandSource | AsyncIterable<Uint8Array>;
  /** What the server said of boundaries, its own ones included. */
  readonly shallow: ShallowReply;
}

/** The haves of one conversation. A server can acknowledge no other, and no more often than makes sense. */
export class Haves {
  readonly #negotiator: Negotiator;
  readonly #offered = new Set<Oid>();

  constructor(negotiator: Negotiator) {
    this.#negotiator = negotiator;
  }

  async next(): Promise<Oid | undefined> {
    const oid = await this.#negotiator.next();
    if (oid !== undefined) this.#offered.add(oid);
    return oid;
  }

  /** Says whether that was known already. @throws {StoreError} `protocol` */
  async acknowledge(oid: Oid): Promise<boolean> {
    if (!this.#offered.has(oid)) {
      throw new StoreError("protocol", `${oid} was acknowledged and never offered`);
    }
    return await this.#negotiator.acknowledge(oid);
  }

  /** Counts the lines of one answer: per have one, and one that says ready, with room for servers that repeat themselves. */
  answerBudget(): () => void {
    let left = 2 * this.#offered.size + 64;
    return () => {
      if (--left < 0) throw new StoreError("protocol", "more acknowledgments than there were haves");
    };
  }
}
