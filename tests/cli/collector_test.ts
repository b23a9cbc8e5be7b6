/** The repository collects by itself. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { collectionsOf, startCollector } from "../../cli/serve_collection.ts";
import type { Status } from "../../cli/status_form.ts";
import type { ServedChange } from "../../primary/mod.ts";
import type { CollectionReport, CollectOptions, Oid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { runCommand, serverIn } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;
const oid = (digit: string) => digit.repeat(40) as Oid;

const DONE: CollectionReport = {
  packed: 7,
  dropped: 1,
  removedPacks: 2,
  removedLoose: 3,
  putAside: [],
  unreadable: [],
  aborted: false,
};

/** A repository and a database that only say what they were asked; time passes when the test lets it. */
function world(
  options: { due?: boolean; collect?: (asked: CollectOptions) => Promise<CollectionReport> } = {},
) {
  const asked: CollectOptions[] = [];
  const drawer = new Map<string, unknown>();
  const waits: { ms: number; pass: () => void }[] = [];
  const listeners = new Set<(changes: readonly ServedChange[]) => void>();
  const state = {
    pending: () => [{ txn: 1, moves: [{ name: "refs/heads/main", old: oid("1"), new: oid("2") }] }],
    served: () => ({ main: oid("3"), machine: undefined }),
    zones: () => new Map([["a." as never, { serial: 1, file: "a", heldAt: oid("4") }]]),
  };
  const collections = collectionsOf({
    repository: {
      collectionDue: () => Promise.resolve(options.due ?? true),
      collect: (how) => {
        asked.push(how);
        return options.collect?.(how) ?? Promise.resolve(DONE);
      },
    },
    state,
    graceMs: 5000,
    now: () => 1_700_000_000_000,
  });
  return {
    asked,
    drawer,
    waits,
    collections,
    changed: () => listeners.forEach((listener) => listener([])),
    start: () =>
      startCollector({
        collections,
        notes: {
          get: (key) => drawer.get(key),
          put: (key, value) => void drawer.set(key, value),
          list: () => drawer,
          delete: (key) => drawer.delete(key),
        },
        primary: {
          subscribe: (listener) => {
            listeners.add(listener);
            return () => void listeners.delete(listener);
          },
        },
        now: () => 1_700_000_000_000,
        wait: (ms, signal) =>
          new Promise((resolve) => {
            if (signal.aborted) return resolve();
            signal.addEventListener("abort", () => resolve());
            waits.push({ ms, pass: resolve });
          }),
      }),
  };
}

async function settled(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn === 1000) throw new Error(`does not come true: ${holds}`);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

Deno.test("a collection happens at the start, keeps what unfinished changes and held zones need, and is noted", async () => {
  const w = world();
  const collector = w.start();
  await settled(() => w.waits.length === 1);
  equal(w.asked.length, 1);
  equal(w.asked[0].graceMs, 5000);
  deepEqual([...await w.asked[0].keep?.() ?? []], [oid("3"), oid("1"), oid("2"), oid("4")]);
  deepEqual(w.drawer.get("collection"), {
    at: 1_700_000_000_000,
    outcome:
      "7 objects put into one pack, 3 files and 2 packs taken away, 1 objects dropped that nothing needs",
  });
  await collector.stop();
});

Deno.test("after changes a look is taken, one for a burst; nothing is collected where it is not due", async () => {
  const w = world({ due: false });
  const collector = w.start();
  await settled(() => w.waits.length === 1);
  w.changed();
  w.changed();
  await settled(() => w.waits.length === 2);
  ok(w.waits[1].ms < w.waits[0].ms);
  w.changed();
  w.waits[1].pass();
  await settled(() => w.waits.length === 3);
  equal(w.asked.length, 0);
  await collector.stop();
});

Deno.test("a stop ends a collection under way and begins none", async () => {
  const w = world({
    collect: ({ signal }) =>
      new Promise((resolve) => signal?.addEventListener("abort", () => resolve({ ...DONE, aborted: true }))),
  });
  const collector = w.start();
  await settled(() => w.asked.length === 1);
  await collector.stop();
  equal(w.asked.length, 1);
  match(JSON.stringify(w.drawer.get("collection")), /ended early/);
});

Deno.test("collections happen one at a time, and one that fails does not keep the next", async () => {
  let running = 0;
  let most = 0;
  const w = world({
    collect: async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve));
      running--;
      if (w.asked.length === 1) throw new Error("disk full");
      return DONE;
    },
  });
  const outcomes = await Promise.allSettled([
    w.collections.run(),
    w.collections.run({ full: true }),
    w.collections.run(),
  ]);
  deepEqual(outcomes.map(({ status }) => status), ["rejected", "fulfilled", "fulfilled"]);
  equal(most, 1);
});

realTest("serve packs what lies loose, and git finds all of it", { needs: ["git"] }, async ({ dir }) => {
  const first = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  await first.stop();
  const repository = `${dir}/.bailiwick/zones.git`;
  const git = async (args: string[], stdin?: string) =>
    (await run("git", ["-C", repository, ...args], stdin === undefined ? {} : { stdin })).stdout;
  // Enough loose objects that git too would collect; all of them reachable.
  const script = ["commit refs/heads/big\ncommitter T <t@example.test> 1700000000 +0000\ndata 1\nx\n"];
  for (let at = 0; at < 9000; at++) script.push(`M 100644 inline f${at}\ndata ${String(at).length}\n${at}\n`);
  await git(["-c", "fastimport.unpackLimit=100000", "fast-import", "--quiet"], script.join(""));
  const loose = async () => Number(/^count: (\d+)$/m.exec(await git(["count-objects", "-v"]))?.[1]);
  ok(await loose() > 9000);
  const server = await serverIn(dir, ["--acme", "off"]);
  try {
    const deadline = Date.now() + 60_000;
    let status: Status;
    do {
      await new Promise((resolve) => setTimeout(resolve, 200));
      status = JSON.parse((await runCommand(dir, "status", ["--json"])).stdout);
    } while (status.collection === null && Date.now() < deadline);
    match(status.collection?.outcome ?? server.log(), /^9\d{3} objects put into one pack/);
    match(server.log(), /collection: 9\d{3} objects put into one pack/);
  } finally {
    equal(await server.stop(), 0);
  }
  equal(await loose() < 100, true);
  equal((await git(["fsck", "--full", "--strict"])).replace(/^notice: .*\n/gm, ""), "");
});
