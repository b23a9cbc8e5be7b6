/** Packets: kept ones, queries for names of zones, changes to packets, and arbitrary ones with the structure of a message. */
import fc from "fast-check";
import { nameFrom, nameToWire, signRequest, type TsigKey } from "../../dns/mod.ts";
import { between, type Random } from "./seeded.ts";

const NOW = 1_800_000_000;

/** Packets that once were treated in a way of their own, a line of hexadecimal each. */
export function keptPackets(): Uint8Array[] {
  const text = Deno.readTextFileSync(new URL("seeds/packets.hex", import.meta.url));
  return text.split("\n").filter((line) => line !== "").map((line) => Uint8Array.fromHex(line));
}

/** Queries of all kinds for each of the names, updates and signed ones. */
export function queriesFor(names: readonly string[], key: TsigKey): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (const [index, name] of names.entries()) {
    const wire = nameToWire(nameFrom(name));
    const type = TYPES[index % TYPES.length];
    const question = [...wire, type >>> 8, type, 0, 1];
    const plain = Uint8Array.of(index >> 8, index, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...question);
    const opt = OPTS[index % OPTS.length];
    packets.push(plain, Uint8Array.of(...plain.subarray(0, 11), 1, ...question, ...opt));
    if (index % 10 !== 0) continue;
    packets.push(signRequest(plain, key, { now: NOW }).bytes);
    const zone = [7, ...new TextEncoder().encode("example"), 4, ...new TextEncoder().encode("test"), 0];
    const update = Uint8Array.of(
      ...[index >> 8, index, 0x28, 0, 0, 1, 0, 1, 0, 1, 0, 0],
      ...[...zone, 0, 6, 0, 1],
      ...[...wire, 0, 255, 0, 255, 0, 0, 0, 0, 0, 0],
      ...[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1],
    );
    packets.push(update, signRequest(update, key, { now: NOW }).bytes);
  }
  return packets;
}

/** One to four changes: octets, bits, lengths, counts, pointers, cuts, joints. */
export function change(random: Random, original: Uint8Array, corpus: readonly Uint8Array[]): Uint8Array {
  const below = (bound: number) => between(random, 0, bound - 1);
  let packet = Uint8Array.from(original);
  for (let left = 1 + below(4); left > 0; left--) {
    if (packet.length === 0) return Uint8Array.of(below(256));
    const at = below(packet.length);
    switch (below(9)) {
      case 0:
        packet[at] = below(256);
        break;
      case 1:
        packet[at] ^= 1 << below(8);
        break;
      case 2:
        packet[at] = EDGES[below(EDGES.length)];
        break;
      case 3:
        if (packet.length >= 12) packet[4 + below(8)] = below(3);
        break;
      case 4:
        packet[at] = 0xc0 | below(2);
        if (at + 1 < packet.length) packet[at + 1] = below(packet.length);
        break;
      case 5:
        packet = packet.slice(0, at);
        break;
      case 6: {
        const other = corpus[below(corpus.length)];
        packet = joined(packet.subarray(0, at), other.subarray(below(Math.max(1, other.length))));
        break;
      }
      case 7:
        packet = joined(packet.subarray(0, at), packet.slice(at, at + below(40)), packet.subarray(at));
        break;
      case 8: {
        const more = Uint8Array.from({ length: below(12) }, () => below(256));
        packet = joined(packet.subarray(0, at), more, packet.subarray(at));
        break;
      }
    }
  }
  return packet;
}

