/** Socket addresses as the system has them (ip(7), ipv6(7)), and addresses as text. */

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
  return { address: addressText(bytes[0] === AF_INET ? bytes.subarray(4, 8) : bytes.subarray(8, 24)), port };
}

/** 4 or 16 octets as text. */
export function addressText(octets: Uint8Array): string {
  if (octets.length === 4) return octets.join(".");
  const groups = Array.from({ length: 8 }, (_, i) => (octets[2 * i] << 8 | octets[2 * i + 1]).toString(16));
  // The form of RFC 5952: the URL parser knows it.
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

export function isWildcard(host: string): boolean {
  const address = host.includes(":") ? parseIPv6(host) : parseIPv4(host);
  return address !== undefined && address.every((octet) => octet === 0);
}

/** The octets of a numeric address, 4 or 16; `undefined` for text that is none. */
export function addressOctetsOf(host: string): Uint8Array | undefined {
  return host.includes(":") ? parseIPv6(host) : parseIPv4(host);
}

export const AF_INET = 2;
export const AF_INET6 = 10;

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
