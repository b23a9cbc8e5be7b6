/** The thin driver between a flow and the machines: packets in and out, with bounds on bytes and on silence. */
import type { Flow, FlowError } from "../../conduit/mod.ts";
import { concatBytes } from "../object/bytes.ts";
import { type Pkt, PktDecoder } from "./pkt_line.ts";
import { StoreError } from "../types.ts";

/** Calls `fire` after so many milliseconds unless the returned function is called first. */
export type Timer = (milliseconds: number, fire: () => void) => () => void;

export interface ChannelBounds {
  /** Milliseconds that the peer may let pass without a byte, reading or writing. */
  readonly idle: number;
  /** Milliseconds that the whole conversation may take. */
  readonly total: number;
  readonly timer?: Timer | undefined;
  /** Gives the conversation up. */
  readonly signal?: AbortSignal | undefined;
}

export const DEFAULT_BOUNDS: ChannelBounds = { idle: 60_000, total: 3_600_000 };

/**
 * A flow on which requests and answers take turns, each request by itself (HTTP): what is written up to the next read is
 * one request, and reading comes to its end where the answer does. `end` sends the request; another may follow.
 */
export interface StatelessFlow extends Flow {
  readonly stateless: true;
}

/** Packets over a flow. Every method throws `StoreError` (`protocol`, `limit`, `unreachable`), never `FlowError`. */
export class Channel {
  /** Whether the peer forgets between requests, so that each must say everything anew. */
  readonly stateless: boolean;
  readonly #flow: Flow | StatelessFlow;
  readonly #bounds: ChannelBounds;
  #decoder = new PktDecoder();
  #answering = false;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #received = 0;
  #ended = false;
  #failure: StoreError | undefined;
  readonly #stop: () => void;

  constructor(flow: Flow | StatelessFlow, bounds: ChannelBounds) {
    this.#flow = flow;
    this.stateless = "stateless" in flow && flow.stateless;
    this.#bounds = bounds;
    const cancel = this.#timer()(bounds.total, () =>
      this.#giveUp(
        new StoreError("limit", `${flow.description}: not done after ${bounds.total / 1000} s`),
      ));
    const abort = () =>
      this.#giveUp(new StoreError("unreachable", `${flow.description}: given up on request`));
    if (bounds.signal?.aborted) abort();
    bounds.signal?.addEventListener("abort", abort, { once: true });
    this.#stop = () => {
      cancel();
      bounds.signal?.removeEventListener("abort", abort);
    };
  }

  /** Bytes received so far. */
  get received(): number {
    return this.#received;
  }

  /** What carries the conversation and to whom. */
  get description(): string {
    return this.#flow.description;
  }

  /** What the peer wrote beside the stream. */
  diagnostics(): string {
    return this.#flow.diagnostics();
  }

  /** The next packet; `undefined` where the peer ended its side between two packets. */
  async read(): Promise<Pkt | undefined> {
    for (;;) {
      const pkt = this.#decoder.next();
      if (pkt !== undefined) return pkt;
      const bytes = await this.#readBytes();
      if (bytes === undefined) {
        if (this.#decoder.pending === 0) return undefined;
        throw new StoreError("protocol", `${this.#flow.description}: ended in the middle of a packet`);
      }
      this.#decoder.push(bytes);
    }
  }

  /** A packet where the conversation cannot be over. */
  async expect(what: string): Promise<Pkt> {
    const pkt = await this.read();
    if (pkt !== undefined) return pkt;
    throw new StoreError("protocol", `${this.#flow.description}: ended where ${what} was due`);
  }

  /** What follows the last packet, as it comes: a raw pack. Stopping early leaves the flow open. */
  async *raw(): AsyncGenerator<Uint8Array, void, undefined> {
    const rest = this.#decoder.takeRest();
    if (rest.length > 0) yield rest;
    for (let bytes = await this.#readBytes(); bytes !== undefined; bytes = await this.#readBytes()) {
      yield bytes;
    }
  }

  /** Puts bytes in line; small packets travel together. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    if (this.#outBytes >= OUT_BYTES) await this.flush();
  }

  /** Hands on what is in line; waits for room, so this is the back-pressure. */
  async flush(): Promise<void> {
    if (this.#outBytes === 0) return;
    const bytes = this.#out.length === 1 ? this.#out[0] : concatBytes(this.#out);
    this.#out = [];
    this.#outBytes = 0;
    if (this.stateless && this.#answering) {
      // The next request; what the last answer still held was for nobody.
      this.#answering = this.#ended = false;
      this.#decoder = new PktDecoder();
    }
    await this.#guard("write", () => this.#flow.write(bytes));
  }

  /**
   * Ends our side and takes what the peer still sends, up to a bound: a peer cut off while it writes would
   * see a broken pipe instead of our answer.
   */
  async finish(drainBytes: number): Promise<void> {
    await this.flush();
    await this.#guard("end", () => this.#flow.end());
    const until = this.#received + drainBytes;
    try {
      while (!this.#ended && this.#received < until) await this.#readBytes();
    } catch (error) {
      // Everything was said and handed on. How the peer leaves, and that it lingers, is its own affair.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /** Says a last thing and ends our side, where there is anybody left to hear it. Without a standing peer there is not. */
  async leave(last: Uint8Array): Promise<void> {
    if (this.stateless) return;
    try {
      await this.write(last);
      await this.flush();
      await this.#guard("end", () => this.#flow.end());
    } catch (error) {
      // We have what we came for; a peer that left first takes nothing of it away.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /** Stops the clocks; the flow stays as it is. */
  release(): void {
    this.#stop();
  }

  /** Stops the clocks and gives the flow up. */
  close(): void {
    this.#stop();
    this.#flow.close();
  }

  async #readBytes(): Promise<Uint8Array | undefined> {
    if (this.#ended) return undefined;
    this.#answering = true;
    const bytes = await this.#guard("read", () => this.#flow.read());
    if (bytes === undefined) this.#ended = true;
    else this.#received += bytes.length;
    return bytes;
  }

  async #guard<T>(what: string, act: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    const cancel = this.#timer()(this.#bounds.idle, () =>
      this.#giveUp(
        new StoreError(
          "limit",
          `${this.#flow.description}: nothing moved for ${this.#bounds.idle / 1000} s (${what})`,
        ),
      ));
    try {
      return await act();
    } catch (error) {
      if (this.#failure !== undefined) throw this.#failure;
      if (!isFlowError(error)) throw error;
      const message = `${this.#flow.description}: ${error.message}`;
      throw new StoreError(
        error.code === "timeout" || error.code === "limit" ? "limit" : "unreachable",
        message,
        {
          cause: error,
        },
      );
    } finally {
      cancel();
    }
  }

  #giveUp(failure: StoreError): void {
    this.#failure ??= failure;
    this.#flow.close();
  }

  #timer(): Timer {
    return this.#bounds.timer ?? systemTimer;
  }
}

/** Small packets are gathered up to this many bytes before they are handed on. */
const OUT_BYTES = 65536;

/** By its name: the class itself is behind a door that only opens where there are sockets. */
function isFlowError(error: unknown): error is FlowError {
  return error instanceof Error && error.name === "FlowError" && "code" in error;
}

/** The runtime's clock. */
export function systemTimer(milliseconds: number, fire: () => void): () => void {
  const id = setTimeout(fire, milliseconds);
  return () => clearTimeout(id);
}