/** Messages with the structure of a query, and everything in it arbitrary: flags, counts, names, pointers, options. */
export function arbitraryPacket(names: readonly string[]): fc.Arbitrary<Uint8Array> {
  const known = fc.constantFrom(...names).map((name) => [...nameToWire(nameFrom(name))]);
  const label = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 63 }),
    fc.constantFrom("*", "x", "wild", "sub").map((text) => new TextEncoder().encode(text)),
  ).map((octets) => [octets.length, ...octets]);
  const below = fc.tuple(fc.array(label, { maxLength: 3 }), known).map((
    [labels, base],
  ) => [...labels.flat(), ...base]);
  const odd = fc.oneof(
    fc.array(label, { maxLength: 130 }).map((labels) => [...labels.flat(), 0]),
    fc.tuple(fc.array(label, { maxLength: 2 }), fc.nat(255)).map((
      [labels, to],
    ) => [...labels.flat(), 0xc0, to]),
    fc.uint8Array({ maxLength: 20 }).map((octets) => [...octets]),
  );
  const name = fc.oneof({ weight: 4, arbitrary: known }, { weight: 4, arbitrary: below }, {
    weight: 1,
    arbitrary: odd,
  });
  const cased = fc.tuple(name, fc.boolean()).map(([wire, upper]) => upper ? raised(wire) : wire);
  const u16 = fc.nat(65_535).map((number) => [number >>> 8, number & 0xff]);
  const type = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...TYPES).map((n) => [n >>> 8, n & 0xff]) }, {
    weight: 1,
    arbitrary: u16,
  });
  const dnsClass = fc.oneof({ weight: 9, arbitrary: fc.constant([0, 1]) }, {
    weight: 1,
    arbitrary: fc.constantFrom([0, 3], [0, 255], [0, 254], [1, 1]),
  });
  const question = fc.tuple(cased, type, dnsClass).map((parts) => parts.flat());
  const option = fc.tuple(
    fc.oneof(fc.constantFrom(3, 8, 9, 10, 11, 12, 15, 18, 19), fc.nat(65_535)),
    fc.uint8Array({ maxLength: 40 }),
    fc.integer({ min: -1, max: 1 }),
    fc.boolean(),
  ).map(([code, data, wrong, lies]) => {
    const length = Math.max(0, data.length + (lies ? wrong : 0));
    return [code >>> 8, code & 0xff, length >>> 8, length, ...data];
  });
  const opt = fc.tuple(
    fc.oneof(fc.constantFrom(0, 511, 512, 513, 600, 1232, 1233, 4096, 65_535), fc.nat(65_535)),
    fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(255) }),
    fc.nat(65_535),
    fc.array(option, { maxLength: 3 }),
  ).map(([size, version, flags, options]) => {
    const data = options.flat();
    return [
      0,
      0,
      41,
      size >>> 8,
      size & 255,
      0,
      version,
      flags >>> 8,
      flags & 255,
      data.length >>> 8,
      data.length & 255,
      ...data,
    ];
  });
  const record = fc.tuple(name, type, dnsClass, fc.nat(255), fc.uint8Array({ maxLength: 30 })).map(
    (
      [owner, type, dnsClass, ttl, data],
    ) => [...owner, ...type, ...dnsClass, 0, 0, 0, ttl, 0, data.length, ...data],
  );
  const few = <T>(arbitrary: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 6, arbitrary: fc.constant<T[]>([]) }, {
      weight: 1,
      arbitrary: fc.array(arbitrary, { maxLength: 2 }),
    });
  return fc.record({
    id: u16,
    flags: fc.oneof({ weight: 5, arbitrary: fc.constantFrom([0, 0], [1, 0], [0, 0x10], [1, 0x30]) }, {
      weight: 1,
      arbitrary: u16,
    }),
    questions: fc.oneof({ weight: 9, arbitrary: question.map((one) => [one]) }, {
      weight: 1,
      arbitrary: fc.array(question, { maxLength: 3 }),
    }),
    answers: few(record),
    authorities: few(record),
    opts: fc.oneof({ weight: 7, arbitrary: opt.map((one) => [one]) }, {
      weight: 2,
      arbitrary: fc.constant([]),
    }, { weight: 1, arbitrary: fc.array(opt, { maxLength: 3 }) }),
    additionals: few(record),
    wrongCounts: fc.oneof({ weight: 9, arbitrary: fc.constant([0, 0, 0, 0]) }, {
      weight: 1,
      arbitrary: fc.array(fc.integer({ min: -1, max: 1 }), { minLength: 4, maxLength: 4 }),
    }),
    tail: fc.oneof({ weight: 12, arbitrary: fc.constant(new Uint8Array(0)) }, {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 5 }),
    }),
  }).map(({ id, flags, questions, answers, authorities, opts, additionals, wrongCounts, tail }) => {
    const counts = [questions, answers, authorities, [...opts, ...additionals]].flatMap((list, index) => {
      const count = Math.max(0, list.length + wrongCounts[index]);
      return [count >>> 8, count & 0xff];
    });
    return Uint8Array.from([
      ...[...id, ...flags, ...counts],
      ...[questions, answers, authorities, opts, additionals].flat(2),
      ...tail,
    ]);
  });
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part])).slice(0, 4096);
}

function raised(wire: readonly number[]): number[] {
  return wire.map((octet) => octet >= 0x61 && octet <= 0x7a ? octet - 0x20 : octet);
}

/** Octets at which something begins or ends. */
const EDGES = [0, 1, 41, 62, 63, 64, 127, 128, 191, 192, 250, 251, 252, 254, 255];

const TYPES = [1, 2, 5, 6, 12, 15, 16, 28, 33, 39, 43, 46, 47, 48, 50, 51, 64, 65, 255, 252, 251];

const OPTS = [
  [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 8, 0, 10, 0, 4, 1, 2, 3, 4],
  [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 0],
  [0, 0, 41, 2, 0, 0, 0, 0x80, 0, 0, 0],
  [0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0],
  [0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 20, 0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 3, 0, 0, 0, 19, 0, 0],
];
