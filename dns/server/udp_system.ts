/**
 * The system calls of a UDP server on Linux (x86-64 and AArch64 have the same structures) through libc. The buffers are
 * laid out once; between two calls only lengths are written. Structures: recvmmsg(2), sendmmsg(2), ip(7), ipv6(7).
 */

export type LibC = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** libc, or why there is none. The library stays open for the life of the process. */
export async function openLibC(): Promise<LibC | string> {
  if (Deno.build.os !== "linux") return `${Deno.build.os} has no recvmmsg`;
  if (Deno.build.arch !== "x86_64" && Deno.build.arch !== "aarch64") {
    return `unknown layout on ${Deno.build.arch}`;
  }
  const reasons: string[] = [];
  for (const path of LIBC_PATHS) {
    const { state } = await Deno.permissions.query({ name: "ffi", path });
    if (state !== "granted") {
      reasons.push(`no permission --allow-ffi=${path}`);
      continue;
    }
    try {
      return Deno.dlopen(path, SYMBOLS).symbols;
    } catch (error) {
      reasons.push(String(error));
    }
  }
  return reasons.join("; ");
}

/** In a worker, after the main thread found that it works. */
export function openLibCAgain(): LibC {
  let last: unknown;
  for (const path of LIBC_PATHS) {
    try {
      return Deno.dlopen(path, SYMBOLS).symbols;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

export function errno(libc: LibC): number {
  const value = new Int32Array(1);
  libc.peek(value, libc.__errno_location(), 4n);
  return value[0];
}

export const ERRNO = { EINTR: 4, EAGAIN: 11, EACCES: 13, EADDRINUSE: 98, EADDRNOTAVAIL: 99 } as const;

/** Octets of a socket address of the family. */
export function sockaddrOctets(ipv6: boolean): number {
  return ipv6 ? 28 : 16;
}

/** sockaddr_in or sockaddr_in6 of a numeric address; `undefined` for text that is none. */
export function toSockaddr(host: string, port: number): Uint8Array<ArrayBuffer> | undefined {
  const ipv6 = host.includes(":");
  const bytes = new Uint8Array(sockaddrOctets(ipv6));
  bytes[0] = ipv6 ? AF_INET6 : AF_INET;
  bytes[2] = port >>> 8;
  bytes[3] = port;
  const address = ipv6 ? parseIPv6(host) : parseIPv4(host);
  if (address === undefined) return undefined;
  bytes.set(address, ipv6 ? 8 : 4);
  return bytes;
}

/** Address and port of a socket address. */
export function fromSockaddr(bytes: Uint8Array): { address: string; port: number } {
  const port = bytes[2] << 8 | bytes[3];
  if (bytes[0] === AF_INET) return { address: bytes.subarray(4, 8).join("."), port };
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[8 + 2 * i] << 8 | bytes[9 + 2 * i]).toString(16));
  // The form of RFC 5952: the URL parser knows it.
  return { address: new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1), port };
}

export function isWildcard(host: string): boolean {
  const address = host.includes(":") ? parseIPv6(host) : parseIPv4(host);
  return address !== undefined && address.every((octet) => octet === 0);
}

/** A bound socket with its options, or the number of the error. */
export function bindSocket(
  libc: LibC,
  address: Uint8Array<ArrayBuffer>,
  options: {
    wildcard: boolean;
    sharing: "none" | "first" | "further";
    receiveTimeoutMs: number;
    receiveBuffer: number;
  },
): { ok: true; fd: number } | { ok: false; errno: number } {
  const ipv6 = address[0] === AF_INET6;
  const fd = libc.socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return { ok: false, errno: errno(libc) };
  const on = Int32Array.of(1);
  if (ipv6) libc.setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, on, 4);
  if (options.wildcard) {
    libc.setsockopt(fd, ipv6 ? IPPROTO_IPV6 : 0, ipv6 ? IPV6_RECVPKTINFO : IP_PKTINFO, on, 4);
  }
  // Path MTU probing has no place in a server that sends small datagrams to anybody (RFC 9715).
  libc.setsockopt(
    fd,
    ipv6 ? IPPROTO_IPV6 : 0,
    ipv6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER,
    Int32Array.of(PMTUDISC_OMIT),
    4,
  );
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, Int32Array.of(options.receiveBuffer), 4);
  const timeout = BigInt64Array.of(0n, BigInt(options.receiveTimeoutMs * 1000));
  libc.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16);
  if (options.sharing === "further") libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, on, 4);
  if (libc.bind(fd, address, address.length) !== 0) {
    const code = errno(libc);
    libc.close(fd);
    return { ok: false, errno: code };
  }
  // The first socket of an address is bound alone, so that a port in use is noticed whoever uses it; sharing is allowed
  // afterwards, and only where there are other sockets of ours: who may share could take queries away.
  if (options.sharing === "first") libc.setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, on, 4);
  return { ok: true, fd };
}

/** Where a socket is bound. */
export function boundAddress(libc: LibC, fd: number, ipv6: boolean): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(sockaddrOctets(ipv6));
  libc.getsockname(fd, address, Int32Array.of(address.length));
  return address;
}

/** Buffers and headers for `count` datagrams each way. */
export interface Batch {
  readonly queries: readonly Uint8Array[];
  readonly responses: readonly Uint8Array[];
  /** Socket addresses, `addressOctets` each. */
  readonly addresses: Uint8Array;
  readonly addressOctets: number;
  /** Control messages, `CONTROL_OCTETS` each; those of query k go out with response k. */
  readonly controls: Uint8Array;
  readonly receiveHeaders: Uint32Array<ArrayBuffer>;
  readonly sendHeaders: Uint32Array<ArrayBuffer>;
  readonly sendVectors: Uint32Array<ArrayBuffer>;
  /** For the send call at an offset. */
  readonly sendPointers: readonly bigint[];
}

