/**
 * What a DNS server needs of libc on Linux (x86-64 and AArch64 have the same structures, but for `epoll_event`), without
 * the permission for any other library.
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

/** Why the last call of this thread failed. */
export function errno(libc: LibC): number {
  // A module lives in one thread, and in a thread the number always lies at the same place.
  errorPlace ??= libc.__errno_location();
  libc.peek(lastError, errorPlace, 4n);
  return lastError[0];
}

let errorPlace: bigint | undefined;
const lastError = new Int32Array(1);

export const ERRNO = {
  EINTR: 4,
  EIO: 5,
  EAGAIN: 11,
  EACCES: 13,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENOBUFS: 105,
  ECONNABORTED: 103,
} as const;

/**
 * Where a buffer lies. From then on it is never collected, for the kernel keeps reading and writing there: what only a loop
 * holds that does not mention it again, the collector would take.
 */
export function pinned(libc: LibC, buffer: Uint8Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): number {
  pins.push(buffer);
  return Number(libc.addressOf(buffer, buffer, 0n));
}

const pins: unknown[] = [];

/** Writes a pointer into two 32-bit words; addresses of user space are exact as numbers. */
export function putPointer(words: Uint32Array, index: number, pointer: number): void {
  words[index] = pointer >>> 0;
  words[index + 1] = Math.floor(pointer / 0x1_0000_0000);
}

/** 32-bit words of a `struct msghdr` of 56 octets; a `struct mmsghdr` has the received octets behind it. */
export const MESSAGE = {
  name: 0,
  nameLength: 2,
  vectors: 4,
  vectorCount: 6,
  control: 8,
  controlLength: 10,
  flags: 12,
  received: 14,
  size: 16,
} as const;
/** 32-bit words of a `struct iovec`. */
export const VECTOR = { base: 0, length: 2, size: 4 } as const;

export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

const LIBC_PATHS = Deno.build.arch === "aarch64"
  ? ["/lib/aarch64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"]
  : ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"];

const SYMBOLS = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "buffer", "buffer", "i32"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  recvmmsg: { parameters: ["i32", "buffer", "u32", "i32", "pointer"], result: "i32" },
  sendmmsg: { parameters: ["i32", "u64", "u32", "i32"], result: "i32" },
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  epoll_create1: { parameters: ["i32"], result: "i32" },
  epoll_ctl: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  epoll_wait: { parameters: ["i32", "buffer", "i32", "i32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  eventfd_read: { parameters: ["i32", "buffer"], result: "i32" },
  eventfd_write: { parameters: ["i32", "u64"], result: "i32" },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  usleep: { parameters: ["u32"], result: "i32" },
  __errno_location: { parameters: [], result: "u64" },
  // `Deno.UnsafePointer` asks for FFI with any library. Copying nothing tells a buffer's address, and copying from an
  // address reads it, with the permission for libc alone.
  addressOf: { name: "memcpy", parameters: ["buffer", "buffer", "usize"], result: "u64" },
  peek: { name: "memcpy", parameters: ["buffer", "u64", "usize"], result: "u64" },
} as const;
