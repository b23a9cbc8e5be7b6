import { deepEqual, equal, ok } from "node:assert/strict";
import {
  changedOwners,
  compileZone,
  type Name,
  nameFrom,
  type ResourceRecord,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import { createCompactor } from "../../primary/transaction/compactor.ts";
import { memoryOf, type ServedZone } from "../../primary/transaction/served_zone.ts";

const ORIGIN = nameFrom("example.test.");

Deno.test("a zone over whose base many versions lie gets a new base, and changes made meanwhile are not lost", async () => {
  const slices: (() => void)[] = [];
  let now = servedZone(zoneOf(5000));
  const first = memoryOf(now.served);
  let replaced = 0;
  const compactor = createCompactor({
    versions: 3,
    soon: (slice) => {
      slices.push(slice);
      return () => void slices.splice(0);
    },
    replace: (_zone, make) => {
      const next = make(now);
      ok(next);
      now = next;
      replaced++;
      return Promise.resolve();
    },
    failed: (_zone, error) => {
      throw error;
    },
  });
  const change = (value: number) => {
    now = { ...now, served: withAddress(now.served, `m${value}.example.test.`, value) };
    compactor.published(now);
  };
  for (let value = 0; value < 3; value++) change(value);
  equal(slices.length, 0);
  change(3);
  equal(slices.length, 1);
  for (let value = 4; slices.length > 0; value++) {
    slices.shift()?.();
    if (value < 8) change(value);
  }
  await Promise.resolve();
  await Promise.resolve();
  equal(replaced, 1);
  ok(memoryOf(now.served) !== first);
  equal(memoryOf(now.good?.zone ?? now.served), memoryOf(now.served));
  let expected = zoneOf(5000);
  deepEqual(changedOwners(now.good?.zone ?? now.served, expected), []);
  for (let value = 0; value < 8; value++) expected = withAddress(expected, `m${value}.example.test.`, value);
  deepEqual(changedOwners(now.served, expected), []);
});

Deno.test("a zone that was read anew while its base was compacted stays as it is", async () => {
  const slices: (() => void)[] = [];
  let now = servedZone(zoneOf(10));
  const outcomes: unknown[] = [];
  const compactor = createCompactor({
    versions: 1,
    soon: (slice) => {
      slices.push(slice);
      return () => {};
    },
    replace: (_zone, make) => {
      outcomes.push(make(now));
      return Promise.resolve();
    },
    failed: (_zone, error) => {
      throw error;
    },
  });
  compactor.published(now);
  now = { ...now, served: withAddress(now.served, "a.example.test.", 1) };
  compactor.published(now);
  now = servedZone(zoneOf(20));
  while (slices.length > 0) slices.shift()?.();
  await Promise.resolve();
  deepEqual(outcomes, [undefined]);
});

function servedZone(zone: Zone): ServedZone {
  const soa = zone.rrset(ORIGIN, RRTYPE.SOA);
  ok(soa);
  return {
    origin: ORIGIN,
    source: { file: "zone", inputs: new Map() },
    faults: [],
    good: { file: "zone", heldAt: undefined, zone, soa, dnames: new Set(), preSigned: false },
    machine: new Map(),
    dnames: new Set(),
    heldBack: [],
    served: zone,
    serial: zone.serial,
  };
}

function zoneOf(names: number): Zone {
  const records: ResourceRecord[] = [{
    owner: ORIGIN,
    type: RRTYPE.SOA,
    class: 1,
    ttl: 60,
    rdata: new Uint8Array(22),
  }];
  for (let i = 0; i < names; i++) {
    const rdata = new Uint8Array([10, 0, i >>> 8, i]);
    records.push({ owner: `h${i}.example.test.` as Name, type: RRTYPE.A, class: 1, ttl: 60, rdata });
  }
  const zone = compileZone(ORIGIN, records);
  if (!zone.ok) throw new Error(zone.error.message);
  return zone.value;
}

function withAddress(zone: Zone, name: string, value: number): Zone {
  const owner = nameFrom(name);
  const rdatas = [new Uint8Array([10, 1, 0, value])];
  const next = zone.patched([{ owner, rrsets: [{ owner, type: RRTYPE.A, ttl: 60, rdatas }] }]);
  if (!next.ok) throw new Error(next.error.message);
  return next.value;
}
