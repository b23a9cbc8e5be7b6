/**
 * Datagrams in batches: one system call takes as many as wait, and again what came meanwhile; one sends all answers. The buffers are laid out once;
 * between two calls only lengths and a few pointers are written. Answers of one length to one socket leave as one message
 * that the system cuts up (`UDP_SEGMENT`, udp(7)): it walks its stack once for all of them. That pays where a few sockets
 * ask much, as load balancers and forwarders do; elsewhere it costs a look into a small table.
 *
 * Hot path: few system calls a batch and no allocation (`tests/bench/answers`). Structures: recvmmsg(2), ip(7), ipv6(7).
 */
import { ERRNO, errno, type LibC, MESSAGE, MSG_DONTWAIT, pinned, putPointer, VECTOR } from "./libc.ts";
import { sockaddrOctets } from "./socket_address.ts";

/** Datagrams a batch. */
export const BATCH = 128;

export interface UdpBatch {
  readonly queries: readonly Uint8Array[];
  /** The answer to query i is written into response i. */
  readonly responses: readonly Uint8Array[];
  /** The socket addresses of the clients, `addressOctets` each. */
  readonly addresses: Uint8Array;
  readonly addressOctets: number;
  /** `MESSAGE.size` words a query; `MESSAGE.received` and `MESSAGE.flags` are what a caller reads. */
  readonly headers: Uint32Array;
  /** Datagrams received into the batch, behind the `filled` that are in it; -1 for an error. Never waits. */
  receive(fd: number, filled: number): number;
  /** Begins a batch: says whether segments may be tried. */
  begin(way: SendWay): void;
  /** Has response i, so long, sent with the rest. */
  add(i: number, length: number): void;
  /** Sends what was added and gives how many of them the system refused. */
  send(fd: number, way: SendWay): number;
  /** The control message that an answer to query i needs to leave from the address that was asked. */
  controlOf(i: number): Uint8Array;
}

/** What is known of a socket. */
export interface SendWay {
  /** The system knows segments at all. */
  readonly segments: boolean;
  /** Batches to come without segments, because a route or its interface would not have them. */
  rest: number;
}

