/** Searches in chains of denial, against naive ones. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { coverNsec, coverNsec3, nsec3Hash } from "../../dns/image/denial.ts";
import { CELL3, findCell } from "../../dns/image/layout.ts";
import { createNameScan, scanName } from "../../dns/image/scan.ts";
import { compareNames, nameFrom, nameFromWire, nameToWire } from "../../dns/name.ts";
import { rdataFromText } from "../../dns/rr/rdata.ts";
import type { Name, ResourceRecord } from "../../dns/types.ts";
import { compileZone } from "../../dns/zone/builder.ts";
import { ownerOf } from "../../dns/zone/read.ts";
import type { Zone } from "../../dns/zone/zone.ts";

const ORIGIN = nameFrom("z.test.");
const SALT = Uint8Array.of(0xab, 0xcd);

const labelArbitrary = fc.uint8Array({ minLength: 1, maxLength: 9 });
const nameArbitrary = fc.array(labelArbitrary, { maxLength: 3 }).map((labels) => {
  const wire = Uint8Array.from([
    ...labels.flatMap((label) => [label.length, ...label]),
    ...nameToWire(ORIGIN),
  ]);
  const read = nameFromWire(wire, 0);
  ok(read !== undefined);
  return read.name;
});

Deno.test("the hash of NSEC3 is iterated SHA-1 with salt", () => {
  fc.assert(fc.property(
    fc.uint8Array({ minLength: 1, maxLength: 255 }),
    fc.uint8Array({ maxLength: 255 }),
    fc.nat(20),
    (name, salt, iterations) => {
      const out = new Uint8Array(20);
      nsec3Hash(out, { salt, iterations }, name, 0, name.length);
      equal(out.toHex(), naiveHash(name, salt, iterations).toHex());
    },
  ));
});

Deno.test("the NSEC record that covers a name is the last not after it", () => {
  fc.assert(fc.property(
    fc.array(nameArbitrary, { maxLength: 12 }),
    fc.array(nameArbitrary, { minLength: 1, maxLength: 12 }),
    (owners, asked) => {
      const list = [...new Set([ORIGIN, ...owners])].sort(compareNames);
      const zone = compiled(list.toReversed().map((owner) => record(owner, 47, `${ORIGIN} A NSEC`)));
      for (const name of [...asked, ...owners]) {
        const cell = coverNsec(zone.image, scanned(zone, name));
        equal(ownerOf(zone.image, cell), list.findLast((owner) => compareNames(owner, name) <= 0));
      }
    },
  ));
});

Deno.test("NSEC3 records are found by hash, for each name those that match it and cover its wildcard", () => {
  fc.assert(
    fc.property(
      fc.array(nameArbitrary, { maxLength: 12 }),
      fc.uint8Array({ minLength: 20, maxLength: 20 }),
      (owners, asked) => {
        const names = [...new Set([ORIGIN, ...owners])];
        const hashed = names.map((name) => ({ name, hash: naiveHash(nameToWire(name), SALT, 3) }))
          .sort((a, b) => a.hash.toHex() < b.hash.toHex() ? -1 : 1);
        const zone = compiled([
          ...hashed.map(({ hash }) =>
            record(nameFrom(`${base32(hash)}.${ORIGIN}`), 50, `1 0 3 abcd ${base32(hash)} A`)
          ),
          ...names.map((owner) => record(owner, 1, "192.0.2.1")),
          record(ORIGIN, 51, "1 0 3 abcd"),
        ]);
        const chain = zone.image.denial;
        ok(chain?.kind === "nsec3");
        deepEqual(chain.hashes.toHex(), hashed.map(({ hash }) => hash.toHex()).join(""));
        const cover = (hash: Uint8Array) =>
          (hashed.findLastIndex((entry) => entry.hash.toHex() <= hash.toHex()) + hashed.length) %
          hashed.length;
        const last = hashed.findLastIndex((entry) => entry.hash.toHex() <= asked.toHex());
        equal(coverNsec3(chain, asked), last < 0 ? hashed.length - 1 : last);
        for (const { name, hash } of hashed) {
          const cell = findCell(zone.image, scanned(zone, name), 0);
          equal(zone.image.words[cell + CELL3.match], cover(hash) + 1);
          const owner = nameFrom(`${base32(hash)}.${ORIGIN}`);
          equal(findCell(zone.image, scanned(zone, owner), 0), 0);
          equal(zone.rrset(owner, 50)?.rdatas.length, 1);
          const wildcard = nameToWire(name).length > 253
            ? undefined
            : nameFrom(name === "." ? "*." : `*.${name}`);
          if (wildcard === undefined || findCell(zone.image, scanned(zone, wildcard), 0) !== 0) continue;
          const wild = naiveHash(nameToWire(wildcard), SALT, 3);
          const index = hashed.findLastIndex((entry) => entry.hash.toHex() <= wild.toHex());
          equal(zone.image.words[cell + CELL3.coversWildcard], index < 0 ? hashed.length : index + 1);
        }
      },
    ),
  );
});

Deno.test("what an opt-out chain leaves out matches nothing, and what lies below a delegation has no proofs", () => {
  const names = ["z.test.", "a.z.test.", "ent.z.test.", "b.ent.z.test.", "secure.z.test."].map(nameFrom);
  const delegations = ["insecure.z.test.", "secure.z.test."].map(nameFrom);
  const glue = nameFrom("ns.insecure.z.test.");
  const belowDname = nameFrom("x.d.z.test.");
  const hashed = [...names, nameFrom("d.z.test.")].map((name) => base32(naiveHash(nameToWire(name), SALT, 3)))
    .sort();
  const zone = compiled([
    record(ORIGIN, 51, "1 0 3 abcd"),
    ...hashed.map((hash) => record(nameFrom(`${hash}.${ORIGIN}`), 50, `1 1 3 abcd ${hash} A`)),
    record(names[1], 1, "192.0.2.1"),
    record(names[3], 1, "192.0.2.1"),
    ...delegations.map((owner) => record(owner, 2, "ns.insecure")),
    record(glue, 1, "192.0.2.2"),
    record(nameFrom("d.z.test."), 39, "elsewhere."),
    record(belowDname, 1, "192.0.2.3"),
  ]);
  const { image } = zone;
  ok(image.denial?.kind === "nsec3");
  equal(image.denial.cells.length, hashed.length);
  const proofs = (name: Name) => {
    const cell = findCell(image, scanned(zone, name), 0);
    ok(cell !== 0, name);
    return [image.words[cell + CELL3.match], image.words[cell + CELL3.coversWildcard]];
  };
  const hashOf = (name: Name) => base32(naiveHash(nameToWire(name), SALT, 3));
  for (const name of names) equal(proofs(name)[0], hashed.indexOf(hashOf(name)) + 1, name);
  const covering = hashed.findLastIndex((hash) => hash <= hashOf(nameFrom("*.insecure.z.test.")));
  deepEqual(proofs(delegations[0]), [0, (covering < 0 ? hashed.length - 1 : covering) + 1]);
  deepEqual(proofs(glue), [0, 0]);
  deepEqual(proofs(belowDname), [0, 0]);
});

Deno.test("a signed zone keeps its chain when it gets another serial", () => {
  const hashed = base32(naiveHash(nameToWire(ORIGIN), SALT, 3));
  const nsec3 = compiled([
    record(ORIGIN, 51, "1 0 3 abcd"),
    record(nameFrom(`${hashed}.${ORIGIN}`), 50, `1 0 3 abcd ${hashed} SOA`),
  ]);
  const nsec = compiled([
    record(ORIGIN, 47, "a.z.test. SOA NSEC"),
    record(nameFrom("a.z.test."), 47, "z.test. A NSEC"),
    record(nameFrom("a.z.test."), 1, "192.0.2.1"),
  ]);
  for (const zone of [nsec, nsec3]) {
    const next = zone.withSerial(9).withSerial(10);
    equal(next.serial, 10);
    equal(zone.serial, 1);
    equal(next.image.denial, zone.image.denial);
    equal(next.image.bytes, zone.image.bytes);
    deepEqual(next.rrsets(ORIGIN).map(({ type }) => type), zone.rrsets(ORIGIN).map(({ type }) => type));
  }
  const apex = nsec3.withSerial(9).image.apex;
  ok(apex !== nsec3.image.apex);
  for (const word of [CELL3.match, CELL3.coversWildcard]) equal(nsec3.image.words[apex + word], 1);
  const later = nsec.withSerial(9);
  equal(ownerOf(later.image, coverNsec(later.image, scanned(later, nameFrom("0.z.test.")))), ORIGIN);
  equal(ownerOf(later.image, coverNsec(later.image, scanned(later, nameFrom("b.z.test.")))), "a.z.test.");
});

function naiveHash(name: Uint8Array, salt: Uint8Array, iterations: number): Uint8Array {
  let hash: Uint8Array = name;
  for (let i = 0; i <= iterations; i++) {
    hash = new Uint8Array(createHash("sha1").update(hash).update(salt).digest());
  }
  return hash;
}

function base32(octets: Uint8Array): string {
  const bits = [...octets].map((octet) => octet.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{5}/g) ?? []).map((five) => parseInt(five, 2).toString(32)).join("");
}

function scanned(zone: Zone, name: Name) {
  const scan = createNameScan();
  const wire = nameToWire(name);
  scanName(scan, wire, 0, wire.length, zone.image.seed);
  return scan;
}

function compiled(records: readonly ResourceRecord[]): Zone {
  const zone = compileZone(ORIGIN, [...records, record(ORIGIN, 6, "ns admin 1 2 3 4 5")]);
  ok(zone.ok);
  return zone.value;
}

function record(owner: Name, type: number, text: string): ResourceRecord {
  const read = rdataFromText(type, text, ORIGIN);
  ok(read.ok, text);
  return { owner, type, class: 1, ttl: 60, rdata: read.value };
}
