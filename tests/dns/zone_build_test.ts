/** How records become an image: the quick way beside the general one, limits, and what is inside. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { cellOfSlot, ENTRY, findCell, findEntry, probe, slotOf } from "../../dns/image/layout.ts";
import { createNameScan, type NameScan, scanName, spread } from "../../dns/image/scan.ts";
import { nameFrom, nameToWire } from "../../dns/name.ts";
import { canonicalRdata, compareRdata, rdataFromText } from "../../dns/rr/rdata.ts";
import type { Name, ResourceRecord } from "../../dns/types.ts";
import { compileZone, createZoneBuilder } from "../../dns/zone/builder.ts";
import {
  createSlots,
  extras,
  findExtras,
  MAX_LOAD,
  ORDER,
  ordersOf,
  place,
  replaceSlot,
  stateOf,
  uint32At,
} from "../../dns/zone/heap.ts";
import { ownerOf } from "../../dns/zone/read.ts";
import type { Zone } from "../../dns/zone/zone.ts";
import { parseZoneFile, parseZoneWire } from "../../dns/zonefile/parse.ts";

const ORIGIN = nameFrom("z.test.");
const SOA = "@ 60 SOA ns admin 1 2 3 4 5\n";

Deno.test("however lines are written and ordered, octets make the zone and the errors that records make", () => {
  const label = fc.oneof(
    fc.nat(30).map((n) => `h${n}`),
    fc.constantFrom(
      "a",
      "A",
      "aa",
      "b",
      "*",
      "ns",
      "a.b",
      "b.b",
      "aa.b",
      "H1",
      "@",
      "a.z.test.",
      "b.z.test.",
      "x.test.",
    ),
  );
  const data = fc.oneof(
    fc.nat(3).map((n) => `A 10.0.0.${n}`),
    fc.nat(3).map((n) => `300 A 10.0.0.${n}`),
    fc.constantFrom(
      "IN A 10.0.0.1",
      "60 in a 10.0.0.2",
      "AAAA ::1",
      "TXT x",
      "NS ns",
      "MX 1 a.b",
      "CNAME a",
      "A 10.0.0.01",
    ),
  );
  const line = fc.tuple(fc.option(label, { nil: "", freq: 5 }), data).map(([owner, rest]) =>
    `${owner} ${rest}\n`
  );
  const ascending = fc.nat(40).map((n) =>
    Array.from({ length: n }, (_, i) => `n${String(i).padStart(2, "0")} A 10.1.0.${i}\n`).join("")
  );
  const text = fc.array(
    fc.oneof(line, ascending, fc.constant("$ORIGIN b.z.test.\n"), fc.constant("$ORIGIN z.test.\n")),
    {
      maxLength: 40,
    },
  ).map((lines) => `$TTL 60\n${SOA}${lines.join("")}`);
  fc.assert(
    fc.property(text, (text) => {
      const input = { file: "z", bytes: new TextEncoder().encode(text), origin: ORIGIN };
      const fromRecords = createZoneBuilder(ORIGIN);
      const recordErrors: string[] = [];
      parseZoneFile(input, (record) => {
        const error = fromRecords.add(record);
        if (error !== undefined) recordErrors.push(error.message);
      });
      const fromOctets = createZoneBuilder(ORIGIN);
      const octetErrors: string[] = [];
      let refused = false;
      parseZoneWire(input, (entry) => {
        const error = fromOctets.addWire(
          refused && entry.ownerIsSame ? { ...entry, ownerIsSame: false } : entry,
        );
        refused = error !== undefined && error.taken !== true;
        if (error !== undefined) octetErrors.push(error.message);
      });
      deepEqual(octetErrors, recordErrors);
      const [a, b] = [value(fromRecords.finish()), value(fromOctets.finish())];
      deepEqual([...b.records()], [...a.records()]);
      equal(b.recordCount, a.recordCount);
      for (const owner of a.owners()) deepEqual(b.rrsets(owner), a.rrsets(owner));
    }),
    { numRuns: 150 },
  );
});

Deno.test("names are found in an index where all of them collide, around its end too", () => {
  const names = Array.from({ length: 700 }, (_, i) => nameFrom(`${i}.z.test.`));
  const zone = compiled(names.map((owner) => record(owner, 1, "192.0.2.1")));
  const slots = createSlots(names.length);
  ok(names.length > slots.length * MAX_LOAD / 2);
  let hash = 0;
  while (spread(hash, slots.length) !== slots.length - 3) hash++;
  const cells = names.map((name) => findCell(zone.image, scanned(zone, name), 0));
  for (const cell of cells) place(slots, slotOf(hash, cell), hash);
  const found = (name: Name) => {
    const scan = scanned(zone, name);
    scan.hashes[0] = hash;
    return probe(zone.image, slots, scan, 0);
  };
  deepEqual(names.map(found), cells);
  equal(found(nameFrom("700.z.test.")), 0);
  replaceSlot(slots, slotOf(hash, cells[650]), slotOf(hash, cells[3]), hash);
  equal(slots.filter((slot) => cellOfSlot(slot) === cells[3]).length, 2);
  equal(found(names[650]), 0);
  equal(found(names[699]), cells[699]);
});

Deno.test("labels that ascend in an order that is kept are all different", () => {
  const label = fc.uint8Array({ minLength: 1, maxLength: 4, max: 3 });
  fc.assert(fc.property(label, label, (a, b) => {
    const bytes = Uint8Array.from([a.length, ...a, b.length, ...b]);
    const orders = ordersOf(bytes, 0, 1 + a.length);
    const text = (octets: Uint8Array) => String.fromCharCode(...octets);
    equal((orders & ORDER.octets) !== 0, text(a) < text(b));
    equal((orders & ORDER.length) !== 0, a.length === b.length ? text(a) < text(b) : a.length < b.length);
  }));
});

Deno.test("records of an RRset come in canonical order, equal ones once, be they few or many", () => {
  const owner = nameFrom("a.z.test.");
  const label = fc.string({ unit: fc.constantFrom("a", "B", "b", "A", "z"), minLength: 1, maxLength: 3 });
  const sets = fc.oneof(
    fc.tuple(
      fc.constantFrom(2, 12),
      fc.array(fc.array(label, { maxLength: 2 }).map((labels) => [...labels, "z.test."].join("."))),
    ),
    fc.tuple(
      fc.constant(16),
      fc.array(fc.array(label, { minLength: 1, maxLength: 2 }).map((texts) => texts.join(" "))),
    ),
    fc.tuple(fc.constant(15), fc.array(label.map((name) => `1 ${name}`))),
  );
  fc.assert(fc.property(sets, ([type, texts]) => {
    const rdatas = texts.slice(0, 40).map((text) => rdata(type, text));
    const zone = compiled(rdatas.map((rdata) => ({ owner, type, class: 1, ttl: 60, rdata })));
    const canonical = (octets: Uint8Array) => canonicalRdata(type, octets);
    const sorted = rdatas.toSorted((a, b) => compareRdata(canonical(a), canonical(b)))
      .filter((each, i, all) => i === 0 || compareRdata(canonical(each), canonical(all[i - 1])) !== 0);
    deepEqual(zone.rrset(owner, type)?.rdatas ?? [], sorted);
  }));
});

Deno.test("an RRset has at most 65,535 records and 16,777,215 octets of them", () => {
  const owner = nameFrom("many.z.test.");
  const numbered = (count: number, octets: number): ResourceRecord[] =>
    Array.from({ length: count }, (_, i) => {
      const rdata = new Uint8Array(octets);
      rdata.set([i >>> 16, i >>> 8, i]);
      return { owner, type: 65280, class: 1, ttl: 60, rdata };
    });
  const full = numbered(65_535, 3);
  equal(compiled(full).recordCount, 65_536);
  equal(
    refusedWith([...full, ...numbered(1, 4)]),
    "many.z.test. has more than 65535 records of one type, which no image can hold",
  );
  const wide = numbered(256, 65_523);
  equal(compiled([...wide, ...numbered(1, 243)]).rrset(owner, 65280)?.rdatas.length, 257);
  equal(
    refusedWith([...wide, ...numbered(1, 244)]),
    "many.z.test. has more than 16777215 octets of records of one type, which no image can hold",
  );
});

Deno.test("owners that come again and again leave nothing behind in the heap", () => {
  const owners = Array.from({ length: 20 }, (_, i) => nameFrom(`${i}.b.z.test.`));
  const records = Array.from(
    { length: 60 },
    (_, round) => [...owners, nameFrom("b.z.test.")].map((owner) => record(owner, 1, `192.0.2.${round}`)),
  ).flat();
  const mixed = compiled(records);
  const tidy = compiled(records.toSorted((a, b) => a.owner < b.owner ? -1 : 1));
  deepEqual([...mixed.records()], [...tidy.records()]);
  ok(stateOf(mixed.image).end <= stateOf(tidy.image).end);
});

Deno.test("targets lead to the names of the zone that records speak of, and to nothing else", () => {
  const zone = compiled([
    record(nameFrom("mail.z.test."), 1, "192.0.2.1"),
    record(nameFrom("a.z.test."), 15, "1 Mail"),
    record(nameFrom("a.z.test."), 15, "2 mx.elsewhere."),
    record(nameFrom("a.z.test."), 15, "3 absent"),
    record(nameFrom("a.z.test."), 15, "4 deep.tree"),
    record(nameFrom("x.deep.tree.z.test."), 33, "1 2 3 a"),
    record(nameFrom("sub.z.test."), 2, "ns.sub"),
    record(nameFrom("ns.sub.z.test."), 1, "192.0.2.2"),
    record(nameFrom("s.z.test."), 65, "1 mail"),
  ]);
  const targets = (version: Zone, owner: string, type: number) => {
    const { image } = version;
    const cell = findCell(image, scanned(version, nameFrom(owner)), 0);
    const entry = findEntry(image, cell, type);
    findExtras(image, cell, entry);
    ok(extras.targets > 0);
    return Array.from({ length: image.words[entry + ENTRY.typeAndCount] & 0xffff }, (_, i) => {
      const target = uint32At(image.bytes, extras.targets + 4 * i);
      return target === 0 ? undefined : ownerOf(image, target);
    });
  };
  deepEqual(targets(zone, "a.z.test.", 15), ["mail.z.test.", undefined, undefined, "deep.tree.z.test."]);
  deepEqual(targets(zone, "x.deep.tree.z.test.", 33), ["a.z.test."]);
  deepEqual(targets(zone, "sub.z.test.", 2), ["ns.sub.z.test."]);
  deepEqual(targets(zone, "s.z.test.", 65), ["mail.z.test."]);
  const owner = nameFrom("new.z.test.");
  const rdatas = [rdata(15, "1 mail"), rdata(15, "2 new")];
  const next = value(zone.patched([{ owner, rrsets: [{ owner, type: 15, ttl: 60, rdatas }] }]));
  // The base, which targets are numbers of, has no such name.
  deepEqual(targets(next, "new.z.test.", 15), ["mail.z.test.", undefined]);
});

Deno.test("a patch of many names goes over the base as long as there is room behind it", () => {
  const names = Array.from({ length: 5000 }, (_, i) => nameFrom(`${i}.z.test.`));
  const zone = compiled(names.map((owner) => record(owner, 1, "192.0.2.1")));
  const changes = names.slice(0, 1500).map((owner) => ({
    owner,
    rrsets: [{ owner, type: 1, ttl: 60, rdatas: [rdata(1, "192.0.2.2")] }],
  }));
  const next = value(zone.patched(changes));
  equal(next.image.bytes, zone.image.bytes);
  deepEqual(next.rrset(names[1499], 1)?.rdatas, [rdata(1, "192.0.2.2")]);
  let last = next;
  for (let round = 0; round < 4; round++) last = value(last.patched(changes));
  ok(last.image.bytes !== zone.image.bytes);
  deepEqual([...last.records()], [...next.records()]);
});

function compiled(records: readonly ResourceRecord[]): Zone {
  return value(compileZone(ORIGIN, [record(ORIGIN, 6, "ns admin 1 2 3 4 5"), ...records]));
}

function refusedWith(records: readonly ResourceRecord[]): string {
  const zone = compileZone(ORIGIN, records);
  ok(!zone.ok);
  equal(zone.error.code, "too-large");
  return zone.error.message;
}

function record(owner: Name, type: number, text: string): ResourceRecord {
  return { owner, type, class: 1, ttl: 60, rdata: rdata(type, text) };
}

function rdata(type: number, text: string): Uint8Array {
  const read = rdataFromText(type, text, ORIGIN);
  ok(read.ok, text);
  return read.value;
}

function scanned(zone: Zone, name: Name): NameScan {
  const scan = createNameScan();
  const wire = nameToWire(name);
  scanName(scan, wire, 0, wire.length, zone.image.seed);
  return scan;
}

function value<T, E>(result: { ok: true; value: T } | { ok: false; error: E }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
