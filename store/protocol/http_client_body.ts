/** The body of a request that is sent while it is made: written at one end, iterated at the other, a little in between. */

export class BodyQueue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[];
  #size: number;
  #over = false;
  #abandoned = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(first: readonly Uint8Array[]) {
    this.#chunks = [...first];
    this.#size = first.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Resolves when there is room for more; what comes after nobody reads any more is dropped. One push at a time. */
  async push(bytes: Uint8Array): Promise<void> {
    if (this.#abandoned || bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    this.#wakeReader?.();
    while (this.#size > ROOM && !this.#abandoned) {
      await new Promise<void>((resolve) => this.#wakeWriter = resolve);
    }
  }

  end(): void {
    this.#over = true;
    this.#wakeReader?.();
  }

  /** Nobody reads on. */
  abandon(): void {
    this.#abandoned = true;
    this.#chunks.length = 0;
    this.#wakeWriter?.();
    this.#wakeReader?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          this.#size -= chunk.length;
          this.#wakeWriter?.();
          yield chunk;
        } else if (this.#over || this.#abandoned) return;
        else await new Promise<void>((resolve) => this.#wakeReader = resolve);
      }
    } finally {
      this.abandon();
    }
  }
}

const ROOM = 256 * 1024;
