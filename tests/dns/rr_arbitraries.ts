/** For each described type, arbitrary well-formed rdata; written from the RFCs, not from the descriptors. */
import fc from "fast-check";
import { nameFromWire } from "../../dns/name.ts";
import { RRTYPE } from "../../dns/rr/types.ts";
import type { Name, ResourceRecord } from "../../dns/types.ts";

type Wire = fc.Arbitrary<number[]>;

const u8: Wire = fc.nat(255).map((n) => [n]);
const u16: Wire = fc.nat(65_535).map((n) => [n >>> 8, n & 255]);
const u32: Wire = fc.tuple(u16, u16).map((parts) => parts.flat());
const label = fc.uint8Array({ minLength: 1, maxLength: 10 }).map((octets) => [octets.length, ...octets]);
const name: Wire = fc.array(label, { maxLength: 5 }).map((labels) => [...labels.flat(), 0]);
const string: Wire = fc.uint8Array({ maxLength: 30 }).map((octets) => [octets.length, ...octets]);
const some: Wire = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((octets) => [...octets]);
const strings: Wire = fc.array(string, { minLength: 1, maxLength: 4 }).map((all) => all.flat());
const tag: Wire = fc.stringMatching(/^[a-z0-9]{1,15}$/).map((text) => [
  text.length,
  ...[...text].map((c) => c.charCodeAt(0)),
]);
const bitmap: Wire = fc.uniqueArray(fc.nat(65_535), { maxLength: 12 }).map((types) => {
  const out: number[] = [];
  const windows = [...new Set(types.map((type) => type >> 8))].sort((a, b) => a - b);
  for (const window of windows) {
    const octets: number[] = [];
    for (const low of types.filter((type) => type >> 8 === window).map((type) => type & 255)) {
      while (octets.length <= low >> 3) octets.push(0);
      octets[low >> 3] |= 128 >> (low & 7);
    }
    out.push(window, octets.length, ...octets);
  }
  return out;
});
const salt: Wire = fc.uint8Array({ maxLength: 12 }).map((octets) => [octets.length, ...octets]);
const hash: Wire = fc.uint8Array({ minLength: 1, maxLength: 33 }).map((octets) => [octets.length, ...octets]);
const size: Wire = fc.tuple(fc.nat(9), fc.nat(9)).map(([mantissa, exponent]) => [mantissa << 4 | exponent]);
const angle = (degrees: number): Wire =>
  fc.integer({ min: 2 ** 31 - degrees * 3_600_000, max: 2 ** 31 + degrees * 3_600_000 }).map((n) => [
    n >>> 24,
    n >>> 16 & 255,
    n >>> 8 & 255,
    n & 255,
  ]);
const octets = (length: number): Wire =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((all) => [...all]);

function row(...parts: Wire[]): Wire {
  return fc.tuple(...parts).map((all) => all.flat());
}

const parameter: fc.Arbitrary<[number, number[]]> = fc.oneof(
  fc.array(fc.uint8Array({ minLength: 1, maxLength: 9 }), { minLength: 1, maxLength: 3 }).map((
    all,
  ): [number, number[]] => [1, all.flatMap((item) => [item.length, ...item])]),
  u16.map((port): [number, number[]] => [3, port]),
  fc.array(octets(4), { minLength: 1, maxLength: 3 }).map((all): [number, number[]] => [4, all.flat()]),
  some.map((ech): [number, number[]] => [5, ech]),
  fc.array(octets(16), { minLength: 1, maxLength: 3 }).map((all): [number, number[]] => [6, all.flat()]),
  fc.constant<[number, number[]]>([7, [...new TextEncoder().encode('/ü"\\,{?dns}')]]),
  fc.tuple(fc.integer({ min: 8, max: 65_534 }), fc.uint8Array({ maxLength: 20 })).map((
    [key, value],
  ): [number, number[]] => [key, [...value]]),
);
const parameters: Wire = fc.tuple(
  fc.uniqueArray(parameter, { selector: ([key]) => key, maxLength: 5 }),
  fc.boolean(),
  fc.boolean(),
).map(([list, mandatory, noDefault]) => {
  const all = [...list].sort(([a], [b]) => a - b);
  if (mandatory && all.length > 0) {
    const keys = all.flatMap(([key]) => [key >> 8, key & 255]);
    all.unshift([0, keys]);
  }
  const alpn = all.findIndex(([key]) => key === 1);
  if (noDefault && alpn !== -1) all.splice(alpn + 1, 0, [2, []]);
  return all.flatMap((
    [key, value],
  ) => [key >> 8, key & 255, value.length >> 8, value.length & 255, ...value]);
});

