/** The fields of SOA rdata that servers read and change (RFC 1035 §3.3.13). */

/** The serial. `rdata` is valid uncompressed SOA rdata, here as below. */
export function soaSerial(rdata: Uint8Array): number {
  return view(rdata).getUint32(0);
}

/** A copy with another serial. */
export function withSoaSerial(rdata: Uint8Array, serial: number): Uint8Array {
  const copy = rdata.slice();
  view(copy).setUint32(0, serial >>> 0);
  return copy;
}

/** Seconds after which a secondary looks for changes. */
export function soaRefresh(rdata: Uint8Array): number {
  return view(rdata).getUint32(4);
}

/** Seconds after which a secondary that cannot reach the primary gives the zone up. */
export function soaExpire(rdata: Uint8Array): number {
  return view(rdata).getUint32(12);
}

/** The negative TTL (RFC 2308 §4). */
export function soaMinimum(rdata: Uint8Array): number {
  return view(rdata).getUint32(16);
}

/** The five numbers at the end: serial, refresh, retry, expire, minimum. */
function view(rdata: Uint8Array): DataView {
  return new DataView(rdata.buffer, rdata.byteOffset + rdata.length - 20, 20);
}
