import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  changedOwners,
  compileZone,
  type Name,
  nameFrom,
  nameToWire,
  type RRset,
  RRTYPE,
  type Zone,
} from "../../dns/mod.ts";
import { type Contents, sameRRset } from "../../primary/layers/contents.ts";
import { recordsOf } from "../../primary/layout/records.ts";
import { dnameOwners, type Layers, mergeLayers, mergeOwners } from "../../primary/layers/merge.ts";

const ORIGIN = nameFrom("example.test.");

Deno.test("an RRset in both layers is their union with people's TTL", () => {
  const people = layer(a("www", 300, 1, 2));
  const machine = layer(a("www", 60, 2, 3));
  const { served, heldBack } = merge(people, machine);
  deepEqual(
    served.rrsets(nameFrom("www.example.test.")).map((set) => [set.ttl, set.rdatas.map((r) => r[3])]),
    [
      [300, [1, 2, 3]],
    ],
  );
  deepEqual(heldBack, []);
});

Deno.test("where a CNAME or DNAME of people's forbids it the machine's record is held back", () => {
  const rows: [string, RRset[], RRset[], string[]][] = [
    ["beside people's CNAME", [cname("www")], [a("www", 60, 1)], ["cname A"]],
    ["a CNAME beside people's data", [a("www", 60, 1)], [cname("www")], ["cname CNAME"]],
    ["two CNAMEs", [cname("www")], [cname("www", "other")], ["cname CNAME"]],
    ["below people's DNAME", [dname("sub")], [a("x.sub", 60, 1)], ["dname A"]],
    ["a DNAME above people's data", [a("x.sub", 60, 1)], [dname("sub")], ["dname DNAME"]],
    ["a DNAME alone", [a("www", 60, 1)], [dname("sub")], []],
    ["at people's DNAME", [dname("sub")], [a("sub", 60, 1)], []],
    ["below the machine's own DNAME", [], [dname("sub"), a("x.sub", 60, 1)], ["dname A"]],
    ["a CNAME beside the machine's own data", [], [cname("www"), a("www", 60, 1)], ["cname CNAME"]],
    ["the apex's NS", [], [ns("@")], ["people-only NS"]],
    ["two CNAMEs of the machine's own", [], [cname("www", "a", "b")], ["cname CNAME"]],
    ["two DNAMEs of the machine's own", [], [dname("sub", "a", "b")], ["dname DNAME"]],
    ["plain", [a("www", 60, 1)], [a("api", 60, 1)], []],
  ];
  for (const [what, theirs, ours, expected] of rows) {
    const { served, heldBack } = merge(layer(...theirs), layer(...ours));
    deepEqual(heldBack.map((each) => `${each.code} ${TYPES.get(each.type)}`), expected, what);
    for (const set of theirs) {
      ok(sameRRset(served.rrset(set.owner, set.type), set), `${what}: people's stands`);
    }
    for (const { owner, type } of heldBack) {
      const written = theirs.find((set) => set.owner === owner && set.type === type);
      ok(sameRRset(served.rrset(owner, type), written), `${what}: held back is not served`);
    }
  }
});

Deno.test("a pre-signed zone is served exactly as written", () => {
  const people = layer(a("www", 60, 1));
  const { served, heldBack } = merge(people, layer(a("www", 60, 2), a("api", 60, 1)), true);
  deepEqual(changedOwners(served, zoneOf(people)), []);
  deepEqual(heldBack.map((each) => each.code), ["pre-signed", "pre-signed"]);
});

