/**
 * Where the zones that are answered from are published. The main thread holds the one current set; each worker has a
 * post box and a number in shared memory that says when there is something new in it. A worker that blocks in a system
 * call receives no events, but it can look at the number and empty its box by itself.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { ZoneImage } from "../image/layout.ts";
import { createImageSet, type ImageSet } from "../image/set.ts";
import type { Zone } from "../zone/zone.ts";

export interface ImageBoard {
  /** What is answered from now. */
  current(): ImageSet;
  /**
   * Replaces the whole set at once. When it returns, no reader is still answering from an older one, and only images that
   * a reader did not have yet were sent to it.
   * @throws {RangeError} for two zones of one origin; what was published stays
   */
  publish(zones: Iterable<Zone>): void;
  /** A seat for a worker; `port` is to be transferred to it with the rest. */
  seat(): { readonly seat: BoardSeat; leave(): void };
}

/** What a worker needs to read the board. */
export interface BoardSeat {
  readonly port: MessagePort;
  /** `STATE` numbers. */
  readonly state: Int32Array;
}

/** The worker's side. */
export interface BoardReader {
  /** The newest set; from now until `done`, `publish` waits for us. */
  begin(): ImageSet;
  done(): void;
}

export function createImageBoard(zones: Iterable<Zone> = []): ImageBoard {
  let current = imagesOf(zones);
  const seats = new Set<{ seat: BoardSeat; outgoing: MessagePort; known: Set<number> }>();
  return {
    current: () => current,
    publish(zones) {
      const next = imagesOf(zones);
      current = next;
      for (const seat of seats) send(seat, next);
      // All have the news; who began before it came must have finished with the old set.
      for (const { seat } of seats) awaitReader(seat.state);
    },
    seat() {
      const { port1, port2 } = new MessageChannel();
      const state = new Int32Array(new SharedArrayBuffer(4 * STATE.size));
      const entry = { seat: { port: port2, state }, outgoing: port1, known: new Set<number>() };
      seats.add(entry);
      send(entry, current);
      return {
        seat: entry.seat,
        leave() {
          seats.delete(entry);
          port1.close();
        },
      };
    },
  };
}

/** To be called once in the worker. */
export function readBoard({ port, state }: BoardSeat): BoardReader {
  const images = new Map<number, ZoneImage>();
  let version = 0;
  let set = createImageSet([]);
  return {
    begin() {
      // The order matters: busy first, then the look at the version. `publish` does it the other way round.
      Atomics.store(state, STATE.busy, 1);
      while (Atomics.load(state, STATE.version) !== version) {
        const received = receiveMessageOnPort(port);
        if (received === undefined) break;
        const news: News = received.message;
        for (const image of news.images) images.set(image.id, unpacked(image));
        const zones = news.ids.flatMap((id) => images.get(id) ?? []);
        const kept = new Set(news.ids);
        for (const id of images.keys()) if (!kept.has(id)) images.delete(id);
        set = createImageSet(zones);
        version = news.version;
      }
      return set;
    },
    done() {
      Atomics.store(state, STATE.busy, 0);
      Atomics.notify(state, STATE.busy);
    },
  };
}

/** Numbers in a seat's shared memory. */
const STATE = { version: 0, busy: 1, size: 2 } as const;

/** A batch takes well under a millisecond; a reader that has not finished by then is no longer running. */
const PATIENCE_MS = 1000;

interface News {
  readonly version: number;
  /** The whole set, in order. */
  readonly ids: readonly number[];
  /** Those that the reader did not have. */
  readonly images: readonly PackedImage[];
}

/**
 * An image with its memory instead of the arrays over it. Deno's `receiveMessageOnPort` walks through every element of a
 * typed array that it receives, which for a zone of 200,000 records stops a worker for seconds; it passes memory as such.
 */
interface PackedImage extends Omit<ZoneImage, keyof SharedArrays> {
  readonly memory: { readonly [array in "heap" | "slots" | "patches"]: ArrayBufferLike };
}

/** Each array is the whole of its memory (`dns/zone/memory.ts`). */
type SharedArrays = Pick<ZoneImage, "bytes" | "words" | "view" | "slots" | "patches">;

function packed({ bytes, words: _words, view: _view, slots, patches, ...rest }: ZoneImage): PackedImage {
  return {
    ...rest,
    memory: { heap: bytes.buffer, slots: slots.buffer, patches: patches.buffer },
  };
}

function unpacked({ memory, ...rest }: PackedImage): ZoneImage {
  return {
    ...rest,
    bytes: new Uint8Array(memory.heap),
    words: new Int32Array(memory.heap),
    view: new DataView(memory.heap),
    slots: new Int32Array(memory.slots),
    patches: new Int32Array(memory.patches),
  };
}

function send(
  entry: { seat: BoardSeat; outgoing: MessagePort; known: Set<number> },
  set: ImageSet,
): void {
  const ids = set.zones.map((zone) => zone.id);
  const version = Atomics.load(entry.seat.state, STATE.version) + 1 | 0;
  const images = set.zones.filter((zone) => !entry.known.has(zone.id)).map(packed);
  entry.known = new Set(ids);
  entry.outgoing.postMessage({ version, ids, images } satisfies News);
  Atomics.store(entry.seat.state, STATE.version, version);
}

function awaitReader(state: Int32Array): void {
  Atomics.wait(state, STATE.busy, 1, PATIENCE_MS);
}

function imagesOf(zones: Iterable<Zone>): ImageSet {
  return createImageSet(Array.from(zones, (zone) => zone.image));
}