/** A batch for sockets of one family, with a wildcard address or without. */
export function createUdpBatch(
  libc: LibC,
  octets: { readonly query: number; readonly response: number },
  { ipv6, wildcard }: { readonly ipv6: boolean; readonly wildcard: boolean },
): UdpBatch {
  const addressOctets = sockaddrOctets(ipv6);
  const addressWords = addressOctets / 4;
  // Strides that are no power of two keep the buffers out of each other's cache lines.
  const queryStride = octets.query + 192;
  const responseStride = octets.response + 64;
  const queryMemory = new Uint8Array(BATCH * queryStride);
  const responseMemory = new Uint8Array(BATCH * responseStride);
  const addresses = new Uint8Array(BATCH * addressOctets);
  const peers = new Int32Array(addresses.buffer);
  const controls = new Uint8Array(BATCH * CONTROL.octets);
  const controlWords = new Int32Array(controls.buffer);
  const headers = new Uint32Array(BATCH * MESSAGE.size);
  const vectors = new Uint32Array(BATCH * VECTOR.size);
  // One header and one vector more: for a message that is sent again on its own.
  const outHeaders = new Uint32Array((BATCH + 1) * MESSAGE.size);
  const outVectors = new Uint32Array((BATCH + 1) * VECTOR.size);
  const responsePlaces = placesOf(pinned(libc, responseMemory), responseStride);
  const addressPlaces = placesOf(pinned(libc, addresses), addressOctets);
  const controlPlaces = placesOf(pinned(libc, controls), CONTROL.octets);
  const receivedPlaces = placesOf(pinned(libc, controls) + CONTROL.received, CONTROL.octets);
  const vectorPlaces = placesOf(pinned(libc, outVectors), VECTOR.size * 4);
  const queryPlaces = placesOf(pinned(libc, queryMemory), queryStride);
  const inVectorPlaces = placesOf(pinned(libc, vectors), VECTOR.size * 4);
  pinned(libc, headers);
  const headersFrom = Array.from({ length: BATCH }, (_, i) => headers.subarray(i * MESSAGE.size));
  const outHeaderPlace = pinned(libc, outHeaders);
  const sendPointers = Array.from(
    { length: BATCH + 1 },
    (_, i) => BigInt(outHeaderPlace + i * MESSAGE.size * 4),
  );
  const receivedOctets = wildcard ? CONTROL.octets - CONTROL.received : 0;
  for (let i = 0; i < BATCH; i++) {
    const header = i * MESSAGE.size;
    copyPointer(vectors, i * VECTOR.size, queryPlaces, i);
    vectors[i * VECTOR.size + VECTOR.length] = octets.query;
    copyPointer(headers, header + MESSAGE.name, addressPlaces, i);
    headers[header + MESSAGE.nameLength] = addressOctets;
    copyPointer(headers, header + MESSAGE.vectors, inVectorPlaces, i);
    headers[header + MESSAGE.vectorCount] = 1;
    copyPointer(headers, header + MESSAGE.control, receivedPlaces, i);
    headers[header + MESSAGE.controlLength] = receivedOctets;
    const control = i * CONTROL.octets / 4;
    controlWords[control] = CONTROL.headOctets + 2;
    controlWords[control + 2] = SOL_UDP;
    controlWords[control + 3] = UDP_SEGMENT;
  }
  for (let i = 0; i <= BATCH; i++) outHeaders[i * MESSAGE.size + MESSAGE.nameLength] = addressOctets;

  // Groups of answers that leave as one message: its first answer, its last, how many, and how long each.
  let groups = 0;
  const first = new Int32Array(BATCH);
  const last = new Int32Array(BATCH);
  const members = new Int32Array(BATCH);
  const lengths = new Int32Array(BATCH);
  const next = new Int32Array(BATCH);
  /** The group that a message is made of; -1 for a single answer. */
  const groupOf = new Int32Array(BATCH);
  /** Octets of the control message that arrived with a query. */
  const controlLengths = new Int32Array(BATCH);

  /** By client and length, the group that such an answer may join. Clients that meet here go singly, no more. */
  const latest = new Int32Array(SLOTS);
  const addressWord = ipv6 ? 5 : 1;

  const slotOf = (i: number, length: number): number => {
    const at = i * addressWords;
    return Math.imul(peers[at] ^ Math.imul(peers[at + addressWord], 0x85ebca6b) ^ length, 0x9e3779b1) >>>
      SLOT_SHIFT;
  };

  const samePeer = (a: number, b: number): boolean => {
    const left = a * addressWords;
    const right = b * addressWords;
    for (let word = 0; word < addressWords; word++) {
      if (peers[left + word] !== peers[right + word]) return false;
    }
    if (!wildcard) return true;
    if (controlLengths[a] !== controlLengths[b]) return false;
    const words = controlLengths[a] >> 2;
    const from = (a * CONTROL.octets + CONTROL.received) >> 2;
    const other = (b * CONTROL.octets + CONTROL.received) >> 2;
    for (let word = 0; word < words; word++) {
      if (controlWords[from + word] !== controlWords[other + word]) return false;
    }
    return true;
  };

  const sendOne = (fd: number, i: number, length: number): boolean => {
    const header = BATCH * MESSAGE.size;
    putMessage(header, i, 1, BATCH, length);
    putVector(BATCH, i, length);
    return libc.sendmmsg(fd, sendPointers[BATCH], 1, 0) === 1;
  };

  const putVector = (vector: number, i: number, length: number): void => {
    const at = vector * VECTOR.size;
    outVectors[at] = responsePlaces[2 * i];
    outVectors[at + 1] = responsePlaces[2 * i + 1];
    outVectors[at + VECTOR.length] = length;
  };

  const putMessage = (header: number, i: number, count: number, vector: number, length: number): void => {
    outHeaders[header] = addressPlaces[2 * i];
    outHeaders[header + 1] = addressPlaces[2 * i + 1];
    outHeaders[header + MESSAGE.vectors] = vectorPlaces[2 * vector];
    outHeaders[header + MESSAGE.vectors + 1] = vectorPlaces[2 * vector + 1];
    outHeaders[header + MESSAGE.vectorCount] = count;
    if (count > 1) {
      controlWords[(i * CONTROL.octets + CONTROL.headOctets) >> 2] = length;
      outHeaders[header + MESSAGE.control] = controlPlaces[2 * i];
      outHeaders[header + MESSAGE.control + 1] = controlPlaces[2 * i + 1];
      outHeaders[header + MESSAGE.controlLength] = CONTROL.received + controlLengths[i];
    } else {
      outHeaders[header + MESSAGE.control] = receivedPlaces[2 * i];
      outHeaders[header + MESSAGE.control + 1] = receivedPlaces[2 * i + 1];
      outHeaders[header + MESSAGE.controlLength] = controlLengths[i];
    }
  };

  /** Sends the answers of a group one by one, and gives how many of them are refused. */
  const sendSingly = (fd: number, group: number): number => {
    let refused = 0;
    for (let i = first[group], left = members[group]; left > 0; i = next[i], left--) {
      if (!sendOne(fd, i, lengths[group])) refused++;
    }
    return refused;
  };

  let grouping = false;

  return {
    queries: slicesOf(queryMemory, queryStride, octets.query),
    responses: slicesOf(responseMemory, responseStride, octets.response),
    addresses,
    addressOctets,
    headers,
    begin(way) {
      if (way.rest > 0) way.rest--;
      grouping = way.segments && way.rest === 0;
    },
    receive(fd, filled) {
      const count = libc.recvmmsg(fd, headersFrom[filled], BATCH - filled, MSG_DONTWAIT, null);
      if (wildcard) {
        for (let i = filled; i < filled + count; i++) {
          const at = i * MESSAGE.size + MESSAGE.controlLength;
          controlLengths[i] = headers[at];
          headers[at] = receivedOctets;
          // Of IPv4's `in_pktinfo` the interface is cleared, so that routing decides (ip(7)).
          if (!ipv6) controlWords[(i * CONTROL.octets + CONTROL.received + CONTROL.headOctets) >> 2] = 0;
        }
      }
      return count;
    },
    add(i, length) {
      if (grouping) {
        const slot = slotOf(i, length);
        // It may be left from a batch before: whatever it names is looked at as it is now.
        const group = latest[slot];
        if (group < groups && lengths[group] === length && samePeer(first[group], i)) {
          if (members[group] < MOST_SEGMENTS && (members[group] + 1) * length <= MOST_OCTETS) {
            next[last[group]] = i;
            last[group] = i;
            members[group]++;
            return;
          }
        }
        latest[slot] = groups;
      }
      first[groups] = i;
      last[groups] = i;
      members[groups] = 1;
      lengths[groups++] = length;
    },
    send(fd, way) {
      let messages = 0;
      let vector = 0;
      for (let group = 0; group < groups; group++) {
        const count = members[group];
        const length = lengths[group];
        const together = count >= WORTHWHILE;
        if (together) {
          putMessage(messages * MESSAGE.size, first[group], count, vector, length);
          groupOf[messages++] = group;
        }
        for (let i = first[group], left = count; left > 0; i = next[i], left--) {
          if (!together) {
            putMessage(messages * MESSAGE.size, i, 1, vector, length);
            groupOf[messages++] = -1;
          }
          putVector(vector++, i, length);
        }
      }
      let refused = 0;
      for (let sent = 0; sent < messages;) {
        const count = libc.sendmmsg(fd, sendPointers[sent], messages - sent, 0);
        if (count > 0) {
          sent += count;
          continue;
        }
        const code = errno(libc);
        if (code === ERRNO.EINTR) continue;
        // The one at the front cannot be sent: no route, a firewall, or the way to it knows no segments. The others may.
        const group = groupOf[sent++];
        if (group < 0) {
          refused++;
        } else {
          if (NO_SEGMENTS.has(code)) way.rest = REST;
          refused += sendSingly(fd, group);
        }
      }
      groups = 0;
      return refused;
    },
    controlOf(i) {
      const from = i * CONTROL.octets + CONTROL.received;
      return controls.slice(from, from + controlLengths[i]);
    },
  };
}

