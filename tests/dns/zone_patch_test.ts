/** Versions of a zone over one heap: against zones compiled from the same content. */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { CELL, findCell, FLAG } from "../../dns/image/layout.ts";
import { createNameScan, scanName } from "../../dns/image/scan.ts";
import { nameFrom, nameToWire } from "../../dns/name.ts";
import { rdataFromText } from "../../dns/rr/rdata.ts";
import type { Name, ResourceRecord, RRset } from "../../dns/types.ts";
import { compileZone } from "../../dns/zone/builder.ts";
import { compactedZone, compaction, rebase } from "../../dns/zone/compact.ts";
import { changedOwners, diffZones } from "../../dns/zone/diff.ts";
import type { Zone } from "../../dns/zone/zone.ts";

const ORIGIN = nameFrom("z.test.");
const LABELS = ["a", "b", "*", "c\\.d"];
const NAMES: Name[] = [];
for (const x of LABELS) {
  NAMES.push(nameFrom(`${x}.z.test.`));
  for (const y of LABELS) {
    NAMES.push(nameFrom(`${y}.${x}.z.test.`));
    for (const z of LABELS) NAMES.push(nameFrom(`${z}.${y}.${x}.z.test.`));
  }
}
const TYPES: [number, string[]][] = [
  [1, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]],
  [2, ["a", "b.a", "ns.elsewhere.", "Upper.Z.TEST."]],
  [15, ["1 a", "1 b.a", "2 c\\.d.b", "3 *.a"]],
  [16, ["x", "y"]],
  [33, ["1 2 3 a", "1 2 3 b.b"]],
  [46, [
    "A 13 2 60 20300101000000 20200101000000 1 z.test. AAAA",
    "TXT 13 2 60 20300101000000 20200101000000 1 z.test. AAAA",
  ]],
];

const rrsetArbitrary = fc.constantFrom(...TYPES).chain(([type, texts]) =>
  fc.record({
    type: fc.constant(type),
    ttl: type === 46 ? fc.constant(60) : fc.constantFrom(60, 3600),
    rdatas: fc.subarray(texts.map((text) => rdata(type, text)), { minLength: 1 }),
  })
);
const contentArbitrary = fc.uniqueArray(rrsetArbitrary, { selector: ({ type }) => type, maxLength: 3 });
const changesArbitrary = fc.uniqueArray(
  fc.record({ owner: fc.constantFrom(...NAMES), rrsets: contentArbitrary }),
  { selector: ({ owner }) => owner, maxLength: 8 },
);

Deno.test("a chain of patches makes what compiling the final content makes, and leaves older versions alone", () => {
  fc.assert(
    fc.property(fc.array(changesArbitrary, { minLength: 1, maxLength: 8 }), fc.nat(7), (steps, compactAt) => {
      const content = new Map<Name, RRset[]>([[ORIGIN, [soa(1)]]]);
      let zone = compiled(content);
      const history: [Zone, string][] = [[zone, everything(zone)]];
      steps.forEach((changes, step) => {
        const before = zone;
        const sets = changes.map(({ owner, rrsets }) => ({
          owner,
          rrsets: rrsets.map((r) => ({ ...r, owner })),
        }));
        for (const { owner, rrsets } of sets) {
          if (rrsets.length > 0) content.set(owner, rrsets);
          else content.delete(owner);
        }
        zone = value(zone.patched(sets));
        if (step === compactAt) {
          const slices = compaction(before);
          let next = slices.next();
          while (next.done !== true) next = slices.next();
          zone = value(rebase(next.value, before, zone));
        }
        equal(everything(zone), everything(compiled(content)));
        deepEqual(diffZones(before, zone), diffZones(compiledAgain(before), compiledAgain(zone)));
        history.push([zone, everything(zone)]);
      });
      for (const [version, was] of history) equal(everything(version), was);
      equal(everything(compactedZone(zone)), everything(zone));
    }),
    { numRuns: 60 },
  );
});

Deno.test("records in any order make the same zone", () => {
  fc.assert(
    fc.property(changesArbitrary, fc.infiniteStream(fc.nat()), (changes, numbers) => {
      const content = new Map<Name, RRset[]>([[ORIGIN, [soa(1)]]]);
      for (const { owner, rrsets } of changes) content.set(owner, rrsets.map((r) => ({ ...r, owner })));
      const records = recordsOf(content);
      const shuffled = records.map((record) => ({ record, key: numbers.next().value }))
        .sort((a, b) => a.key - b.key).map(({ record }) => record);
      equal(everything(value(compileZone(ORIGIN, shuffled))), everything(compiled(content)));
    }),
    { numRuns: 60 },
  );
});

