/**
 * The TCP connections of one worker: their state in arrays, a slot each, and four queues in which each waits for one thing.
 * All waiting in a queue have the same patience, so only its front need be looked at, however many there are.
 */

/** What a connection waits for. */
export const QUEUE = {
  /** The next query. */
  idle: 0,
  /** The rest of a message. */
  reading: 1,
  /** Room for answers. */
  writing: 2,
  /** Answers of the main thread. */
  working: 3,
} as const;

const QUEUES = 4;
const NONE = -1;

export interface ConnectionTable {
  readonly count: number;
  /** -1 for a free slot. */
  readonly fds: Int32Array;
  /** Different for each connection that had the slot, never 0. */
  readonly generations: Int32Array;
  /** The queue that a connection is in. */
  readonly queues: Uint8Array;
  /** When it came into its queue, in milliseconds. */
  readonly since: Float64Array;
  /** Messages of it that are with the main thread. */
  readonly slow: Uint16Array;
  /** 1 when the client has ended its side. */
  readonly ended: Uint8Array;
  /** The events that are waited for. */
  readonly interests: Uint32Array;
  /** 16 octets each. */
  readonly addresses: Uint8Array;
  readonly addressOctets: Uint8Array;
  readonly ports: Uint16Array;
  /** Octets received and not yet looked at, or the start of a message. */
  readonly kept: (Uint8Array | undefined)[];
  readonly keptOctets: Uint32Array;
  /** Octets to be sent, from `unsentFrom` to `unsentTo`. */
  readonly unsent: (Uint8Array | undefined)[];
  readonly unsentFrom: Uint32Array;
  readonly unsentTo: Uint32Array;

  /** A slot at the end of the idle queue; -1 when all are taken. */
  open(fd: number, now: number): number;
  /** Frees a slot. */
  release(slot: number): void;
  /** To the end of a queue. */
  enqueue(slot: number, queue: number, now: number): void;
  /** The slot that has been in a queue for longest, -1 for none. */
  oldest(queue: number): number;
  /** The slots that are taken. */
  slots(): number[];
}

export function createConnectionTable(capacity: number): ConnectionTable {
  const fds = new Int32Array(capacity).fill(NONE);
  const generations = new Int32Array(capacity);
  const queues = new Uint8Array(capacity);
  const since = new Float64Array(capacity);
  const slow = new Uint16Array(capacity);
  const ended = new Uint8Array(capacity);
  const interests = new Uint32Array(capacity);
  const kept: (Uint8Array | undefined)[] = [];
  const keptOctets = new Uint32Array(capacity);
  const unsent: (Uint8Array | undefined)[] = [];
  const unsentFrom = new Uint32Array(capacity);
  const unsentTo = new Uint32Array(capacity);
  // Neighbours in the queue; `before` of a free slot is the next free one.
  const before = new Int32Array(capacity);
  const after = new Int32Array(capacity);
  const fronts = new Int32Array(QUEUES).fill(NONE);
  const backs = new Int32Array(QUEUES).fill(NONE);
  let free = NONE;
  let used = 0;
  let count = 0;

  const unlink = (slot: number): void => {
    const queue = queues[slot];
    if (before[slot] === NONE) fronts[queue] = after[slot];
    else after[before[slot]] = after[slot];
    if (after[slot] === NONE) backs[queue] = before[slot];
    else before[after[slot]] = before[slot];
  };

  const append = (slot: number, queue: number, now: number): void => {
    queues[slot] = queue;
    since[slot] = now;
    before[slot] = backs[queue];
    after[slot] = NONE;
    if (backs[queue] === NONE) fronts[queue] = slot;
    else after[backs[queue]] = slot;
    backs[queue] = slot;
  };

  return {
    get count() {
      return count;
    },
    fds,
    generations,
    queues,
    since,
    slow,
    ended,
    interests,
    addresses: new Uint8Array(capacity * 16),
    addressOctets: new Uint8Array(capacity),
    ports: new Uint16Array(capacity),
    kept,
    keptOctets,
    unsent,
    unsentFrom,
    unsentTo,
    open(fd, now) {
      const slot = free !== NONE ? free : used < capacity ? used++ : NONE;
      if (slot === NONE) return NONE;
      if (slot === free) free = before[slot];
      count++;
      fds[slot] = fd;
      generations[slot] = (generations[slot] + 1 | 0) || 1;
      slow[slot] = 0;
      ended[slot] = 0;
      interests[slot] = 0;
      kept[slot] = undefined;
      keptOctets[slot] = 0;
      unsent[slot] = undefined;
      append(slot, QUEUE.idle, now);
      return slot;
    },
    release(slot) {
      unlink(slot);
      fds[slot] = NONE;
      before[slot] = free;
      free = slot;
      count--;
    },
    enqueue(slot, queue, now) {
      unlink(slot);
      append(slot, queue, now);
    },
    oldest: (queue) => fronts[queue],
    slots() {
      const taken: number[] = [];
      for (let slot = 0; slot < used; slot++) if (fds[slot] !== NONE) taken.push(slot);
      return taken;
    },
  };
}
