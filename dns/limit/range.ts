/** Ranges of addresses, as `192.0.2.0/24` or `2001:db8::/32` (RFC 4632 §3.1, RFC 4291 §2.3). */
import { parseIpv4, parseIpv6 } from "../rr/address.ts";

export interface AddressRange {
  /** 4 or 16 octets. */
  readonly address: Uint8Array;
  readonly bits: number;
}

/** Loopback: what asks from there is the host itself. */
export const LOOPBACK: readonly AddressRange[] = [
  { address: Uint8Array.of(127, 0, 0, 0), bits: 8 },
  { address: new Uint8Array(16).fill(1, 15), bits: 128 },
];

/** Reads a range or a single address; `undefined` for what is none, or has bits set behind its prefix. */
export function parseRange(text: string): AddressRange | undefined {
  const [host, prefix, ...rest] = text.split("/");
  const address = parseAddress(host);
  if (address === undefined || rest.length > 0) return undefined;
  const all = address.length * 8;
  if (prefix !== undefined && !/^(0|[1-9]\d{0,2})$/.test(prefix)) return undefined;
  const bits = prefix === undefined ? all : Number(prefix);
  if (bits > all) return undefined;
  // Such a range is a slip of the pen: nobody can tell which of its two parts was meant.
  for (let bit = bits; bit < all; bit++) {
    if ((address[bit >>> 3] & 0x80 >>> (bit & 7)) !== 0) return undefined;
  }
  return { address, bits };
}

function parseAddress(host: string): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(host);
  const ipv6 = host.includes(":");
  const address = new Uint8Array(ipv6 ? 16 : 4);
  const sound = ipv6
    ? parseIpv6(bytes, 0, bytes.length, address, 0)
    : parseIpv4(bytes, 0, bytes.length, address, 0);
  return sound ? address : undefined;
}