Deno.test("a name with more than 255 names below goes when the last of them goes", () => {
  const names = Array.from({ length: 300 }, (_, i) => nameFrom(`n${i}.ent.z.test.`));
  const a = (owner: Name): RRset => ({ owner, type: 1, ttl: 60, rdatas: [rdata(1, "192.0.2.1")] });
  let zone = compiled(
    new Map([[ORIGIN, [soa(1)]], ...names.map((name): [Name, RRset[]] => [name, [a(name)]])]),
  );
  for (const name of names.slice(1)) zone = value(zone.patched([{ owner: name, rrsets: [] }]));
  equal(exists(zone, nameFrom("ent.z.test.")), 1);
  zone = value(zone.patched([{ owner: names[0], rrsets: [] }]));
  equal(exists(zone, nameFrom("ent.z.test.")), 0);
  equal(zone.recordCount, 1);
});

Deno.test("limits give clear errors", () => {
  const records = [...recordsOf(new Map([[ORIGIN, [soa(1)]]]))];
  const owner = nameFrom("many.z.test.");
  for (let type = 1000; type < 1256; type++) {
    records.push({ owner, type, class: 1, ttl: 1, rdata: new Uint8Array(1) });
  }
  const zone = compileZone(ORIGIN, records);
  ok(!zone.ok);
  equal(zone.error.code, "too-large");
  equal(zone.error.message, "many.z.test. has more than 255 types, which no image can hold");
  ok(compileZone(ORIGIN, records.slice(0, -1)).ok);
});

Deno.test("the root is an origin, and names may be as long as names can be", () => {
  const root = nameFrom(".");
  const longest = nameFrom(`${"a.".repeat(127)}`);
  const widest = nameFrom(`${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(63)}.${"e".repeat(61)}.`);
  const records = [
    { owner: root, type: 6, class: 1, ttl: 60, rdata: rdata(6, "ns. admin. 1 2 3 4 5") },
    ...[longest, widest].map((owner) => ({ owner, type: 2, class: 1, ttl: 60, rdata: nameToWire(longest) })),
  ];
  const zone = value(compileZone(root, records));
  for (const owner of [longest, widest]) deepEqual(zone.rrset(owner, 2)?.rdatas, [nameToWire(longest)]);
  const less = value(zone.patched([{ owner: longest, rrsets: [] }]));
  equal(exists(less, nameFrom("a.")), 0);
  deepEqual(changedOwners(zone, less).map(({ owner }) => owner), [longest]);
  equal(changedOwners(zone, less, 0), undefined);
});

/** Everything that can be seen of a zone: records, and for each name whether it is there and has a wildcard below. */
function everything(zone: Zone): string {
  const records = [...zone.records()].map((rrset) =>
    `${rrset.owner} ${rrset.ttl} ${rrset.type} ${rrset.rdatas.map((octets) => octets.toHex()).join(" ")}`
  );
  const names = NAMES.map((name) =>
    `${name} ${exists(zone, name)} ${JSON.stringify(zone.rrsets(name).map(({ type }) => type))}`
  );
  const owners = [...zone.owners()].sort();
  return [...records, ...names, ...owners, ...zone.ownersOf(46).sort(), zone.recordCount].join("\n");
}

function exists(zone: Zone, name: Name): number {
  const scan = createNameScan();
  const wire = nameToWire(name);
  scanName(scan, wire, 0, wire.length, zone.image.seed);
  const cell = findCell(zone.image, scan, 0);
  return cell === 0 ? 0 : (zone.image.words[cell + CELL.head] & FLAG.wildcard) === 0 ? 1 : 2;
}

function compiled(content: ReadonlyMap<Name, readonly RRset[]>): Zone {
  return value(compileZone(ORIGIN, recordsOf(content)));
}

function compiledAgain(zone: Zone): Zone {
  return compiled(new Map([...zone.owners()].map((owner) => [owner, [...zone.rrsets(owner)]])));
}

function recordsOf(content: ReadonlyMap<Name, readonly RRset[]>): ResourceRecord[] {
  return [...content].flatMap(([owner, rrsets]) =>
    rrsets.flatMap(({ type, ttl, rdatas }) => rdatas.map((rdata) => ({ owner, type, class: 1, ttl, rdata })))
  );
}

function soa(serial: number): RRset {
  return { owner: ORIGIN, type: 6, ttl: 60, rdatas: [rdata(6, `ns admin ${serial} 2 3 4 5`)] };
}

function rdata(type: number, text: string): Uint8Array {
  const read = rdataFromText(type, text, ORIGIN);
  ok(read.ok, text);
  return read.value;
}

function value<T, E>(result: { ok: true; value: T } | { ok: false; error: E }): T {
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