/** From so many answers on a message of segments costs less than one message each. */
const WORTHWHILE = 2;
/** Places for groups, several times a batch: a power of two. */
const SLOTS = 512;
const SLOT_SHIFT = 23;
/** Octets in a message that is cut up: an IP packet's limit with room for its headers. */
const MOST_OCTETS = 65_000;
/** Segments of a message: `UDP_MAX_SEGMENTS` of systems before Linux 6.9, which newer ones double. */
const MOST_SEGMENTS = 64;
/** Batches until segments are tried again where they were refused. */
const REST = 1000;
const NO_SEGMENTS: ReadonlySet<number> = new Set([
  ERRNO.EINVAL,
  ERRNO.EIO,
  ERRNO.EOPNOTSUPP,
  ERRNO.EMSGSIZE,
]);

/**
 * A query's place for control messages: a segment size first, that only goes out, and behind it what came in with the query
 * and says where an answer has to leave from (`in_pktinfo`, 12 octets, or `in6_pktinfo`, 20).
 */
const CONTROL = { octets: 64, headOctets: 16, received: 24 } as const;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;

/** Pointers to the elements of an array, two words each. */
function placesOf(base: number, stride: number): Uint32Array {
  const places = new Uint32Array((BATCH + 1) * 2);
  for (let i = 0; i <= BATCH; i++) putPointer(places, 2 * i, base + i * stride);
  return places;
}

function copyPointer(words: Uint32Array, index: number, places: Uint32Array, i: number): void {
  words[index] = places[2 * i];
  words[index + 1] = places[2 * i + 1];
}

function slicesOf(memory: Uint8Array, stride: number, length: number): Uint8Array[] {
  return Array.from({ length: BATCH }, (_, i) => memory.subarray(i * stride, i * stride + length));
}
