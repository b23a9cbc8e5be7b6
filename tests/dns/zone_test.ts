import { deepEqual, equal, ok } from "node:assert/strict";
import {
  brokenZone,
  compareNames,
  compileZone,
  diffZones,
  nameFrom,
  type ResourceRecord,
  type RRset,
  type Zone,
} from "../../dns/mod.ts";
import { allZones, recordsOf, zoneOf, ZONES } from "./answer_zones.ts";

const ORIGIN = nameFrom("example.test.");
const SOA = "@ 3600 SOA ns admin 7 3600 600 86400 300\n";

Deno.test("a zone gives back every record that went in, once, in canonical order", () => {
  for (const zone of allZones()) {
    const back = [...zone.records()];
    const input = new Set(recordsOf(zone.origin, ZONES[zone.origin]).map(recordText));
    const output = back.flatMap((rrset) =>
      rrset.rdatas.map((rdata) => recordText({ ...rrset, class: 1, rdata }))
    );
    deepEqual(new Set(output), input);
    equal(output.length, zone.recordCount);
    for (let i = 1; i < back.length; i++) {
      const order = compareNames(back[i - 1].owner, back[i].owner) || back[i - 1].type - back[i].type;
      ok(order < 0, `${back[i - 1].owner} before ${back[i].owner}`);
    }
    for (const rrset of back) {
      deepEqual(zone.rrset(rrset.owner, rrset.type), rrset);
      ok(zone.rrsets(rrset.owner).some((other) => other.type === rrset.type));
    }
  }
});

Deno.test("the order of the input does not matter, TTLs aside", () => {
  const records = recordsOf(ORIGIN, ZONES["example.test."]);
  deepEqual([...compile(records.toReversed()).records()], [...compile(records).records()]);
});

Deno.test("records that are equal but for the case of names are one", () => {
  const zone = zoneOf(ORIGIN, `${SOA}a 60 MX 1 Mail\na 60 MX 1 mail\na 60 TXT X\na 60 TXT x\n`);
  equal(zone.rrset(nameFrom("a.example.test."), 15)?.rdatas.length, 1);
  equal(zone.rrset(nameFrom("a.example.test."), 16)?.rdatas.length, 2);
});

Deno.test("an RRset has the TTL of its first record", () => {
  equal(
    zoneOf(ORIGIN, `${SOA}a 60 A 192.0.2.1\na 90 A 192.0.2.0\n`).rrset(nameFrom("a.example.test."), 1)?.ttl,
    60,
  );
});

Deno.test("a name without data has no RRsets", () => {
  const zone = zoneOf("example.test.", ZONES["example.test."]);
  deepEqual(zone.rrsets(nameFrom("deep.tree.example.test.")), []);
  deepEqual(zone.rrsets(nameFrom("nothing.example.test.")), []);
  deepEqual(zone.rrsets(nameFrom("elsewhere.test.")), []);
});

Deno.test("what cannot stand in the zone is refused with a code", () => {
  const cases: [string, string][] = [
    [`${SOA}a.other.test. 60 A 192.0.2.1\n`, "out-of-zone"],
    [`${SOA}notexample.test. 60 A 192.0.2.1\n`, "out-of-zone"],
    [`a 60 A 192.0.2.1\n`, "no-soa"],
    [`${SOA}a 60 SOA ns admin 7 3600 600 86400 300\n`, "misplaced-soa"],
    [`${SOA}@ 60 SOA ns admin 8 3600 600 86400 300\n`, "several-records"],
    [`${SOA}a 60 CNAME b\na 60 CNAME c\n`, "several-records"],
  ];
  for (const [text, code] of cases) {
    const zone = compileZone(ORIGIN, recordsOf(ORIGIN, text));
    equal(zone.ok ? "" : zone.error.code, code, text);
  }
  const record = { owner: ORIGIN, type: 1, class: 1, ttl: 1, rdata: new Uint8Array(4) };
  const codes: [Partial<ResourceRecord>, string][] = [
    [{ class: 3 }, "not-class-in"],
    [{ ttl: -1 }, "bad-ttl"],
    [{ ttl: 2 ** 31 }, "bad-ttl"],
    [{ type: 2, rdata: Uint8Array.of(5, 1) }, "bad-rdata"],
    [{ type: 2, rdata: Uint8Array.of(0xc0, 12) }, "bad-rdata"],
    [{ rdata: new Uint8Array(65_536) }, "bad-rdata"],
  ];
  for (const [change, code] of codes) {
    const zone = compileZone(ORIGIN, [{ ...record, ...change }]);
    equal(zone.ok ? "" : zone.error.code, code);
  }
});

Deno.test("another serial changes the SOA alone, and not the zone it came from", () => {
  const zone = zoneOf("example.test.", ZONES["example.test."]);
  const next = zone.withSerial(4_294_967_295);
  equal(next.serial, 4_294_967_295);
  equal(zone.serial, 7);
  const difference = diffZones(zone, next);
  deepEqual([difference.deleted, difference.added], [[], []]);
  equal(next.image.bytes, zone.image.bytes);
});

Deno.test("the difference of two zones makes one into the other", () => {
  const before = zoneOf(
    ORIGIN,
    `${SOA}a 60 A 192.0.2.1\na 60 A 192.0.2.2\nb 60 A 192.0.2.3\nc 60 MX 1 a\nd.e 5 TXT x`,
  );
  const after = zoneOf(
    ORIGIN,
    `${SOA}a 60 A 192.0.2.2\na 60 A 192.0.2.4\nb 61 A 192.0.2.3\nc 60 MX 1 a\nf 5 TXT x\n`,
  );
  const difference = diffZones(before, after);
  deepEqual(difference.deleted.map(text), [
    "a.example.test. 60 1 c0000201",
    "b.example.test. 60 1 c0000203",
    "d.e.example.test. 5 16 0178",
  ]);
  deepEqual(difference.added.map(text), [
    "a.example.test. 60 1 c0000204",
    "b.example.test. 61 1 c0000203",
    "f.example.test. 5 16 0178",
  ]);
  const back = diffZones(after, before);
  deepEqual([back.deleted, back.added], [difference.added, difference.deleted]);
});

Deno.test("a broken zone has nothing", () => {
  const zone = brokenZone(ORIGIN);
  deepEqual([zone.broken, zone.serial, [...zone.records()]], [true, 0, []]);
  equal(zone.rrset(ORIGIN, 6), undefined);
  const whole = zoneOf(ORIGIN, `${SOA}a 60 A 192.0.2.1\n`);
  equal(diffZones(zone, whole).added.length, 1);
  equal(diffZones(whole, zone).deleted.length, 1);
});

function compile(records: readonly ResourceRecord[]): Zone {
  const zone = compileZone(ORIGIN, records);
  ok(zone.ok);
  return zone.value;
}

function text(rrset: RRset): string {
  return `${rrset.owner} ${rrset.ttl} ${rrset.type} ${rrset.rdatas.map((rdata) => rdata.toHex()).join(" ")}`;
}

function recordText({ owner, type, ttl, rdata }: ResourceRecord): string {
  return `${owner} ${type} ${ttl} ${rdata.toHex()}`;
}
