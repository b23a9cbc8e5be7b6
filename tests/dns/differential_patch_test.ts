/** A zone with changes laid over it answers as one that is compiled anew from the same records. */
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  compileZone,
  createImageSet,
  type Name,
  nameFrom,
  nameOctets,
  type OwnerRRsets,
  type ResourceRecord,
  type Zone,
} from "../../dns/mod.ts";
import { between, pick, type Random, seeded } from "../fuzz/seeded.ts";
import { zoneOf } from "./answer_zones.ts";
import { answersOf } from "./differential.ts";
import { differences, see } from "./differential_compare.ts";
import { generateQuestions } from "./differential_questions.ts";
import { generateZones } from "./differential_zones.ts";

const VERSIONS = 12;

for (const seed of [31, 32, 33]) {
  Deno.test(`changes laid over a zone answer as the zone compiled anew (seed ${seed})`, () => {
    const random = seeded(seed);
    const origin = `s${seed}.test.`;
    const [first, second] = [seed, seed + 1000].map((number) =>
      zoneOf(origin, generateZones(number, origin, { occluded: true, longest: 255 })[origin])
    );
    let zone = first;
    const answersOfFirst = answersTo(first, seed, [first, second]);
    for (let version = 1; version <= VERSIONS; version++) {
      const changes = someChanges(random, zone, first, second);
      const next = zone.patched(changes);
      ok(next.ok, next.ok ? "" : next.error.message);
      for (const { owner, rrsets } of changes) {
        deepEqual(next.value.rrsets(owner), rrsets, `${owner} in version ${version}`);
      }
      zone = next.value;
      const anew = compileZone(zone.origin, recordsOf(zone));
      ok(anew.ok, anew.ok ? "" : anew.error.message);
      equal(zone.recordCount, anew.value.recordCount);
      deepEqual([...zone.owners()].sort(), [...anew.value.owners()].sort());
      compare(zone, anew.value, seed + version, `version ${version}`);
    }
    deepEqual(answersTo(first, seed, [first, second]), answersOfFirst, "the first version changed");
  });
}

/** Owners emptied, filled, replaced by those of another zone; delegations, DNAMEs and wildcards among them. */
function someChanges(random: Random, zone: Zone, ...sources: readonly Zone[]): OwnerRRsets[] {
  const changes = new Map<Name, OwnerRRsets>();
  const here = [...zone.owners()];
  for (let count = between(random, 1, 25); count > 0; count--) {
    const source = pick(random, sources);
    const owner = random() < 0.5 ? pick(random, here) : pick(random, [...source.owners()]);
    if (owner === zone.origin) continue;
    changes.set(owner, { owner, rrsets: random() < 0.5 ? [] : source.rrsets(owner) });
    const below = nameFrom(`new${between(random, 0, 9)}.deep.${zone.origin}`);
    if (random() < 0.2 && nameOctets(below) <= 255) {
      const rrsets = source.rrsets(owner).map((rrset) => ({ ...rrset, owner: below }));
      changes.set(below, { owner: below, rrsets });
    }
  }
  return [...changes.values()];
}

function compare(one: Zone, other: Zone, seed: number, what: string): void {
  const images = [one, other].map((zone) => createImageSet([zone.image]));
  for (const question of questionsFor([one, other], seed)) {
    const [ours, theirs] = images.map((set) => see(answersOf(set, question).whole));
    const lines = differences(ours, theirs);
    equal(lines.length, 0, `${what}, ${question.name} ${question.type}:\n${lines.join("\n")}`);
  }
}

function answersTo(zone: Zone, seed: number, around: readonly Zone[]): string[] {
  const images = createImageSet([zone.image]);
  return questionsFor(around, seed).map((question) => answersOf(images, question).whole.toHex());
}

function questionsFor(zones: readonly Zone[], seed: number) {
  return generateQuestions(zones, { seed, count: 800, sizes: [4096], dnssec: 0.5 });
}

function recordsOf(zone: Zone): ResourceRecord[] {
  return [...zone.records()].flatMap(({ owner, type, ttl, rdatas }) =>
    rdatas.map((rdata) => ({ owner, type, class: 1, ttl, rdata }))
  );
}