/** Indexes of 32-bit words in a `struct mmsghdr` of 64 octets. */
export const WORD = { nameLength: 2, controlLength: 10, flags: 12, length: 14, size: 16 } as const;
/** The word of a `struct iovec` that holds the length. */
export const VECTOR_LENGTH = 2;
export const CONTROL_OCTETS = 64;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_WAITFORONE = 0x10000;

export function createBatch(
  libc: LibC,
  count: number,
  octets: { query: number; response: number },
  ipv6: boolean,
): Batch {
  const addressOctets = sockaddrOctets(ipv6);
  // Strides that are no power of two keep the buffers out of each other's cache lines.
  const queryStride = octets.query + 192;
  const responseStride = octets.response + 64;
  const queries = new Uint8Array(count * queryStride);
  const responses = new Uint8Array(count * responseStride);
  const addresses = new Uint8Array(count * addressOctets);
  const controls = new Uint8Array(count * CONTROL_OCTETS);
  const receiveHeaders = new Uint32Array(count * WORD.size);
  const sendHeaders = new Uint32Array(count * WORD.size);
  const receiveVectors = new Uint32Array(count * 4);
  const sendVectors = new Uint32Array(count * 4);
  const at = (buffer: Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>, offset: number) =>
    libc.addressOf(buffer, buffer, 0n) + BigInt(offset);
  for (let i = 0; i < count; i++) {
    putPointer(receiveVectors, i * 4, at(queries, i * queryStride));
    receiveVectors[i * 4 + VECTOR_LENGTH] = octets.query;
    putPointer(sendVectors, i * 4, at(responses, i * responseStride));
    for (const [headers, vectors] of [[receiveHeaders, receiveVectors], [sendHeaders, sendVectors]]) {
      putPointer(headers, i * WORD.size, at(addresses, i * addressOctets));
      headers[i * WORD.size + WORD.nameLength] = addressOctets;
      putPointer(headers, i * WORD.size + 4, at(vectors, i * 16));
      headers[i * WORD.size + 6] = 1;
      putPointer(headers, i * WORD.size + 8, at(controls, i * CONTROL_OCTETS));
    }
  }
  const slices = (buffer: Uint8Array, stride: number, length: number) =>
    Array.from({ length: count }, (_, i) => buffer.subarray(i * stride, i * stride + length));
  const batch = {
    queries: slices(queries, queryStride, octets.query),
    responses: slices(responses, responseStride, octets.response),
    addresses,
    addressOctets,
    controls,
    receiveHeaders,
    sendHeaders,
    sendVectors,
    sendPointers: Array.from({ length: count }, (_, i) => at(sendHeaders, i * WORD.size * 4)),
  };
  // The kernel reads and writes through pointers that the collector does not see. Held for the thread's life: what only
  // the batch held, it would lose inside a compiled loop that has taken its fields out and does not mention it again.
  owned.push([
    queries,
    responses,
    addresses,
    controls,
    receiveHeaders,
    sendHeaders,
    receiveVectors,
    sendVectors,
  ]);
  return batch;
}

/**
 * Makes the control message that says where a datagram arrived into one that says where the answer leaves from. Of IPv4's
 * `in_pktinfo` the interface is cleared, so that routing decides (ip(7)).
 */
export function turnControl(controls: Uint8Array, at: number, ipv6: boolean): void {
  if (!ipv6) controls.fill(0, at + 16, at + 20);
}

const owned: unknown[] = [];

function putPointer(words: Uint32Array, index: number, pointer: bigint): void {
  words[index] = Number(pointer & 0xffff_ffffn);
  words[index + 1] = Number(pointer >> 32n);
}

function parseIPv4(text: string): Uint8Array | undefined {
  if (!/^(\d{1,3}\.){3}\d{1,3}$/.test(text)) return undefined;
  const octets = text.split(".").map(Number);
  return octets.every((octet) => octet <= 255) ? Uint8Array.from(octets) : undefined;
}

function parseIPv6(text: string): Uint8Array | undefined {
  if (!URL.canParse(`http://[${text}]/`)) return undefined;
  const canonical = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [head, tail] = canonical.split("::").map((part) => part === "" ? [] : part.split(":"));
  const groups = tail === undefined
    ? head
    : [...head, ...Array(8 - head.length - tail.length).fill("0"), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [parseInt(group, 16) >>> 8, parseInt(group, 16) & 0xff]));
}

const LIBC_PATHS = Deno.build.arch === "aarch64"
  ? ["/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"]
  : ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"];

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "u64", "u32", "i32"], result: "i32" },
  __errno_location: { parameters: [], result: "u64" },
  // `Deno.UnsafePointer` asks for FFI with any library. Copying nothing tells a buffer's address, and copying from an
  // address reads it, with the permission for libc alone.
  addressOf: { name: "memcpy", parameters: ["buffer", "buffer", "usize"], result: "u64" },
  peek: { name: "memcpy", parameters: ["buffer", "u64", "usize"], result: "u64" },
} as const;

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_REUSEPORT = 15;
const SO_RCVTIMEO = 20;
const IPPROTO_IPV6 = 41;
const IP_PKTINFO = 8;
const IP_MTU_DISCOVER = 10;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_OMIT = 5;
const IPV6_V6ONLY = 26;
const IPV6_RECVPKTINFO = 49;
