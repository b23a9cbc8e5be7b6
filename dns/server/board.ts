/**
 * Where the zones that are answered from are published. The main thread holds the one current set; each worker has a
 * post box and a number in shared memory that says when there is something new in it. A worker that blocks in a system
 * call receives no events, but it can look at the number and empty its box by itself.
 *
 * Versions of a zone share most of their memory. What lies in shared memory is sent to a worker once, and later versions
 * refer to it by number; so publishing a change costs what is new, whatever the zone's size.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import type { ZoneImage } from "../image/layout.ts";
import { createImageSet, type ImageSet } from "../image/set.ts";
import type { Zone } from "../zone/zone.ts";
import { createGarbage } from "./garbage.ts";
import {
  createImagePacker,
  createImageUnpacker,
  type PackedImage,
  type SharedPiece,
} from "./image_packing.ts";

export interface ImageBoard {
  /** What is answered from now. */
  current(): ImageSet;
  /**
   * Replaces the whole set at once. When it returns, no reader is still answering from an older one, and only what a
   * reader did not have yet was sent to it. It waits for a reader no longer than for the end of its batch.
   * @returns the octets of shared memory that no published zone needs any more
   * @throws {RangeError} for two zones of one origin; what was published stays
   */
  publish(zones: Iterable<Zone>): number;
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
  const packer = createImagePacker(current.zones);
  const seats = new Set<{ seat: BoardSeat; outgoing: MessagePort }>();
  return {
    current: () => current,
    publish(zones) {
      const next = imagesOf(zones);
      current = next;
      const { images, pieces, dropped, droppedOctets } = packer.change(next.zones);
      const ids = next.zones.map((zone) => zone.id);
      for (const seat of seats) send(seat, { ids, images, pieces, dropped, droppedOctets });
      // All have the news; who began before it came must have finished with the old set.
      for (const { seat } of seats) awaitReader(seat.state);
      return droppedOctets;
    },
    seat() {
      const { port1, port2 } = new MessageChannel();
      const state = new Int32Array(new SharedArrayBuffer(4 * STATE.size));
      const entry = { seat: { port: port2, state }, outgoing: port1 };
      seats.add(entry);
      send(entry, { ...packer.everything(), ids: current.zones.map((zone) => zone.id), ...NOTHING_DROPPED });
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

/**
 * To be called once in the worker.
 * @param took hears how many milliseconds it took to take up what was published after the beginning
 */
export function readBoard(
  { port, state }: BoardSeat,
  took: (milliseconds: number) => void = () => {},
): BoardReader {
  const images = new Map<number, ZoneImage>();
  const unpacker = createImageUnpacker<ZoneImage>();
  const garbage = createGarbage();
  let version = 0;
  let set = createImageSet([]);
  return {
    begin() {
      // The order matters: busy first, then the look at the version. `publish` does it the other way round.
      Atomics.store(state, STATE.busy, BUSY);
      while (Atomics.load(state, STATE.version) !== version) {
        const begun = performance.now();
        const received = receiveMessageOnPort(port);
        if (received === undefined) break;
        const news: News = received.message;
        for (const image of unpacker.unpack(news)) images.set(image.id, image);
        const zones = news.ids.flatMap((id) => images.get(id) ?? []);
        if (images.size > zones.length) {
          const kept = new Set(news.ids);
          for (const id of images.keys()) if (!kept.has(id)) images.delete(id);
        }
        set = createImageSet(zones);
        garbage.add(news.droppedOctets);
        // The first is what a worker begins with.
        if (version !== 0) took(performance.now() - begun);
        version = news.version;
      }
      return set;
    },
    done() {
      if (Atomics.exchange(state, STATE.busy, IDLE) === AWAITED) Atomics.notify(state, STATE.busy);
      // `publish` waits no longer, and nothing is under way that began with the old set.
      garbage.settle();
    },
  };
}

/** Numbers in a seat's shared memory. */
const STATE = { version: 0, busy: 1, size: 2 } as const;

/** What `STATE.busy` says: a reader is at work with a set, and `publish` sleeps until it is not. */
const IDLE = 0;
const BUSY = 1;
const AWAITED = 2;

/** A batch takes well under a millisecond; a reader that has not finished by then is no longer running. */
const PATIENCE_MS = 1000;

interface News {
  readonly version: number;
  /** The whole set, in order. */
  readonly ids: readonly number[];
  /** Those that the reader did not have. */
  readonly images: readonly PackedImage[];
  readonly pieces: readonly SharedPiece[];
  readonly dropped: readonly number[];
  readonly droppedOctets: number;
}

const NOTHING_DROPPED = { dropped: [], droppedOctets: 0 };

function send(entry: { seat: BoardSeat; outgoing: MessagePort }, news: Omit<News, "version">): void {
  const version = Atomics.load(entry.seat.state, STATE.version) + 1 | 0;
  entry.outgoing.postMessage({ ...news, version } satisfies News);
  Atomics.store(entry.seat.state, STATE.version, version);
}

function awaitReader(state: Int32Array): void {
  if (Atomics.compareExchange(state, STATE.busy, BUSY, AWAITED) === IDLE) return;
  Atomics.wait(state, STATE.busy, AWAITED, PATIENCE_MS);
}

function imagesOf(zones: Iterable<Zone>): ImageSet {
  return createImageSet(Array.from(zones, (zone) => zone.image));
}
