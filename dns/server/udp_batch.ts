/**
 * Datagrams in batches: one system call takes as many as wait, one sends all answers. The buffers are laid out once; between
 * two calls only lengths and a few pointers are written. Answers to one client leave together (`segments.ts`).
 *
 * Hot path: few system calls a batch and no allocation (`tests/bench/answers`). Structures: recvmmsg(2), ip(7), ipv6(7).
 */
import { ERRNO, errno, type LibC, MESSAGE, MSG_DONTWAIT, pinned, putPointer, VECTOR } from "./libc.ts";
import { createSegments } from "./segments.ts";
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
  /** Datagrams received into the batch; -1 for an error. Never waits. */
  receive(fd: number): number;
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

  /** Octets of the control message that arrived with a query. */
  const controlLengths = new Int32Array(BATCH);
  const addressWord = ipv6 ? 5 : 1;

  const clientHash = (i: number): number => {
    const at = i * addressWords;
    return Math.imul(peers[at] ^ Math.imul(peers[at + addressWord], 0x85ebca6b), 0x9e3779b1);
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

  const segments = createSegments(BATCH, samePeer);
  const { groups, first, members, segment, next, octets: lengths } = segments;
  /** The group that a message is made of. */
  const groupOf = new Int32Array(BATCH);

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
      if (!sendOne(fd, i, lengths[i])) refused++;
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
    receive(fd) {
      const count = libc.recvmmsg(fd, headers, BATCH, MSG_DONTWAIT, null);
      if (wildcard) {
        for (let i = 0; i < count; i++) {
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
      if (grouping) segments.together(i, length, clientHash(i));
      else segments.alone(i, length);
    },
    send(fd, way) {
      if (grouping) segments.join();
      let messages = 0;
      let vector = 0;
      for (let group = 0; group < groups.count; group++) {
        const count = members[group];
        if (count === 0) continue;
        putMessage(messages * MESSAGE.size, first[group], count, vector, segment[group]);
        groupOf[messages++] = group;
        for (let i = first[group], left = count; left > 0; i = next[i], left--) {
          putVector(vector++, i, lengths[i]);
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
        if (members[group] === 1) {
          refused++;
        } else {
          if (NO_SEGMENTS.has(code)) way.rest = REST;
          refused += sendSingly(fd, group);
        }
      }
      segments.clear();
      return refused;
    },
    controlOf(i) {
      const from = i * CONTROL.octets + CONTROL.received;
      return controls.slice(from, from + controlLengths[i]);
    },
  };
}

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
