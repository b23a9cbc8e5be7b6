/**
 * A UDP client that sends many datagrams in one call and has room for all the answers: the runtime's own sockets lose what
 * exceeds some two hundred datagrams, and do not let themselves be given more room.
 */
import {
  ERRNO,
  errno,
  type LibC,
  MESSAGE,
  MSG_DONTWAIT,
  openLibC,
  pinned,
  putPointer,
  VECTOR,
} from "../../dns/server/libc.ts";
import { fromSockaddr, sockaddrOctets, toSockaddr } from "../../dns/server/socket_address.ts";

export interface Datagram {
  readonly octets: Uint8Array;
  /** Where it came from. */
  readonly host: string;
  readonly port: number;
}

export interface Sent {
  readonly query: Uint8Array;
  readonly host: string;
  readonly port: number;
}

export interface BurstClient extends Disposable {
  send(messages: readonly Sent[]): void;
  /** The next `count` datagrams. @throws {Error} when they do not come */
  receive(count: number): Promise<readonly Datagram[]>;
  /** What has come and nobody has received. */
  left(): readonly Datagram[];
}

/** @param host where its socket is bound */
export async function burstClient(host: string): Promise<BurstClient> {
  const libc = await openLibC();
  if (typeof libc === "string") throw new Error(libc);
  const ipv6 = host.includes(":");
  const fd = libc.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Int32Array.of(ROOM_OCTETS), 4);
  const own = addressOf(host, 0);
  if (libc.bind(fd, own, own.length) !== 0) throw new Error(`${host} cannot be bound (error ${errno(libc)})`);
  const batch = batchOf(libc, sockaddrOctets(ipv6));
  const left: Datagram[] = [];
  const take = () => {
    for (;;) {
      const count = libc.recvmmsg(fd, batch.headers(), BATCH, MSG_DONTWAIT, null);
      if (count < 0 && errno(libc) !== ERRNO.EAGAIN) {
        throw new Error(`receiving fails with error ${errno(libc)}`);
      }
      for (let i = 0; i < count; i++) left.push(batch.received(i));
      if (count < BATCH) return;
    }
  };
  return {
    send(messages) {
      for (let from = 0; from < messages.length; from += BATCH) {
        const part = messages.slice(from, from + BATCH);
        const pointer = batch.fill(part);
        const sent = libc.sendmmsg(fd, pointer, part.length, 0);
        if (sent !== part.length) {
          throw new Error(`${sent} of ${part.length} were sent (error ${errno(libc)})`);
        }
      }
    },
    async receive(count) {
      const end = performance.now() + PATIENCE_MS;
      for (take(); left.length < count; take()) {
        if (performance.now() > end) throw new Error(`${left.length} of ${count} answers came`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return left.splice(0, count);
    },
    left() {
      take();
      return left;
    },
    [Symbol.dispose]: () => void libc.close(fd),
  };
}

/** Structures for one call: `fill` before sending, `headers` before receiving. */
function batchOf(libc: LibC, addressOctets: number) {
  const octets = new Uint8Array(BATCH * STRIDE);
  const names = new Uint8Array(BATCH * addressOctets);
  const vectors = new Uint32Array(BATCH * VECTOR.size);
  const headers = new Uint32Array(BATCH * MESSAGE.size);
  const [octetsAt, namesAt, vectorsAt, headersAt] = [octets, names, vectors, headers].map((buffer) =>
    pinned(libc, buffer)
  );
  for (let i = 0; i < BATCH; i++) {
    putPointer(vectors, i * VECTOR.size + VECTOR.base, octetsAt + i * STRIDE);
    putPointer(headers, i * MESSAGE.size + MESSAGE.name, namesAt + i * addressOctets);
    putPointer(headers, i * MESSAGE.size + MESSAGE.vectors, vectorsAt + i * VECTOR.size * 4);
    headers[i * MESSAGE.size + MESSAGE.vectorCount] = 1;
  }
  const lengths = (octets: (i: number) => number) => {
    for (let i = 0; i < BATCH; i++) {
      headers[i * MESSAGE.size + MESSAGE.nameLength] = addressOctets;
      vectors[i * VECTOR.size + VECTOR.length] = octets(i);
    }
  };
  return {
    fill(messages: readonly Sent[]): bigint {
      messages.forEach(({ query, host, port }, i) => {
        octets.set(query, i * STRIDE);
        names.set(addressOf(host, port), i * addressOctets);
      });
      lengths((i) => messages[i]?.query.length ?? 0);
      return BigInt(headersAt);
    },
    headers() {
      lengths(() => STRIDE);
      return headers;
    },
    received(i: number): Datagram {
      const { address, port } = fromSockaddr(names.subarray(i * addressOctets, (i + 1) * addressOctets));
      const length = headers[i * MESSAGE.size + MESSAGE.received];
      return { octets: octets.slice(i * STRIDE, i * STRIDE + length), host: address, port };
    },
  };
}

function addressOf(host: string, port: number): Uint8Array<ArrayBuffer> {
  const address = toSockaddr(host, port);
  if (address === undefined) throw new Error(`${host} is no address`);
  return address;
}

/** Datagrams a call. */
const BATCH = 128;
const STRIDE = 4096;
/** The system may grant less, and always enough for four hundred short answers. */
const ROOM_OCTETS = 4 << 20;
/** Only what fails waits so long. */
const PATIENCE_MS = 5000;
const AF_INET = 2, AF_INET6 = 10, SOCK_DGRAM = 2, SOL_SOCKET = 1, SO_RCVBUF = 8;
