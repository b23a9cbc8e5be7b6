import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { type Name, nameFrom, nameToWire, type RRset, RRTYPE } from "../../dns/mod.ts";
import { type Contents, differences } from "../../primary/layers/contents.ts";
import { dnameOwners, type Layers, mergeLayers, mergeOwner } from "../../primary/layers/merge.ts";

const ORIGIN = nameFrom("example.test.");

Deno.test("an RRset in both layers is their union with people's TTL", () => {
  const people = layer(a("www", 300, 1, 2));
  const machine = layer(a("www", 60, 2, 3));
  const { served, heldBack } = merge(people, machine);
  deepEqual(served.get(nameFrom("www.example.test."))?.map((set) => [set.ttl, set.rdatas.map((r) => r[3])]), [
    [300, [1, 2, 3]],
  ]);
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
    ["plain", [a("www", 60, 1)], [a("api", 60, 1)], []],
  ];
  for (const [what, theirs, ours, expected] of rows) {
    const { served, heldBack } = merge(layer(...theirs), layer(...ours));
    deepEqual(heldBack.map((each) => `${each.code} ${TYPES.get(each.type)}`), expected, what);
    for (const set of theirs) ok(served.get(set.owner)?.includes(set), `${what}: people's stands`);
    for (const each of heldBack) {
      const kept = served.get(each.owner)?.find((set) => set.type === each.type);
      ok(kept === undefined || theirs.includes(kept), `${what}: held back is not served`);
    }
  }
});

Deno.test("a pre-signed zone is served exactly as written", () => {
  const people = layer(a("www", 60, 1));
  const { served, heldBack } = merge(people, layer(a("www", 60, 2), a("api", 60, 1)), true);
  deepEqual(differences(served, people), []);
  deepEqual(heldBack.map((each) => each.code), ["pre-signed", "pre-signed"]);
});

Deno.test("whatever the layers hold, the merged zone has no data beside a CNAME or below a DNAME of people's", () => {
  const anySet = fc.tuple(fc.constantFrom("a", "b", "x.a", "y.x.a"), fc.constantFrom(0, 1, 2), fc.nat(3)).map(
    ([name, kind, value]) => kind === 0 ? a(name, 60, value) : kind === 1 ? cname(name) : dname(name),
  );
  fc.assert(fc.property(fc.array(anySet), fc.array(anySet), (some, others) => {
    const people = layer(...soundPeople(some));
    const machine = layer(...others);
    const layers: Layers = { origin: ORIGIN, people, machine, preSigned: false };
    const { served, heldBack } = mergeLayers(layers);
    const dnames = dnameOwners({ people, machine: new Map() });
    for (const [owner, sets] of served) {
      if (sets.some((set) => set.type === RRTYPE.CNAME)) equal(sets.length, 1, owner);
      for (const dname of dnames) ok(owner === dname || !owner.endsWith(`.${dname}`), owner);
    }
    for (const [owner, sets] of people) {
      for (const set of sets) {
        const kept = served.get(owner)?.find((each) => each.type === set.type);
        ok(kept !== undefined && set.rdatas.every((rdata) => kept.rdatas.includes(rdata)));
      }
    }
    // One owner at a time gives what all at once gives.
    const all = dnameOwners(layers);
    for (const owner of machine.keys()) {
      deepEqual(mergeOwner(layers, owner, all).served, served.get(owner) ?? []);
    }
    // Nothing of the machine's is lost: it is served or listed.
    for (const [owner, sets] of machine) {
      for (const set of sets) {
        const listed = heldBack.some((each) => each.owner === owner && each.type === set.type);
        const there = served.get(owner)?.some((each) => each.type === set.type) ?? false;
        ok(listed || there);
      }
    }
  }));
});

function merge(people: Contents, machine: Contents, preSigned = false) {
  return mergeLayers({ origin: ORIGIN, people, machine, preSigned });
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

function cname(name: string, target = "target"): RRset {
  return { owner: named(name), type: RRTYPE.CNAME, ttl: 60, rdatas: [nameToWire(named(target))] };
}

function dname(name: string): RRset {
  return { owner: named(name), type: RRTYPE.DNAME, ttl: 60, rdatas: [nameToWire(named("target"))] };
}

function ns(name: string): RRset {
  return { owner: named(name), type: RRTYPE.NS, ttl: 60, rdatas: [nameToWire(named("ns"))] };
}

const TYPES = new Map([[1, "A"], [2, "NS"], [5, "CNAME"], [39, "DNAME"]]);
