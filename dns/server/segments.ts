/**
 * Which answers of a batch leave together: answers to one socket are one message that the system cuts up (`UDP_SEGMENT`,
 * udp(7)), so that it walks its stack once for all of them. Its segments have one length but for the last, which may be
 * shorter; so answers of one length form a group, and what would go alone becomes the end of a longer one's message. That
 * pays where a few sockets ask much, as load balancers and forwarders do; elsewhere it costs a look into a small table.
 *
 * Hot path: no allocation, and no pass over the answers besides the one that sends them (`tests/bench/answers`).
 */

/** Answers are numbers below the size of a batch, groups too. What is read here is right after `join` and until `clear`. */
export interface Segments {
  /** Groups so far; those with 0 `members` have been joined to others. */
  readonly groups: { count: number };
  /** By group: its first answer, how many there are, and how long each is, but for the last, which may be shorter. */
  readonly first: Int32Array;
  readonly members: Int32Array;
  readonly segment: Int32Array;
  /** By answer: the one that follows it in its group, and its octets. */
  readonly next: Int32Array;
  readonly octets: Int32Array;
  /** Adds an answer that goes alone. */
  alone(answer: number, octets: number): void;
  /** Adds one that may go with others to the same client. Clients whose hashes meet go apart, no more. */
  together(answer: number, octets: number, clientHash: number): void;
  /** Makes few messages of what was added. */
  join(): void;
  clear(): void;
}

/** @param sameClient whether two answers go to one place, from one place */
export function createSegments(
  batch: number,
  sameClient: (answer: number, other: number) => boolean,
): Segments {
  const next = new Int32Array(batch);
  const octets = new Int32Array(batch);
  const groups = { count: 0 };
  const first = new Int32Array(batch);
  const last = new Int32Array(batch);
  const members = new Int32Array(batch);
  const segment = new Int32Array(batch);
  /** The client's next group, of segments that are no longer; -1 for none. */
  const shorter = new Int32Array(batch);
  let clients = 0;
  /** By client: an answer to it, and its group of the longest segments. */
  const example = new Int32Array(batch);
  const longest = new Int32Array(batch);
  /** By hash, a client. It may be left from a batch before: whatever it names is looked at as it is now. */
  const latest = new Int32Array(SLOTS);
  const open = new Int32Array(batch);

  const begin = (answer: number, length: number): number => {
    const group = groups.count++;
    octets[answer] = length;
    first[group] = answer;
    last[group] = answer;
    members[group] = 1;
    segment[group] = length;
    return group;
  };

  const append = (group: number, answer: number): void => {
    next[last[group]] = answer;
    last[group] = answer;
    members[group]++;
  };

  const hasRoom = (group: number): boolean =>
    members[group] < MOST_SEGMENTS && (members[group] + 1) * segment[group] <= MOST_OCTETS;

  /** The groups of one client, those of long segments first: each takes one answer of a later group as its end. */
  const joinGroups = (client: number): void => {
    let opened = 0;
    for (let group = longest[client]; group >= 0; group = shorter[group]) {
      const count = members[group];
      if (count > opened) {
        if (hasRoom(group)) open[opened++] = group;
        continue;
      }
      for (let answer = first[group], left = count; left > 0; left--) {
        const following = next[answer];
        append(open[--opened], answer);
        answer = following;
      }
      members[group] = 0;
    }
  };

  return {
    groups,
    first,
    members,
    segment,
    next,
    octets,
    alone(answer, length) {
      begin(answer, length);
    },
    together(answer, length, clientHash) {
      const slot = clientHash >>> SLOT_SHIFT;
      let client = latest[slot];
      if (client >= clients || !sameClient(example[client], answer)) {
        client = clients++;
        latest[slot] = client;
        example[client] = answer;
        longest[client] = begin(answer, length);
        shorter[longest[client]] = -1;
        return;
      }
      let before = -1;
      let group = longest[client];
      for (; group >= 0 && segment[group] > length; group = shorter[group]) before = group;
      if (group >= 0 && segment[group] === length && hasRoom(group)) {
        octets[answer] = length;
        append(group, answer);
        return;
      }
      const made = begin(answer, length);
      shorter[made] = group;
      if (before < 0) longest[client] = made;
      else shorter[before] = made;
    },
    join() {
      for (let client = 0; client < clients; client++) joinGroups(client);
    },
    clear() {
      groups.count = 0;
      clients = 0;
    },
  };
}

/** Places for clients, several times a batch: a power of two. */
const SLOTS = 512;
const SLOT_SHIFT = 23;
/** Octets in a message that is cut up: an IP packet's limit with room for its headers. */
const MOST_OCTETS = 65_000;
/** Segments of a message: `UDP_MAX_SEGMENTS` of systems before Linux 6.9, which newer ones double. */
const MOST_SEGMENTS = 64;
