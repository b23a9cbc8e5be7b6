/** Writers, pushes, moves and collections in any order and at the same time: what is needed is always there. */
import { deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import {
  checkConnectivity,
  composeCommit,
  encodePack,
  encodeTree,
  initRepositoryOn,
  memoryDevice,
  newSha1,
  nodeZlib,
  objectOid,
  runtimeTools,
  utf8,
} from "../../store/mod.ts";
import type { GitObject, Oid, Quarantine, Repository } from "../../store/mod.ts";
import { async } from "./pack_fixture.ts";

const limits = { packBytes: 1e8, objectBytes: 1e7, objects: 1e5, deltaDepth: 4096, deltaWork: 1e9 };
const hour = 3_600_000;

type Step =
  | { readonly do: "commit"; readonly branch: number; readonly text: number; readonly base: number }
  | {
    readonly do: "push";
    readonly branch: number;
    readonly text: number;
    readonly base: number;
    readonly large: boolean;
  }
  | { readonly do: "finish" }
  | { readonly do: "give up" }
  | { readonly do: "delete"; readonly branch: number }
  | { readonly do: "collect"; readonly full: boolean; readonly pauses: number }
  | { readonly do: "await" }
  | { readonly do: "pass"; readonly hours: number };

const small = fc.integer({ min: 0, max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant("commit" as const), branch: small, text: small, base: small }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("push" as const),
      branch: small,
      text: small,
      base: small,
      large: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ do: "finish" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "give up" as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), branch: small }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("collect" as const),
      full: fc.boolean(),
      pauses: fc.integer({ min: 0, max: 60 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ do: "await" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("pass" as const), hours: fc.integer({ min: 1, max: 5 }) }),
  },
);

Deno.test("whatever happens beside a collection, every object that is needed is read", async () => {
  let dropped = 0;
  let packed = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const world = await newWorld();
      for (const each of steps) {
        await world.take(each);
        // A collection that pauses takes a step or two.
        await new Promise((resolve) => setTimeout(resolve, 0));
        await world.check();
      }
      await world.end();
      dropped += world.dropped;
      packed += world.packed;
    }),
    { numRuns: 60, seed: 20240501 },
  );
  // The runs are not about nothing.
  ok(dropped > 100 && packed > 500, `${dropped} dropped, ${packed} packed`);
});

async function newWorld() {
  let now = 1_700_000_000_000;
  const clock = () => now;
  const repository = await initRepositoryOn(memoryDevice({ clock }), { ...runtimeTools, clock });
  const collections = new Set<Promise<void>>();
  let pending: { quarantine: Quarantine; branch: string; tip: Oid } | undefined;
  const counts = { dropped: 0, packed: 0 };

  async function moveTo(branch: string, tip: Oid | undefined): Promise<void> {
    const old = await repository.refs.get(branch);
    if (tip === undefined && old === undefined) return;
    const moved = await repository.refs.move({ name: branch, old, new: tip });
    ok(moved.ok, moved.ok ? "" : moved.error.message);
  }

  async function finish(): Promise<void> {
    if (pending === undefined) return;
    const { quarantine, branch, tip } = pending;
    pending = undefined;
    // What the push counts on may have gone before it was asked for: then the push is refused, and nothing is broken.
    const whole = await checkConnectivity(quarantine, [tip], (oid) => repository.has(oid));
    if (whole.ok) {
      await Promise.resolve();
      await quarantine.migrate();
      await moveTo(branch, tip);
    }
    await quarantine.discard();
  }

  return {
    get dropped() {
      return counts.dropped;
    },
    get packed() {
      return counts.packed;
    },
    async take(step: Step): Promise<void> {
      switch (step.do) {
        case "commit": {
          // The same few contents over and over: often they are there, unreached and old.
          const objects = history(step.text, await repository.refs.get(name(step.base)));
          for (const { kind, content } of objects) await repository.write(kind, content);
          await repository.sync();
          return await moveTo(name(step.branch), tipOf(objects));
        }
        case "push": {
          if (pending !== undefined) return;
          const objects = history(
            step.text,
            await repository.refs.get(name(step.base)),
            step.large ? 110 : 0,
          );
          const quarantine = await repository.quarantine();
          const pack = encodePack(objects, objects.length, { zlib: nodeZlib, newSha1 });
          ok((await quarantine.receivePack(async(await Array.fromAsync(pack)), limits)).ok);
          pending = { quarantine, branch: name(step.branch), tip: tipOf(objects) };
          return;
        }
        case "finish":
          return await finish();
        case "give up":
          await pending?.quarantine.discard();
          pending = undefined;
          return;
        case "delete":
          return await moveTo(name(step.branch), undefined);
        case "collect": {
          // Others run between any two of its steps.
          let pauses = step.pauses;
          const collection = repository.collect({
            graceMs: hour,
            now,
            full: step.full,
            pause: () => pauses-- > 0 ? new Promise((resolve) => setTimeout(resolve, 0)) : Promise.resolve(),
          }).then((report) => {
            counts.dropped += report.dropped;
            counts.packed += report.packed;
            deepEqual([report.unreadable, report.putAside], [[], []]);
          }).finally(() => collections.delete(collection));
          collections.add(collection);
          return;
        }
        case "await":
          await Promise.all(collections);
          return;
        case "pass":
          now += step.hours * hour;
          return;
      }
    },
    /** Every object that the refs lead to, read from its start to its end. */
    async check(): Promise<void> {
      const tips = (await repository.refs.list()).values();
      const whole = await checkConnectivity(allRead(repository), tips, () => Promise.resolve(false));
      ok(whole.ok, whole.ok ? "" : whole.error.message);
    },
    async end(): Promise<void> {
      await finish();
      await Promise.all(collections);
      await this.check();
      // With a grace that is over, all that is left is what is needed.
      now += 10 * hour;
      await repository.collect({ graceMs: hour, now, full: true });
      await this.check();
      repository.close();
    },
  };
}

/** Without kinds known beforehand, so that blobs are read too. */
function allRead(repository: Repository) {
  return { read: (oid: Oid) => repository.read(oid), has: (oid: Oid) => repository.has(oid) };
}

function name(branch: number): string {
  return `refs/heads/b${branch}`;
}

/** A blob or many, a tree of them, a commit on a parent; each after what it refers to. */
function history(text: number, parent: Oid | undefined, more = 0): GitObject[] {
  const blobs = Array.from({ length: 2 + more }, (_, i): GitObject => ({
    kind: "blob",
    content: utf8(`content ${text} ${i}\n`),
  }));
  const entries = blobs.map((blob, i) => ({
    mode: "100644",
    name: utf8(`f${String(i).padStart(3, "0")}`),
    oid: objectOid(blob.kind, blob.content, newSha1),
  }));
  const tree: GitObject = { kind: "tree", content: encodeTree(entries) };
  const who = "Test <test@example.test> 1700000000 +0000";
  const commit = composeCommit({
    tree: objectOid("tree", tree.content, newSha1),
    parents: parent === undefined ? [] : [parent],
    author: who,
    committer: who,
    message: `text ${text}\n`,
  });
  return [...blobs, tree, { kind: "commit", content: commit }];
}

function tipOf(objects: readonly GitObject[]): Oid {
  const tip = objects.at(-1);
  if (tip === undefined) throw new Error("no objects");
  return objectOid(tip.kind, tip.content, newSha1);
}
