import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { CLASS, joinName, type Name, nameFrom, ROOT, type RRset, RRTYPE } from "../../dns/mod.ts";
import { machineFolder, machinePath } from "../../primary/layout/machine_files.ts";
import { machineFile, readMachineZone } from "../../primary/layout/machine_zone.ts";
import { meaningOf, zoneFileName } from "../../primary/layout/zone_files.ts";

Deno.test("paths of main mean what the contract says", () => {
  const zones: [string, string][] = [
    ["example.test.zone", "example.test."],
    ["deep/in/folders/Example.Test.zone", "example.test."],
    ["example.zone.zone", "example.zone."],
    ["root.zone", "."],
    ["a/root.zone", "."],
    ["0%2F25.2.0.192.in-addr.arpa.zone", "0/25.2.0.192.in-addr.arpa."],
    ["__proto__.zone", "__proto__."],
  ];
  for (const [path, zone] of zones) deepEqual(meaningOf(path), { kind: "zone", zone });
  const perhaps: [string, string][] = [
    ["example.test", "example.test."],
    ["zones/example.test", "example.test."],
    ["zones/0%2f25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa."],
    ["README.md", "readme.md."],
    ["constructor", "constructor."],
  ];
  for (const [path, zone] of perhaps) deepEqual(meaningOf(path), { kind: "perhaps-zone", zone });
  for (const path of ["other/example.test", "zones/deep/example.test", "zones/a..b", "ä.test"]) {
    equal(meaningOf(path).kind, "other", path);
  }
  for (const path of ["_keys", "zones/_keys", "example.test._keys"]) {
    equal(meaningOf(path).kind, "keys", path);
  }
  for (const path of [".zone", "a..b.zone", "x".repeat(64) + ".zone"]) {
    equal(meaningOf(path).kind, "bad-zone-name", path);
  }
});

Deno.test("the file name made for a zone means that zone", () => {
  fc.assert(fc.property(zoneName(), (zone) => {
    deepEqual(meaningOf(zoneFileName(zone)), { kind: "zone", zone });
    deepEqual(meaningOf(`zones/${zoneFileName(zone)}`), { kind: "zone", zone });
  }));
});

Deno.test("machine paths are HH/OWNER below the zone's folder", () => {
  const zone = nameFrom("example.test.");
  const path = (owner: string) => machinePath(zone, nameFrom(owner));
  const hh = (owner: string) => createHash("sha1").update(owner).digest("hex").slice(0, 2);
  equal(
    path("_letsencrypt._tcp.www.example.test."),
    `example.test/${hh("_letsencrypt._tcp.www.example.test.")}/_letsencrypt._tcp.www`,
  );
  equal(path("example.test."), `example.test/${hh("example.test.")}/@`);
  equal(path("*.example.test."), `example.test/${hh("*.example.test.")}/%2A`);
  equal(path("\\@.example.test.").split("/")[2], "%40");
  equal(path("a\\.b.example.test.").split("/")[2], "a%2Eb");
  equal(path("\\.git.example.test.").split("/")[2], "%2Egit");
  equal(path("a/..example.test.".replace("..", ".")).split("/")[2], "a%2F");
  equal(machinePath(ROOT, nameFrom("test.")), `@/${hh("test.")}/test`);
  equal(machineFolder(ROOT), "@");
  equal(machineFolder(nameFrom("root.")), "root");
});

Deno.test("an owner of over 200 encoded bytes is filed under its SHA-1", () => {
  const zone = nameFrom("example.test.");
  const owner = nameFrom("\\000".repeat(63) + "." + "\\000".repeat(10) + ".example.test.");
  const hash = createHash("sha1").update(owner).digest("hex");
  equal(machinePath(zone, owner), `example.test/${hash.slice(0, 2)}/${hash}`);
  const edge = nameFrom(
    `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(8)}.example.test.`,
  );
  equal(machinePath(zone, edge).split("/")[2].length, 200);
});

Deno.test("no two owners share a machine path, whatever octets they hold", () => {
  fc.assert(fc.property(owner(), owner(), (a, b) => {
    if (a === b) equal(machinePath(ZONE, a), machinePath(ZONE, b));
    else notEqual(machinePath(ZONE, a), machinePath(ZONE, b));
    ok(!/[^A-Za-z0-9._%@/-]/.test(machinePath(ZONE, a)));
  }));
});

Deno.test("what is written to a machine file is read back, one sorted record a line", () => {
  const rrset = fc.tuple(
    owner(),
    fc.constantFrom(RRTYPE.TXT, RRTYPE.TLSA, RRTYPE.A, 65280),
    fc.nat(1000),
    fc.uniqueArray(fc.nat(255), { minLength: 1, maxLength: 5 }),
  ).map(([name, type, ttl, values]): RRset => ({
    owner: name,
    type,
    ttl,
    rdatas: [...values].sort((a, b) => a - b).map((value) => rdataFor(type, value)),
  }));
  fc.assert(fc.property(rrset, (set) => {
    const bytes = machineFile([set]);
    ok(bytes !== undefined);
    const lines = new TextDecoder().decode(bytes).trimEnd().split("\n");
    deepEqual(lines, [...lines].sort());
    equal(lines.length, set.rdatas.length);
    const read = readMachineZone(ZONE, [{ path: machinePath(ZONE, set.owner), bytes }]);
    deepEqual(read.faults, []);
    deepEqual([...read.contents], [[set.owner, [set]]]);
  }));
  equal(machineFile([]), undefined);
});

Deno.test("a machine file speaks for the owner of its path and for no other", () => {
  const bytes = new TextEncoder().encode(
    "b.example.test. 60 IN A 192.0.2.1\nother.test. 60 IN A 192.0.2.1\n",
  );
  const read = readMachineZone(ZONE, [{ path: machinePath(ZONE, nameFrom("a.example.test.")), bytes }]);
  equal(read.contents.size, 0);
  deepEqual(read.faults.map((fault) => fault.code), ["out-of-zone", "out-of-zone"]);
  equal(CLASS.IN, 1);
});

const ZONE = nameFrom("example.test.");

function owner(): fc.Arbitrary<Name> {
  return fc.array(label(), { maxLength: 3 }).map((labels) => joinName(labels, ZONE));
}

function zoneName(): fc.Arbitrary<Name> {
  const plain = fc.stringMatching(/^[a-z0-9_/-]{1,10}$/);
  return fc.array(plain, { maxLength: 4 }).map((labels) => joinName(labels, ROOT)).filter((name) =>
    // The one zone the contract has no `.zone` file for: `root.zone` is the root's.
    name !== "root."
  );
}

/** A label of any octets, in presentation form. */
function label(): fc.Arbitrary<string> {
  const octet = fc.oneof(fc.nat(255), fc.constantFrom(0x2e, 0x2f, 0x25, 0x40, 0x61, 0x41, 0x00));
  return fc.array(octet, { minLength: 1, maxLength: 20 }).map((octets) =>
    octets.map((each) => `\\${String(each).padStart(3, "0")}`).join("")
  );
}

function rdataFor(type: number, value: number): Uint8Array {
  if (type === RRTYPE.TXT) return new Uint8Array([1, value]);
  if (type === RRTYPE.TLSA) return new Uint8Array([3, 0, 0, value]);
  return new Uint8Array([192, 0, 2, value]);
}