const digest = (types: Record<number, number>): Wire =>
  fc.constantFrom(...Object.keys(types).map(Number)).chain((type) =>
    octets(types[type]).map((all) => [type, ...all])
  );
const ds = row(u16, u8, digest({ 1: 20, 2: 32, 4: 48, 77: 5 }));
const dnskey = row(u16, u8, u8, some);
const tlsa = row(u8, u8, u8, some);
const svcb = row(u16, name, parameters);

/** Rdata by type number. */
export const RDATA: ReadonlyMap<number, Wire> = new Map<number, Wire>([
  [RRTYPE.A, octets(4)],
  [RRTYPE.AAAA, octets(16)],
  [RRTYPE.EUI48, octets(6)],
  [RRTYPE.EUI64, octets(8)],
  [RRTYPE.NS, name],
  [RRTYPE.MD, name],
  [RRTYPE.MF, name],
  [RRTYPE.MB, name],
  [RRTYPE.MG, name],
  [RRTYPE.MR, name],
  [RRTYPE.CNAME, name],
  [RRTYPE.DNAME, name],
  [RRTYPE.PTR, name],
  [RRTYPE.SOA, row(name, name, u32, u32, u32, u32, u32)],
  [RRTYPE.MX, row(u16, name)],
  [RRTYPE.RT, row(u16, name)],
  [RRTYPE.AFSDB, row(u16, name)],
  [RRTYPE.KX, row(u16, name)],
  [RRTYPE.MINFO, row(name, name)],
  [RRTYPE.RP, row(name, name)],
  [RRTYPE.PX, row(u16, name, name)],
  [RRTYPE.TXT, strings],
  [RRTYPE.SPF, strings],
  [RRTYPE.AVC, strings],
  [RRTYPE.NINFO, strings],
  [RRTYPE.RESINFO, strings],
  [RRTYPE.WALLET, strings],
  [RRTYPE.HINFO, row(string, string)],
  [RRTYPE.SRV, row(u16, u16, u16, name)],
  [RRTYPE.NAPTR, row(u16, u16, string, string, string, name)],
  [RRTYPE.URI, row(u16, u16, some)],
  [RRTYPE.CAA, row(u8, tag, fc.uint8Array({ maxLength: 300 }).map((all) => [...all]))],
  [RRTYPE.TLSA, tlsa],
  [RRTYPE.SMIMEA, tlsa],
  [RRTYPE.SSHFP, row(u8, digest({ 1: 20, 2: 32, 9: 7 }))],
  [RRTYPE.CERT, row(u16, u16, u8, some)],
  [RRTYPE.OPENPGPKEY, some],
  [RRTYPE.DS, ds],
  [RRTYPE.CDS, ds],
  [RRTYPE.DLV, ds],
  [RRTYPE.DNSKEY, dnskey],
  [RRTYPE.CDNSKEY, dnskey],
  [RRTYPE.RRSIG, row(u16, u8, u8, u32, u32, u32, u16, name, some)],
  [RRTYPE.NSEC, row(name, bitmap)],
  [RRTYPE.NSEC3, row(u8, u8, u16, salt, hash, bitmap)],
  [RRTYPE.NSEC3PARAM, row(u8, u8, u16, salt)],
  [RRTYPE.CSYNC, row(u32, u16, bitmap)],
  [
    RRTYPE.ZONEMD,
    row(
      u32,
      fc.oneof(
        octets(48).map((all) => [1, 1, ...all]),
        octets(64).map((all) => [1, 2, ...all]),
        octets(12).map((all) => [240, 77, ...all]),
      ),
    ),
  ],
  [RRTYPE.SVCB, svcb],
  [RRTYPE.HTTPS, svcb],
  [RRTYPE.LOC, row(fc.constant([0]), size, size, size, angle(90), angle(180), u32)],
  [RRTYPE.NULL, fc.uint8Array({ maxLength: 40 }).map((all) => [...all])],
  [65_280, fc.uint8Array({ maxLength: 40 }).map((all) => [...all])],
]);

export const owner: fc.Arbitrary<Name> = name.map((wire) => {
  const read = nameFromWire(Uint8Array.from(wire), 0);
  if (read === undefined) throw new RangeError("an arbitrary name is none");
  return read.name;
});

/** A record of any type, class IN. */
export const record: fc.Arbitrary<ResourceRecord> = fc.constantFrom(...RDATA).chain(([type, wire]) =>
  fc.record({
    owner,
    type: fc.constant(type),
    class: fc.constant(1),
    ttl: fc.nat(2 ** 31 - 1),
    rdata: wire.map((octets) => Uint8Array.from(octets)),
  })
);
