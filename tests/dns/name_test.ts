import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  compareNames,
  firstLabel,
  isAtOrBelow,
  isBelow,
  joinName,
  labelsOf,
  nameFrom,
  nameFromWire,
  nameOctets,
  nameToWire,
  parentName,
  parseName,
  relativeTo,
  ROOT,
} from "../../dns/name.ts";
import type { Name } from "../../dns/types.ts";

const label = fc.uint8Array({ minLength: 1, maxLength: 12 });
const wireName = fc.array(label, { maxLength: 8 }).map((labels) =>
  Uint8Array.from([...labels.flatMap((octets) => [octets.length, ...octets]), 0])
);
const name = wireName.map((wire) => must(wire));

Deno.test("a name survives text and wire whatever octets its labels hold", () => {
  fc.assert(fc.property(wireName, (wire) => {
    const read = must(wire);
    deepEqual(nameToWire(read), lower(wire));
    equal(nameOctets(read), wire.length);
    deepEqual(parseName(read), { ok: true, value: read });
  }));
});

Deno.test("two names are the same text exactly when their folded octets are the same", () => {
  equal(nameFrom("WWW.Example.TEST"), "www.example.test.");
  equal(nameFrom("\\119\\087w.example.test."), "www.example.test.");
  equal(nameFrom("a\\.b.test."), "a\\.b.test.");
  equal(nameFrom("a\\046b.test."), "a\\.b.test.");
  equal(nameFrom("\\a.test."), "a.test.");
  equal(nameFrom("x y.test."), "x\\032y.test.");
  equal(nameFrom("\\@.test."), "\\@.test.");
  equal(nameFrom("\\255.test."), "\\255.test.");
});

Deno.test("relative text is completed with the origin, and @ is the origin", () => {
  const origin = nameFrom("example.test.");
  deepEqual(parseName("www", origin), { ok: true, value: "www.example.test." });
  deepEqual(parseName("www.", origin), { ok: true, value: "www." });
  deepEqual(parseName("@", origin), { ok: true, value: origin });
  deepEqual(parseName("a\\046", origin), { ok: true, value: "a\\..example.test." });
  deepEqual(parseName("a", ROOT), { ok: true, value: "a." });
  equal(code(parseName("@")), "not-absolute");
});

Deno.test("a text that is no name is refused with its reason", () => {
  equal(code(parseName("")), "empty");
  equal(code(parseName("a..b.")), "empty-label");
  equal(code(parseName(".a.")), "empty-label");
  equal(code(parseName(`${"a".repeat(64)}.test.`)), "label-too-long");
  equal(code(parseName("a\\")), "bad-escape");
  equal(code(parseName("a\\25")), "bad-escape");
  equal(code(parseName("a\\256")), "bad-escape");
  equal(code(parseName("bücher.test.")), "bad-character");
  equal(code(parseName("a\u0000.test.")), "bad-character");
  equal(code(parseName("a".repeat(1_000_000))), "label-too-long");
  throws(() => nameFrom("a..b"), RangeError);
});

