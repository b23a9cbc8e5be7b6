/** One client's connection to the HTTP listener: its requests in their order, and the clocks it stands under. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { FlowDuplex } from "../duplex.ts";
import { type Flow, FlowError, type FlowErrorCode, type PeerAddress } from "../flow.ts";
import type { ListenEvent } from "../listener.ts";
import { createIdleClock, type IdleClock } from "./idle_clock.ts";
import { answerRequest, type HttpHandler } from "./server_exchange.ts";

export interface HttpConnectionOptions {
  readonly peer: PeerAddress;
  readonly handler: HttpHandler;
  readonly report: (event: ListenEvent) => void;
  readonly idleMs: number | undefined;
  readonly headersMs: number;
}

/** Requests that a client may send ahead of their answers. */
const MAX_AHEAD = 16;
/** How long a client may go on with a body that nobody wants, so that it comes to read its answer (RFC 9112 §9.6). */
const LINGER_MS = 10_000;

export class HttpConnection {
  readonly socket: HttpServerSocket;
  readonly #options: HttpConnectionOptions;
  readonly #clock: IdleClock;
  readonly #gone: Promise<void>;
  #turn: Promise<void> = Promise.resolve();
  #waiting = 0;
  #stopping = false;
  #awake: (() => void) | undefined;
  #headTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(flow: Flow, options: HttpConnectionOptions) {
    this.#options = options;
    const { idleMs } = options;
    this.#clock = createIdleClock(idleMs, () => this.#giveUp(`the client was silent for ${idleMs} ms`));
    this.socket = new HttpServerSocket(observed(flow, () => this.#received(), () => this.#clock.touch()));
    this.#gone = new Promise((resolve) => this.socket.once("close", () => resolve()));
    this.socket.once("close", () => {
      clearTimeout(this.#headTimer);
      this.#clock.release();
      this.#awake?.();
    });
    this.#rest();
    this.#awaitHead();
  }

  /** A request whose header is there. */
  take(message: IncomingMessage, response: ServerResponse): void {
    clearTimeout(this.#headTimer);
    this.#headTimer = undefined;
    this.#awake?.();
    this.#awake = undefined;
    if (++this.#waiting > MAX_AHEAD) {
      return this.#giveUp(`more than ${MAX_AHEAD} requests ahead of their answers`, "limit");
    }
    this.#turn = this.#turn.then(() => this.#answer(message, response));
  }

  /** What the client sent is no HTTP, or more than is taken, or it left in the middle. */
  refuse(error: Error): void {
    const { socket } = this;
    const code = "code" in error ? error.code : undefined;
    if (socket.destroyed || typeof code !== "string" || !code.startsWith("HPE_")) {
      return void socket.destroy();
    }
    const status = code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
    // In the middle of an answer, more bytes would pass for a part of it.
    if (this.#waiting > 0) return void socket.destroy();
    socket.end(
      `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      () => socket.destroy(),
    );
  }

  /** At once where no request is under way, else after its answer. */
  stop(): void {
    this.#stopping = true;
    if (this.#waiting === 0) this.socket.destroy();
  }

  /** When the connection is closed and no handler works for it. */
  async settled(): Promise<void> {
    await this.#gone;
    await this.#turn;
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const { peer, handler, report } = this.#options;
    const last = () => this.#stopping;
    if (!this.socket.destroyed) {
      const rest = await answerRequest({
        message,
        response,
        peer,
        handler,
        report,
        last,
        patience: this.#clock,
      });
      const linger = setTimeout(() => this.socket.destroy(), LINGER_MS);
      await rest.drain().catch(() => this.socket.destroy()); // A body that breaks off: told where it was read.
      clearTimeout(linger);
    }
    this.#waiting--;
    if (this.#waiting > 0 || this.socket.destroyed) return;
    if (this.#stopping) this.socket.destroySoon();
    else this.#rest();
  }

  /** Nothing is under way: the next request is waited for. */
  #rest(): void {
    void this.#clock.wait(new Promise<void>((resolve) => this.#awake = resolve));
  }

  #received(): void {
    this.#clock.touch();
    if (this.#awake !== undefined && this.#headTimer === undefined) this.#awaitHead();
  }

  #awaitHead(): void {
    const { headersMs } = this.#options;
    this.#headTimer = setTimeout(
      () => this.#giveUp(`no whole request header within ${headersMs} ms`),
      headersMs,
    );
  }

  #giveUp(reason: string, code: FlowErrorCode = "timeout"): void {
    if (this.socket.destroyed) return;
    this.#options.report({ kind: "peer-failed", peer: this.#options.peer, reason });
    this.socket.destroy(new FlowError(code, reason));
  }
}

/** What is written goes down in pieces, so that a slow reader is seen to read. */
const PIECE_BYTES = 64 * 1024;

function observed(flow: Flow, received: () => void, sent: () => void): Flow {
  return {
    description: flow.description,
    peer: flow.peer,
    secure: flow.secure,
    async read() {
      const bytes = await flow.read();
      if (bytes !== undefined) received();
      return bytes;
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        await flow.write(bytes.subarray(at, at + PIECE_BYTES));
        sent();
      }
    },
    end: () => flow.end(),
    close: () => flow.close(),
    diagnostics: () => flow.diagnostics(),
  };
}

/** A flow as HTTP's stream. The clocks of a real socket are the connection's. */
class HttpServerSocket extends FlowDuplex {
  constructor(flow: Flow) {
    super(flow);
    this.setMaxListeners(0); // The runtime puts some on with each response that waits.
  }

  destroySoon(): void {
    if (this.destroyed) return;
    if (this.writableFinished) this.destroy();
    else this.end(() => this.destroy());
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
