/** epoll(7): which of many descriptors have something to do. Each is known by a number and a generation. */
import { errno, type LibC } from "./libc.ts";

export interface Epoll {
  add(fd: number, events: number, number: number, generation: number): boolean;
  change(fd: number, events: number, number: number, generation: number): void;
  /** Waits; gives how many descriptors have events, -1 for an error. -1 milliseconds is for ever. */
  wait(milliseconds: number): number;
  /** Of the i-th descriptor that has events. */
  events(i: number): number;
  number(i: number): number;
  generation(i: number): number;
  close(): void;
}

export const EPOLL = { in: 0x01, out: 0x04, error: 0x08, hangup: 0x10 } as const;

/** @throws {Error} when the system has no room for one */
export function createEpoll(libc: LibC, most: number): Epoll {
  const epoll = libc.epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) throw new Error(`epoll_create1 fails with error ${errno(libc)}`);
  // `struct epoll_event` is packed on x86-64 alone.
  const data = Deno.build.arch === "x86_64" ? 1 : 2;
  const stride = data + 2;
  const ready = new Int32Array(most * stride);
  const event = new Int32Array(stride);
  const control = (operation: number, fd: number, events: number, number: number, generation: number) => {
    event[0] = events;
    event[data] = number;
    event[data + 1] = generation;
    return libc.epoll_ctl(epoll, operation, fd, event);
  };
  return {
    add: (fd, events, number, generation) => control(CTL.add, fd, events, number, generation) === 0,
    change: (fd, events, number, generation) => void control(CTL.change, fd, events, number, generation),
    wait: (milliseconds) => libc.epoll_wait(epoll, ready, most, milliseconds),
    events: (i) => ready[i * stride],
    number: (i) => ready[i * stride + data],
    generation: (i) => ready[i * stride + data + 1],
    close: () => void libc.close(epoll),
  };
}

const CTL = { add: 1, change: 3 } as const;
const EPOLL_CLOEXEC = 0x80000;
