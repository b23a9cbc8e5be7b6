/** A pack as it comes from a server: out of its side band, or bare. Taken chunk by chunk, never kept. */
import { StoreError } from "../types.ts";
import { oneLine } from "./advertisement.ts";
import type { Channel } from "./channel.ts";
import { decodeBand, terminalText } from "./side_band.ts";

/** Stopping early leaves the rest to `finish`. */
export class BandSource implements AsyncIterable<Uint8Array> {
  /** Why the stream broke off, where it did. */
  failure: StoreError | undefined;
  #over = false;
  #beside = 0;

  constructor(readonly channel: Channel, readonly progress: ((text: string) => void) | undefined) {}

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, undefined> {
    return {
      next: async () => {
        const bytes = await this.#next();
        return bytes === undefined ? { done: true, value: undefined } : { done: false, value: bytes };
      },
    };
  }

  /** Reads on to the end of the stream, in which there may be words but no more bytes of a pack. */
  async finish(): Promise<void> {
    for (let bytes = await this.#next(); bytes !== undefined; bytes = await this.#next()) {
      if (bytes.length > 0) throw new StoreError("protocol", "bytes after the end of the pack");
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    try {
      while (!this.#over) {
        const item = decodeBand(await this.channel.expect("the rest of the pack"));
        if (item === "end") this.#over = true;
        else if (item.band === 3) {
          throw new StoreError(
            "remote",
            `the server says: ${oneLine(new TextDecoder().decode(item.bytes))}`,
          );
        } else if (item.band === 1 && item.bytes.length > 0) return item.bytes;
        else {
          // Words and signs of life; a pack that never comes among them must not keep us for ever.
          if ((this.#beside += item.bytes.length + 5) > MAX_BESIDE) {
            throw new StoreError("limit", `more than ${MAX_BESIDE} bytes of words beside the pack`);
          }
          if (item.band === 2) this.progress?.(terminalText(new TextDecoder().decode(item.bytes)));
        }
      }
      return undefined;
    } catch (error) {
      if (error instanceof StoreError) this.failure ??= error;
      throw error;
    }
  }
}

/** Bytes of progress and of empty packets that may come beside one pack. */
const MAX_BESIDE = 8 << 20;
