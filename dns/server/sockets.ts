/** The sockets of a DNS server on Linux: for each address and worker one for UDP and one that listens for TCP. */
import type { Result } from "../../conduit/mod.ts";
import { ERRNO, errno, type LibC } from "./libc.ts";
import { AF_INET, AF_INET6, fromSockaddr, isWildcard, sockaddrOctets, toSockaddr } from "./socket_address.ts";

export interface DnsListenError {
  readonly code: "port-in-use" | "not-permitted" | "bad-address" | "address-not-here" | "bind-failed";
  /** One sentence without a final dot that names address and port. */
  readonly message: string;
}

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** One worker's sockets for one address. Plain data: descriptors belong to the process. */
export interface SocketPair {
  readonly udp: number;
  readonly tcp: number;
  readonly ipv6: boolean;
  readonly wildcard: boolean;
  /** The system knows segmentation of UDP (Linux 4.18). */
  readonly segments: boolean;
}

export interface BoundSockets {
  /** As bound, in the order asked for. */
  readonly addresses: readonly Place[];
  /** For each worker its sockets. */
  readonly workers: readonly (readonly SocketPair[])[];
  close(): void;
}

/** Binds everything or nothing. A port that is picked (0) is one that is free for UDP and TCP. */
export function bindSockets(
  libc: LibC,
  listen: readonly Place[],
  workers: number,
): Result<BoundSockets, DnsListenError> {
  const open: number[] = [];
  const close = () => {
    for (const fd of open.splice(0)) libc.close(fd);
  };
  const addresses: Place[] = [];
  const crews: SocketPair[][] = Array.from({ length: workers }, () => []);
  for (const place of listen) {
    const bound = bindPlace(libc, place, workers);
    if (!bound.ok) {
      close();
      return bound;
    }
    addresses.push({ host: place.host, port: bound.value.port });
    bound.value.pairs.forEach((pair, worker) => {
      open.push(pair.udp, pair.tcp);
      crews[worker].push(pair);
    });
  }
  return { ok: true, value: { addresses, workers: crews, close } };
}

/** How often another port is picked when one that is free for UDP is taken for TCP. */
const PICKS = 20;

function bindPlace(
  libc: LibC,
  { host, port }: Place,
  workers: number,
): Result<{ port: number; pairs: SocketPair[] }, DnsListenError> {
  const asked = toSockaddr(host, port);
  if (asked === undefined) {
    return {
      ok: false,
      error: { code: "bad-address", message: `${host} is no numeric IP address to listen on` },
    };
  }
  for (let pick = 1;; pick++) {
    const pairs: SocketPair[] = [];
    const fault = bindPairs(libc, { host, address: asked, workers, pairs });
    if (fault === undefined) {
      return { ok: true, value: { port: fromSockaddr(boundAddress(libc, pairs[0].udp)).port, pairs } };
    }
    for (const { udp, tcp } of pairs) {
      libc.close(udp);
      if (tcp >= 0) libc.close(tcp);
    }
    if (port !== 0 || fault.errno !== ERRNO.EADDRINUSE || pick === PICKS) {
      return { ok: false, error: listenError(fault.protocol, host, port, fault.errno) };
    }
  }
}

/** All workers' sockets of one address; what could be bound stands in `pairs` also when there is a fault. */
function bindPairs(
  libc: LibC,
  { host, address: asked, workers, pairs }: {
    host: string;
    address: Uint8Array<ArrayBuffer>;
    workers: number;
    pairs: SocketPair[];
  },
): { protocol: "UDP" | "TCP"; errno: number } | undefined {
  const ipv6 = asked[0] === AF_INET6;
  const wildcard = isWildcard(host);
  let address = asked;
  for (let worker = 0; worker < workers; worker++) {
    const sharing = worker > 0 ? "further" : workers > 1 ? "first" : "none";
    const udp = bindSocket(libc, address, SOCK_DGRAM, sharing, (fd) => prepareUdp(libc, fd, ipv6, wildcard));
    if (!udp.ok) return { protocol: "UDP", errno: udp.errno };
    if (worker === 0) address = boundAddress(libc, udp.fd);
    const segments = libc.setsockopt(udp.fd, SOL_UDP, UDP_SEGMENT, Int32Array.of(0), 4) === 0;
    const tcp = bindSocket(libc, address, SOCK_STREAM | SOCK_NONBLOCK, sharing, (fd) => prepareTcp(libc, fd));
    pairs.push({ udp: udp.fd, tcp: tcp.ok ? tcp.fd : -1, ipv6, wildcard, segments });
    if (!tcp.ok) return { protocol: "TCP", errno: tcp.errno };
    if (libc.listen(tcp.fd, BACKLOG) !== 0) return { protocol: "TCP", errno: errno(libc) };
  }
  return undefined;
}

