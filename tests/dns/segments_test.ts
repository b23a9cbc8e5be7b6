import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { createSegments, type Segments } from "../../dns/server/segments.ts";

const BATCH = 128;

interface Answer {
  readonly client: number;
  readonly octets: number;
}

/** What goes together, as the answers' numbers; of a `Segments` that was used before or not. */
function messages(answers: readonly Answer[], used?: readonly Answer[]): number[][] {
  let current: readonly Answer[] = [];
  const segments = createSegments(BATCH, (a, b) => current[a].client === current[b].client);
  for (const batch of [used ?? [], answers]) {
    current = batch;
    segments.clear();
    // Few hashes, so that clients meet in one place.
    batch.forEach(({ client, octets }, i) => segments.together(i, octets, client % 3 << 24));
    segments.join();
  }
  return groupsOf(segments);
}

function groupsOf({ groups, members, first, next }: Segments): number[][] {
  const all: number[][] = [];
  for (let group = 0; group < groups.count; group++) {
    const message: number[] = [];
    for (let answer = first[group]; message.length < members[group]; answer = next[answer]) {
      message.push(answer);
    }
    if (message.length > 0) all.push(message);
  }
  return all;
}

const batches = fc.array(
  fc.record({ client: fc.nat(6), octets: fc.oneof(fc.integer({ min: 12, max: 20 }), fc.constant(1232)) }),
  { maxLength: BATCH },
);

Deno.test("every answer leaves once, with answers to its own client, and no segment but the last is shorter", () => {
  fc.assert(fc.property(batches, batches, (used, answers) => {
    const all = messages(answers, used);
    deepEqual(all.flat().toSorted((a, b) => a - b), answers.map((_, i) => i));
    for (const message of all) {
      const octets = message.map((i) => answers[i].octets);
      equal(new Set(message.map((i) => answers[i].client)).size, 1);
      ok(
        octets.slice(0, -1).every((length) => length === octets[0]) && octets[octets.length - 1] <= octets[0],
      );
      ok(message.length <= 64 && octets[0] * message.length <= 65_000);
    }
  }));
});

Deno.test("answers of different lengths to one client leave in pairs, a long one first", () => {
  const answers = [40, 80, 60, 50, 70].map((octets) => ({ client: 1, octets }));
  deepEqual(messages(answers), [[0], [1, 4], [2, 3]]);
});

Deno.test("a single short answer is the end of the message of many long ones", () => {
  const answers = [70, 70, 30, 70].map((octets) => ({ client: 2, octets }));
  deepEqual(messages(answers), [[0, 1, 3, 2]]);
});

Deno.test("a message has at most 64 segments and 65,000 octets", () => {
  equal(messages(Array.from({ length: BATCH }, () => ({ client: 0, octets: 100 }))).length, 2);
  equal(messages(Array.from({ length: BATCH }, () => ({ client: 0, octets: 1232 }))).length, 3);
});

Deno.test("answers that go alone stay alone", () => {
  const segments = createSegments(BATCH, () => true);
  for (let i = 0; i < 3; i++) segments.alone(i, 50);
  segments.join();
  deepEqual(groupsOf(segments), [[0], [1], [2]]);
});