Deno.test("whatever the layers hold, the merged zone has no data beside a CNAME or below a DNAME of people's", () => {
  const anySet = fc.tuple(fc.constantFrom("a", "b", "x.a", "y.x.a"), fc.constantFrom(0, 1, 2), fc.nat(3)).map(
    ([name, kind, value]) => kind === 0 ? a(name, 60, value) : kind === 1 ? cname(name) : dname(name),
  );
  fc.assert(fc.property(fc.array(anySet), fc.array(anySet), (some, others) => {
    const people = layer(...soundPeople(some));
    const machine = layer(...others);
    const layers = layersOf(people, machine);
    const { served, heldBack } = merge(people, machine);
    const dnames = layers.people.dnames;
    for (const owner of served.owners()) {
      if (served.rrset(owner, RRTYPE.CNAME) !== undefined) equal(served.rrsets(owner).length, 1, owner);
      for (const dname of dnames) ok(owner === dname || !owner.endsWith(`.${dname}`), owner);
    }
    for (const set of [...people.values()].flat()) {
      const kept = served.rrset(set.owner, set.type);
      ok(kept !== undefined && set.rdatas.every((rdata) => kept.rdatas.some((each) => same(each, rdata))));
    }
    // One owner at a time gives what all at once gives.
    const all = dnameOwners(layers);
    for (const owner of machine.keys()) {
      const [alone] = mergeOwners(layers, [owner], all).served;
      deepEqual(alone.rrsets, served.rrsets(owner));
    }
    // Nothing of the machine's is lost: it is served or listed.
    for (const [owner, sets] of machine) {
      for (const set of sets) {
        const listed = heldBack.some((each) => each.owner === owner && each.type === set.type);
        ok(listed || served.rrset(owner, set.type) !== undefined);
      }
    }
  }));
});

function merge(people: Contents, machine: Contents, preSigned = false) {
  const layers = layersOf(people, machine, preSigned);
  const { served, heldBack } = mergeLayers(layers);
  const outcome = zoneOf(people).patched(served);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return { served: outcome.value, heldBack };
}

function layersOf(people: Contents, machine: Contents, preSigned = false): Layers {
  const zone = zoneOf(people);
  return { people: { zone, dnames: new Set(zone.ownersOf(RRTYPE.DNAME)), preSigned }, machine };
}

/** People's records and an SOA. */
function zoneOf(contents: Contents): Zone {
  const records = [SOA, ...[...contents.values()].flat()].flatMap(recordsOf);
  const zone = compileZone(ORIGIN, records);
  if (!zone.ok) throw new Error(zone.error.message);
  return zone.value;
}

const SOA: RRset = { owner: ORIGIN, type: RRTYPE.SOA, ttl: 60, rdatas: [new Uint8Array(22)] };

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, at) => octet === b[at]);
}

/** People's records that the gate would let pass. */
function soundPeople(sets: RRset[]): RRset[] {
  const sound: RRset[] = [];
  for (const set of sets) {
    const clash = sound.some((each) =>
      each.owner === set.owner &&
        (each.type === set.type || each.type === RRTYPE.CNAME || set.type === RRTYPE.CNAME) ||
      each.type === RRTYPE.DNAME && set.owner.endsWith(`.${each.owner}`) ||
      set.type === RRTYPE.DNAME && each.owner.endsWith(`.${set.owner}`)
    );
    if (!clash) sound.push(set);
  }
  return sound;
}

function layer(...sets: RRset[]): Contents {
  const contents = new Map<Name, RRset[]>();
  for (const set of sets) {
    const own = contents.get(set.owner) ?? [];
    if (!own.some((each) => each.type === set.type)) contents.set(set.owner, [...own, set]);
  }
  for (const own of contents.values()) own.sort((x, y) => x.type - y.type);
  return contents;
}

function named(name: string): Name {
  return name === "@" ? ORIGIN : nameFrom(`${name}.example.test.`);
}

function a(name: string, ttl: number, ...values: number[]): RRset {
  const rdatas = values.map((value) => new Uint8Array([192, 0, 2, value]));
  return { owner: named(name), type: RRTYPE.A, ttl, rdatas };
}

function cname(name: string, ...targets: string[]): RRset {
  return alias(name, RRTYPE.CNAME, targets);
}

function dname(name: string, ...targets: string[]): RRset {
  return alias(name, RRTYPE.DNAME, targets);
}

function alias(name: string, type: number, targets: string[]): RRset {
  const rdatas = (targets.length === 0 ? ["target"] : targets).map((target) => nameToWire(named(target)));
  return { owner: named(name), type, ttl: 60, rdatas };
}

function ns(name: string): RRset {
  return { owner: named(name), type: RRTYPE.NS, ttl: 60, rdatas: [nameToWire(named("ns"))] };
}

const TYPES = new Map([[1, "A"], [2, "NS"], [5, "CNAME"], [39, "DNAME"]]);
