/** What a pusher hears while its push is looked at: words, progress, and at least a sign of life. */
import { utf8 } from "../object/bytes.ts";
import type { PackSummary } from "../types.ts";
import { StoreError } from "../types.ts";
import { type Channel, systemTimer, type Timer } from "./channel.ts";
import { encodeBand, terminalText } from "./side_band.ts";

/** Says nothing unless the client has a side band. Between `start` and `stop` it alone writes to the channel. */
export class ReceiveVoice {
  banded = false;
  readonly #channel: Channel;
  readonly #every: number;
  readonly #timer: Timer;
  #quiet = false;
  #cancel: (() => void) | undefined;
  /** Of the pack, so far; and what of it was told. */
  #bytes = 0;
  #told = 0;
  #line: Promise<void> = Promise.resolve();
  #waiting = 0;

  /** `every`: milliseconds of silence that are not to be exceeded. */
  constructor(channel: Channel, every: number, timer: Timer = systemTimer) {
    this.#channel = channel;
    this.#every = every;
    this.#timer = timer;
  }

  /** `quiet`: no progress; words and signs of life all the same. */
  start(quiet: boolean): void {
    this.#quiet = quiet;
    if (this.banded) this.#arm();
  }

  /** Returns when what was said is handed on. */
  async stop(): Promise<void> {
    this.#cancel?.();
    this.#cancel = undefined;
    try {
      await this.#line;
    } catch (error) {
      // The client is gone: whoever has something more to tell it will find out.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  /** Whole lines, each shown after `remote: `. */
  async say(text: string): Promise<void> {
    const shown = terminalText(text);
    if (shown !== "") await this.#send(shown);
  }

  /** The pack on its way in, counted. */
  async *counting(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.#bytes += chunk.length;
      yield chunk;
    }
  }

  /** As git, which tells of a pack's objects where they were many, or where it had begun to tell. */
  async unpacked({ objects, bytes }: PackSummary): Promise<void> {
    if (this.#quiet || (objects < WORTH_TELLING && this.#told === 0)) return;
    await this.#send(`Unpacking objects: 100% (${objects}/${objects}), ${amount(bytes)}, done.\n`);
  }

  #arm(): void {
    this.#cancel = this.#timer(this.#every, () => {
      // What waits for room in the line is sign of life enough, once it gets through.
      if (this.#waiting === 0) void this.#signOfLife().catch(gone);
      this.#arm();
    });
  }

  #signOfLife(): Promise<void> {
    if (this.#quiet || this.#bytes === this.#told) return this.#send("");
    this.#told = this.#bytes;
    return this.#send(`Receiving pack: ${amount(this.#bytes)}\r`);
  }

  /** One after the other: the channel is not to be written to twice at a time. */
  #send(text: string): Promise<void> {
    if (!this.banded) return Promise.resolve();
    this.#waiting++;
    const sent = this.#line.then(async () => {
      // An empty packet on band 1 is how git itself says that it is still there.
      await this.#channel.write(text === "" ? EMPTY : encodeBand(2, utf8(text)));
      await this.#channel.flush();
    }).finally(() => this.#waiting--);
    this.#line = sent;
    // Whoever waits for it hears of a failure; nobody has to.
    sent.catch(gone);
    return sent;
  }
}

const EMPTY = utf8("0005\x01");
const WORTH_TELLING = 100;

function gone(error: unknown): void {
  if (!(error instanceof StoreError)) throw error;
}

function amount(bytes: number): string {
  return bytes < 1 << 20 ? `${(bytes / 1024).toFixed(2)} KiB` : `${(bytes / (1 << 20)).toFixed(2)} MiB`;
}
