/** The connections of an HTTP client: flows that conduit opened, kept for a while between requests. */
import { Agent, type ClientRequest, type ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import { FlowDuplex } from "../duplex.ts";
import type { Flow } from "../flow.ts";

/** How one request gets its connection. */
export interface Dial {
  /** Connections of one key serve each other's requests. */
  readonly key: string;
  /** @throws what `connect` failed with */
  open(): Promise<Flow>;
}

/** A request's arguments, with its dial among them. */
export interface DialedArgs extends ClientRequestArgs {
  readonly dial: Dial;
}

export interface FlowAgentOptions {
  /** Connections of one key at a time; more requests wait for one. */
  readonly maxConnections: number;
  /** How long a connection is kept that nobody uses. */
  readonly keepAliveMs: number;
}

export class FlowAgent extends Agent {
  readonly #keepAliveMs: number;

  constructor({ maxConnections, keepAliveMs }: FlowAgentOptions) {
    super({
      keepAlive: true,
      maxSockets: maxConnections,
      maxFreeSockets: maxConnections,
      scheduling: "lifo",
    });
    this.#keepAliveMs = keepAliveMs;
  }

  override getName(options?: ClientRequestArgs): string {
    return dialOf(options).key;
  }

  override createConnection(
    options: ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    dialOf(options).open().then(
      (flow) => callback?.(null, new HttpSocket(flow)),
      // The package's types know no callback without a stream.
      (error) => callback && Reflect.apply(callback, undefined, [error]),
    );
    return undefined;
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return socket instanceof HttpSocket && socket.rest(this.#keepAliveMs);
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    if (socket instanceof HttpSocket) socket.wake();
    request.reusedSocket = true;
  }
}

function dialOf(options: ClientRequestArgs | undefined): Dial {
  if (options === undefined || !("dial" in options)) throw new TypeError("a request without its dial");
  return (options as DialedArgs).dial;
}

/** The runtime leaves a listener or two on a connection with each request; so it serves that many and no more. */
const MAX_REQUESTS = 100;

/** A flow as HTTP's stream; what a real socket could do besides, a flow does by itself. */
class HttpSocket extends FlowDuplex {
  #requests = 0;
  #resting: ReturnType<typeof setTimeout> | undefined;

  constructor(flow: Flow) {
    super(flow);
    this.setMaxListeners(0);
    this.once("close", () => this.wake());
  }

  /** Between requests. Whatever comes meanwhile, an end too, is the end of the connection. */
  rest(milliseconds: number): boolean {
    if (++this.#requests >= MAX_REQUESTS || this.readableLength > 0 || this.readableEnded || this.destroyed) {
      return false;
    }
    this.#resting = setTimeout(() => this.destroy(), milliseconds);
    return true;
  }

  wake(): void {
    clearTimeout(this.#resting);
    this.#resting = undefined;
  }

  override push(chunk: unknown): boolean {
    if (this.#resting === undefined) return super.push(chunk);
    this.destroy();
    return false;
  }

  setTimeout(): this {
    return this;
  }
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}
