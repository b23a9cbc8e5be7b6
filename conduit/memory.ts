import type { Flow } from "./flow.ts";
import { FlowError } from "./flow.ts";
import { ConnectError, type Protocol, type Resolver } from "./protocol.ts";

export interface MemoryPairOptions {
  /**
   * Bytes that may lie unread in each direction before a write waits; default 64 KiB. A longer write waits
   * until read.
   */
  readonly capacity?: number | undefined;
}

/**
 * Two ends of one connection inside this process: what one writes the other reads, with the same limits as a
 * socket.
 */
export function memoryPair(options: MemoryPairOptions = {}): [Flow, Flow] {
  const capacity = options.capacity ?? 64 * 1024;
  const there = new Pipe(capacity);
  const back = new Pipe(capacity);
  return [memoryFlow(back, there, "memory, one end"), memoryFlow(there, back, "memory, other end")];
}

function memoryFlow(incoming: Pipe, outgoing: Pipe, description: string): Flow {
  let closed: FlowError | undefined;
  return {
    description,
    peer: undefined,
    secure: false,
    async read() {
      if (closed !== undefined) throw closed;
      return await incoming.take();
    },
    async write(bytes) {
      if (closed !== undefined) throw closed;
      await outgoing.put(bytes);
    },
    end: () => {
      if (closed === undefined) outgoing.end();
      return Promise.resolve();
    },
    close() {
      if (closed !== undefined) return;
      closed = new FlowError("closed", `${description}: closed on this side`);
      const reset = new FlowError("reset", `${description}: the other side closed`);
      incoming.closeReading(closed, reset);
      outgoing.closeWriting(reset, closed);
    },
    diagnostics: () => "",
  };
}

/** One direction: a bounded queue of chunks. */
class Pipe {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #ended = false;
  #readError: FlowError | undefined;
  #writeError: FlowError | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriters: (() => void)[] = [];

  constructor(readonly capacity: number) {}

  async take(): Promise<Uint8Array | undefined> {
    for (;;) {
      if (this.#readError !== undefined) throw this.#readError;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#size -= chunk.length;
        this.#wake();
        return chunk;
      }
      if (this.#ended) return undefined;
      await new Promise<void>((resolve) => this.#wakeReader = resolve);
    }
  }

  async put(bytes: Uint8Array): Promise<void> {
    if (this.#writeError !== undefined) throw this.#writeError;
    if (this.#ended) throw new FlowError("closed", "memory: written to after its end");
    if (bytes.length === 0) return;
    // The caller may use its buffer again once the promise is settled, as with a socket.
    this.#chunks.push(bytes.slice());
    this.#size += bytes.length;
    this.#wake();
    while (this.#size > this.capacity) {
      await new Promise<void>((resolve) => this.#wakeWriters.push(resolve));
      if (this.#writeError !== undefined) throw this.#writeError;
    }
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The reading side gave up. */
  closeReading(readError: FlowError, writeError: FlowError): void {
    this.#readError ??= readError;
    this.#writeError ??= writeError;
    this.#wake();
  }

  /** The writing side gave up. What it had ended in good order before is still read. */
  closeWriting(readError: FlowError, writeError: FlowError): void {
    this.#writeError ??= writeError;
    if (!this.#ended) this.#readError ??= readError;
    this.#wake();
  }

  #wake(): void {
    this.#wakeReader?.();
    this.#wakeReader = undefined;
    for (const wake of this.#wakeWriters.splice(0)) wake();
  }
}

/** Names inside this process that can be connected to, for an instance and its tests. */
export interface MemoryNetwork {
  /**
   * Hands each new connection to `onFlow`; the returned function stops it. @throws {RangeError} where the
   * name is taken
   */
  listen(host: string, onFlow: (flow: Flow) => void): () => void;
  /** A new connection, or `undefined` where nobody listens. */
  open(host: string): Flow | undefined;
}

export function createMemoryNetwork(options: MemoryPairOptions = {}): MemoryNetwork {
  const listeners = new Map<string, (flow: Flow) => void>();
  return {
    listen(host, onFlow) {
      if (listeners.has(host)) throw new RangeError(`memory ${host} is taken`);
      listeners.set(host, onFlow);
      return () => listeners.delete(host);
    },
    open(host) {
      const listener = listeners.get(host);
      if (listener === undefined) return undefined;
      const [near, far] = memoryPair(options);
      listener(far);
      return near;
    },
  };
}

export interface MemoryConfig {
  readonly network: MemoryNetwork;
  readonly host: string;
}

export function memoryResolver(
  network: MemoryNetwork,
  options: { readonly priority?: number | undefined } = {},
): Resolver<MemoryConfig> {
  return {
    name: "memory",
    priority: options.priority ?? 0,
    protocol: memoryProtocol,
    resolve: (endpoint) =>
      Promise.resolve(
        endpoint.scheme === "memory"
          ? {
            applies: true,
            candidates: [{ target: `memory ${endpoint.host}`, config: { network, host: endpoint.host } }],
          }
          : {
            applies: false,
            error: new ConnectError("not-applicable", `not for ${endpoint.scheme} endpoints`),
          },
      ),
  };
}

export const memoryProtocol: Protocol<MemoryConfig> = {
  name: "memory",
  security: "plain",
  connect({ network, host }) {
    const flow = network.open(host);
    return Promise.resolve(
      flow === undefined
        ? { ok: false, error: new ConnectError("refused", `nobody listens as ${host} in this process`) }
        : { ok: true, value: flow },
    );
  },
};
