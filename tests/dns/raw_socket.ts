/** Datagrams as anybody on the network can make them: from ports that no socket has. */
import { equal } from "node:assert/strict";
import { MESSAGE, openLibC, pinned, putPointer, VECTOR } from "../../dns/server/libc.ts";
import { sockaddrOctets, toSockaddr } from "../../dns/server/socket_address.ts";

export interface RawSocket extends Disposable {
  /** Sends to an IPv4 address. */
  sendFromPort(from: number, payload: Uint8Array, to: { readonly host: string; readonly port: number }): void;
}

/** Why there can be none; `undefined` where there can. */
export async function whyNotRaw(): Promise<string | undefined> {
  const libc = await openLibC();
  if (typeof libc === "string") return libc;
  const fd = libc.socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  if (fd < 0) return "raw sockets are for root";
  libc.close(fd);
  return undefined;
}

export async function rawSocket(): Promise<RawSocket> {
  const libc = await openLibC();
  if (typeof libc === "string") throw new Error(libc);
  const fd = libc.socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
  const datagram = new Uint8Array(1024);
  const name = new Uint8Array(sockaddrOctets(false));
  const vector = new Uint32Array(VECTOR.size);
  const header = new Uint32Array(MESSAGE.size);
  putPointer(vector, VECTOR.base, pinned(libc, datagram));
  putPointer(header, MESSAGE.name, pinned(libc, name));
  header[MESSAGE.nameLength] = name.length;
  putPointer(header, MESSAGE.vectors, pinned(libc, vector));
  header[MESSAGE.vectorCount] = 1;
  return {
    sendFromPort(from, payload, { host, port }) {
      const length = 8 + payload.length;
      // RFC 768; without a checksum.
      datagram.set([from >> 8, from, port >> 8, port, length >> 8, length, 0, 0]);
      datagram.set(payload, 8);
      const address = toSockaddr(host, 0);
      if (address === undefined) throw new Error(`${host} is no address`);
      name.set(address);
      vector[VECTOR.length] = length;
      equal(libc.sendmsg(fd, header, 0), length);
    },
    [Symbol.dispose]: () => void libc.close(fd),
  };
}

const AF_INET = 2, SOCK_RAW = 3, IPPROTO_UDP = 17;
