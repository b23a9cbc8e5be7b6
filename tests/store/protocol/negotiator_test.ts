/** The negotiators: what they offer, in which order, and how many at a time. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { composeCommit, newSha1, objectOid } from "../../../store/mod.ts";
import type { GitObject, ObjectReader, Oid } from "../../../store/mod.ts";
import { CommitGraph } from "../../../store/protocol/commit_graph.ts";
import { createNegotiator, type Negotiator } from "../../../store/protocol/negotiator/negotiator.ts";
import { FIRST_WINDOW, nextWindow } from "../../../store/protocol/negotiator/window.ts";

Deno.test("windows of haves grow as git's do", () => {
  const grow = (stateless: boolean, steps: number) => {
    const counts = [FIRST_WINDOW];
    for (let i = 0; i < steps; i++) counts.push(nextWindow(counts[i], stateless));
    return counts;
  };
  deepEqual(grow(false, 5), [16, 32, 64, 96, 128, 160]);
  deepEqual(grow(true, 12), [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 18022, 19824]);
});

Deno.test("the negotiator offers by date, and nothing below what is common", async () => {
  const history = line(10);
  const negotiator = createNegotiator("consecutive", new CommitGraph(history.reader));
  await negotiator.addTip(history.oids[9]);
  equal(await negotiator.next(), history.oids[9]);
  equal(await negotiator.next(), history.oids[8]);
  equal(await negotiator.acknowledge(history.oids[8]), false);
  equal(await negotiator.acknowledge(history.oids[8]), true);
  equal(await negotiator.next(), undefined);
});

Deno.test("a ref that both sides have is offered once and what lies below it is not", async () => {
  const history = line(10);
  const negotiator = createNegotiator("consecutive", new CommitGraph(history.reader));
  await negotiator.knownCommon(history.oids[6]);
  await negotiator.addTip(history.oids[9]);
  const offered = await drain(negotiator);
  deepEqual(offered, [9, 8, 7, 6].map((i) => history.oids[i]));
});

Deno.test("a negotiator without any answer offers every commit once", async () => {
  const store = memoryStore();
  const root = store.commit([], 1);
  const left = store.commit([root], 2);
  const right = store.commit([root], 3);
  const merge = store.commit([left, right], 4);
  const negotiator = createNegotiator("consecutive", new CommitGraph(store.reader));
  await negotiator.addTip(merge);
  await negotiator.addTip(left);
  const offered = await drain(negotiator);
  deepEqual(offered, [merge, right, left, root]);
});

Deno.test("skipping leaves gaps that grow by half and ends at the root", async () => {
  const history = line(60);
  const negotiator = createNegotiator("skipping", new CommitGraph(history.reader));
  await negotiator.addTip(history.oids[59]);
  const places = (await drain(negotiator)).map((oid) => history.oids.indexOf(oid));
  // After an offer the next 1, 2, 4, 7, 11 … commits are passed over; the root is offered whatever the gap.
  deepEqual(places, [59, 57, 54, 49, 41, 29, 11, 0]);
});

Deno.test("skipping offers nothing below what was acknowledged, nor below a ref that both sides have", async () => {
  const history = line(60);
  const acknowledged = createNegotiator("skipping", new CommitGraph(history.reader));
  await acknowledged.addTip(history.oids[59]);
  equal(await acknowledged.next(), history.oids[59]);
  equal(await acknowledged.next(), history.oids[57]);
  equal(await acknowledged.acknowledge(history.oids[57]), false);
  equal(await acknowledged.acknowledge(history.oids[57]), true);
  equal(await acknowledged.next(), undefined);

  const known = createNegotiator("skipping", new CommitGraph(history.reader));
  await known.knownCommon(history.oids[50]);
  await known.addTip(history.oids[59]);
  const places = (await drain(known)).map((oid) => history.oids.indexOf(oid));
  ok(places.every((place) => place >= 50) && places.includes(50), String(places));
});

Deno.test("skipping ends where clocks disagree: a commit whose parents were passed already is offered", async () => {
  const store = memoryStore();
  const root = store.commit([], 100);
  const young = store.commit([root], 50); // Older by its date than its parent.
  const negotiator = createNegotiator("skipping", new CommitGraph(store.reader));
  await negotiator.addTip(root);
  await negotiator.addTip(young);
  deepEqual(await drain(negotiator), [root, young]);
});

Deno.test("noop offers nothing at all", async () => {
  const history = line(5);
  const negotiator = createNegotiator("noop", new CommitGraph(history.reader));
  await negotiator.knownCommon(history.oids[2]);
  await negotiator.addTip(history.oids[4]);
  equal(await negotiator.next(), undefined);
});

for (const name of ["consecutive", "skipping"] as const) {
  Deno.test(`${name} reads no more of the history than what it is asked for`, async () => {
    const history = line(5000);
    let reads = 0;
    const reader: ObjectReader = {
      ...history.reader,
      read: (oid) => (reads++, history.reader.read(oid)),
    };
    const negotiator = createNegotiator(name, new CommitGraph(reader));
    await negotiator.knownCommon(history.oids[4990]);
    await negotiator.addTip(history.oids[4999]);
    ok(reads <= 3, `${reads} reads for two tips`);
    const offered = await drain(negotiator);
    ok(offered.length <= 10 && reads <= 14, `${reads} reads for ${offered.length} haves`);
  });

  Deno.test(`${name} goes no further than where the history was cut off`, async () => {
    const history = line(100);
    const graph = new CommitGraph(history.reader, undefined, new Set([history.oids[95]]));
    const negotiator = createNegotiator(name, graph);
    await negotiator.addTip(history.oids[99]);
    const places = (await drain(negotiator)).map((oid) => history.oids.indexOf(oid));
    equal(Math.min(...places), 95);
  });
}

async function drain(negotiator: Negotiator): Promise<Oid[]> {
  const offered: Oid[] = [];
  for (let oid = await negotiator.next(); oid !== undefined; oid = await negotiator.next()) offered.push(oid);
  return offered;
}

function line(count: number): { reader: ObjectReader; oids: Oid[] } {
  const store = memoryStore();
  const oids: Oid[] = [];
  for (let i = 0; i < count; i++) oids.push(store.commit(i === 0 ? [] : [oids[i - 1]], 1000 + i));
  return { reader: store.reader, oids };
}

function memoryStore() {
  const objects = new Map<Oid, GitObject>();
  const add = (object: GitObject) => {
    const oid = objectOid(object.kind, object.content, newSha1);
    objects.set(oid, object);
    return oid;
  };
  const tree = add({ kind: "tree", content: new Uint8Array() });
  let serial = 0;
  return {
    reader: {
      read: (oid: Oid) => Promise.resolve(objects.get(oid)),
      has: (oid: Oid) => Promise.resolve(objects.has(oid)),
    },
    commit(parents: Oid[], date: number): Oid {
      const person = `T <t@example.test> ${date} +0000`;
      const message = `${serial++}\n`;
      return add({
        kind: "commit",
        content: composeCommit({ tree, parents, author: person, committer: person, message }),
      });
    },
  };
}