function listenError(protocol: string, host: string, port: number, code: number): DnsListenError {
  const place = `${protocol} ${host.includes(":") ? `[${host}]` : host}:${port}`;
  switch (code) {
    case ERRNO.EADDRINUSE:
      return { code: "port-in-use", message: `${place} is in use by another program` };
    case ERRNO.EACCES:
      return { code: "not-permitted", message: `${place} may not be bound by this user` };
    case ERRNO.EADDRNOTAVAIL:
      return { code: "address-not-here", message: `${place} is no address of this machine` };
    default:
      return { code: "bind-failed", message: `${place} cannot be bound (error ${code})` };
  }
}

/** A bound socket, or the number of the error. */
function bindSocket(
  libc: LibC,
  address: Uint8Array<ArrayBuffer>,
  type: number,
  sharing: "none" | "first" | "further",
  prepare: (fd: number) => void,
): { ok: true; fd: number } | { ok: false; errno: number } {
  const ipv6 = address[0] === AF_INET6;
  const fd = libc.socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return { ok: false, errno: errno(libc) };
  const on = Int32Array.of(1);
  if (ipv6) libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, on, 4);
  prepare(fd);
  if (sharing === "further") libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, on, 4);
  if (libc.bind(fd, address, address.length) !== 0) {
    const code = errno(libc);
    libc.close(fd);
    return { ok: false, errno: code };
  }
  // The first socket of an address is bound alone, so that a port in use is noticed whoever uses it; sharing is allowed
  // afterwards, and only where there are other sockets of ours: who may share could take queries away.
  if (sharing === "first") libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, on, 4);
  return { ok: true, fd };
}

function prepareUdp(libc: LibC, fd: number, ipv6: boolean, wildcard: boolean): void {
  const level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (wildcard) libc.setsockopt(fd, level, ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO, Int32Array.of(1), 4);
  // Path MTU probing has no place in a server that sends small datagrams to anybody (RFC 9715).
  libc.setsockopt(fd, level, ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, Int32Array.of(PMTUDISC_OMIT), 4);
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Int32Array.of(SOCKET_BUFFER), 4);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, Int32Array.of(SOCKET_BUFFER), 4);
  // Sending waits for a full interface, and no longer than this.
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, BigInt64Array.of(0n, SEND_PATIENCE_MICROSECONDS), 16);
}

/** On Linux a connection inherits what its listener was given. */
function prepareTcp(libc: LibC, fd: number): void {
  const set = (level: number, name: number, value: number) =>
    libc.setsockopt(fd, level, name, Int32Array.of(value), 4);
  // A restart does not wait for the ends of old connections.
  set(SOL_SOCKET, SO_REUSEADDR, 1);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  // Clients that vanished: without news for so long, and with answers that nobody acknowledges.
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 15_000);
}

/** Where a socket is bound. */
function boundAddress(libc: LibC, fd: number): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(sockaddrOctets(true));
  libc.getsockname(fd, address, Int32Array.of(address.length));
  return address.slice(0, sockaddrOctets(address[0] === AF_INET6));
}

/** Octets the system should queue for a UDP socket; it grants what its own limit allows. */
const SOCKET_BUFFER = 4 << 20;
const SEND_PATIENCE_MICROSECONDS = 20_000n;
/** Connections that wait to be accepted; the system grants what `somaxconn` allows. */
const BACKLOG = 4096;

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_KEEPALIVE = 9;
const SO_REUSEPORT = 15;
const SO_SNDTIMEO = 21;
const IPPROTO_IP = 0;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_KEEPIDLE = 4;
const TCP_KEEPINTVL = 5;
const TCP_KEEPCNT = 6;
const TCP_USER_TIMEOUT = 18;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const IPPROTO_IPV6 = 41;
const IP_PKTINFO = 8;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_OMIT = 5;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