Deno.test("255 octets make a name and 256 do not, with and without an origin", () => {
  const long = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}.`;
  equal(nameToWire(nameFrom(long)).length, 255);
  equal(code(parseName(`x${long}`)), "label-too-long");
  equal(code(parseName(long.replace("d", "dd"))), "name-too-long");
  equal(code(parseName("x", nameFrom(long))), "name-too-long");
  equal(code(parseName("\\120", nameFrom(long))), "name-too-long");
});

Deno.test("compression pointers are followed backward only", () => {
  // example.test at 0, www + pointer at 14, a pointer to that pointer at 20
  const packet = Uint8Array.from([
    ...nameToWire(nameFrom("example.test.")),
    3,
    0x57,
    0x77,
    0x77,
    0xc0,
    0,
    0xc0,
    14,
  ]);
  deepEqual(nameFromWire(packet, 14), { name: "www.example.test.", end: 20 });
  deepEqual(nameFromWire(packet, 20), { name: "www.example.test.", end: 22 });
  equal(nameFromWire(packet, 14, 19), undefined);
  equal(nameFromWire(Uint8Array.from([0xc0, 0]), 0), undefined);
  equal(nameFromWire(Uint8Array.from([0xc0, 2, 0xc0, 0]), 0), undefined);
  equal(nameFromWire(Uint8Array.from([1, 0x61, 0xc0, 0]), 0), undefined);
  equal(nameFromWire(Uint8Array.from([0x40, 0x61, 0]), 0), undefined);
  equal(nameFromWire(Uint8Array.from([5, 0x61, 0]), 0), undefined);
  equal(nameFromWire(new Uint8Array(0), 0), undefined);
});

Deno.test("a long chain of pointers to pointers is refused instead of followed", () => {
  const packet = new Uint8Array(16_000);
  for (let at = 1; at + 1 < packet.length; at += 2) {
    const target = at === 1 ? 0 : at - 2;
    packet[at] = 0xc0 | target >> 8;
    packet[at + 1] = target & 0xff;
  }
  equal(nameFromWire(packet, 15_997), undefined);
  deepEqual(nameFromWire(packet, 99), { name: ".", end: 101 });
});

Deno.test("random bytes are a valid name or nothing, never an exception", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(600), (bytes, offset) => {
    const read = nameFromWire(bytes, offset);
    if (read === undefined) return;
    ok(read.end <= bytes.length);
    ok(nameToWire(read.name).length <= 255);
  }));
});

Deno.test("below is judged by labels, not by text", () => {
  const zone = nameFrom("example.test.");
  ok(isBelow(nameFrom("a.example.test."), zone));
  ok(!isBelow(zone, zone));
  ok(isAtOrBelow(zone, zone));
  ok(!isBelow(nameFrom("badexample.test."), zone));
  ok(!isBelow(nameFrom("a\\.example.test."), zone));
  ok(isBelow(nameFrom("a\\\\.example.test."), zone));
  ok(isBelow(zone, ROOT));
  ok(isAtOrBelow(ROOT, ROOT));
  ok(!isBelow(ROOT, ROOT));
  ok(!isAtOrBelow(ROOT, zone));
});

Deno.test("labels come apart and go together again", () => {
  fc.assert(fc.property(name, (value) => {
    equal(joinName(labelsOf(value), ROOT), value);
    const parent = parentName(value);
    if (parent === undefined) {
      equal(value, ROOT);
      equal(firstLabel(value), "");
    } else {
      ok(isBelow(value, parent));
      equal(joinName([firstLabel(value)], parent), value);
    }
  }));
  equal(joinName(["_letsencrypt", "_TCP"], nameFrom("a.test.")), "_letsencrypt._tcp.a.test.");
  equal(parentName(nameFrom("a\\.b.test.")), "test.");
});

Deno.test("canonical order is that of RFC 4034 section 6.1", () => {
  const ordered = [
    "example.",
    "a.example.",
    "yljkjljk.a.example.",
    "Z.a.example.",
    "zABC.a.EXAMPLE.",
    "z.example.",
    "\\001.z.example.",
    "*.z.example.",
    "\\200.z.example.",
  ].map(nameFrom);
  deepEqual([...ordered].reverse().sort(compareNames), ordered);
  fc.assert(fc.property(name, name, (a, b) => {
    equal(Math.sign(compareNames(a, b)) + Math.sign(compareNames(b, a)), 0);
    equal(compareNames(a, b) === 0, a === b);
  }));
});

Deno.test("a name is written relative to its origin and read back", () => {
  const origin = nameFrom("example.test.");
  equal(relativeTo(origin, origin), "@");
  equal(relativeTo(nameFrom("a.b.example.test."), origin), "a.b");
  equal(relativeTo(nameFrom("other.test."), origin), "other.test.");
  equal(relativeTo(nameFrom("a.b."), ROOT), "a.b");
  fc.assert(fc.property(name, (value) => {
    const inside = parseName(relativeTo(value, ROOT), ROOT);
    deepEqual(inside, { ok: true, value });
  }));
});

function must(wire: Uint8Array): Name {
  const read = nameFromWire(wire, 0);
  ok(read !== undefined);
  equal(read.end, wire.length);
  return read.name;
}

/** Folds the octets of labels; a length octet is at most 63 and so never a letter. */
function lower(wire: Uint8Array): Uint8Array {
  return wire.map((octet) => octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet);
}

function code(parsed: ReturnType<typeof parseName>): string | undefined {
  return parsed.ok ? undefined : parsed.error.code;
}
