import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { COMMIT_STEPS, type CommitStep } from "../../primary/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import {
  accepted,
  add,
  assertSound,
  commitWithGit,
  type Fixture,
  openFixture,
  push,
  serialsOf,
  served,
  update,
  zoneText,
} from "./fixture.ts";

const ZONE = "example.test.";

/** Steps before which a change never happened; at and after the commit point it did. */
const BEFORE = new Set<CommitStep>(["objects-synced"]);

for (const step of COMMIT_STEPS) {
  realTest(
    `a push during which the process dies at "${step}" is whole or never was`,
    { needs: ["git"] },
    async ({ dir }) => {
      const before = await openFixture(dir);
      const first = await push(before, { "example.test.zone": zoneText(1, "www A 192.0.2.1") });
      accepted(first);
      await before.close();

      const dying = await openFixture(dir, { dieAt: { step, nth: 1 } });
      const second = await push(dying, { "example.test.zone": zoneText(1, "www A 192.0.2.2") });
      ok([...second.reply.results.values()].every((result) => !result.ok), "nothing was acknowledged");
      if (step !== "published") {
        deepEqual(served(dying, ZONE, "www.example.test."), ["www.example.test. 300 IN A 192.0.2.1"]);
      }
      await dying.close();

      const after = await openFixture(dir);
      const happened = !BEFORE.has(step);
      const [main, address, serial] = happened
        ? [second.commit, "192.0.2.2", 2]
        : [first.commit, "192.0.2.1", 1];
      equal(await after.repository.refs.get("refs/heads/main"), main);
      deepEqual(served(after, ZONE, "www.example.test."), [`www.example.test. 300 IN A ${address}`]);
      deepEqual(serialsOf(after), { [ZONE]: serial });
      equal(after.state.pending().length, 0);
      equal(after.primary.journal(nameFrom(ZONE), 1)?.length, happened ? 1 : 0);
      await assertSound(dir);
      accepted(await push(after, { "example.test.zone": zoneText(1, "www A 192.0.2.3") }));
      deepEqual(serialsOf(after), { [ZONE]: serial + 1 });
      await after.close();
    },
  );

  realTest(
    `an update during which the process dies at "${step}" is whole or never was`,
    { needs: ["git"] },
    async ({ dir }) => {
      const before = await openFixture(dir);
      accepted(await push(before, { "example.test.zone": zoneText(1) }));
      equal((await update(before, ZONE, add("kept.example.test. 60 A 192.0.2.1"))).rcode, 0);
      await before.close();

      const dying = await openFixture(dir, { dieAt: { step, nth: 1 } });
      equal((await update(dying, ZONE, add("new.example.test. 60 A 192.0.2.2"))).rcode, 2);
      equal(
        (await update(dying, ZONE, add("more.example.test. 60 A 192.0.2.2"))).rcode,
        2,
        "nothing goes on",
      );
      await dying.close();

      const after = await openFixture(dir);
      const happened = !BEFORE.has(step);
      equal(served(after, ZONE, "new.example.test.").length, happened ? 1 : 0);
      equal(served(after, ZONE, "kept.example.test.").length, 1);
      equal(served(after, ZONE, "more.example.test.").length, 0);
      deepEqual(serialsOf(after), { [ZONE]: happened ? 3 : 2 });
      await assertSound(dir);
      await after.close();
    },
  );
}

realTest("a move left under way is void when its ref is elsewhere by now, with all that went with it", {
  needs: ["git"],
}, async ({ dir }) => {
  const before = await openFixture(dir);
  const first = await push(before, { "example.test.zone": zoneText(1, "www A 192.0.2.1") });
  await before.close();
  const dying = await openFixture(dir, { dieAt: { step: "committed", nth: 1 } });
  await push(dying, { "example.test.zone": zoneText(1, "www A 192.0.2.2") });
  await dying.close();
  const other = await commitWithGit(`${dir}/zones.git`, { README: "by hand" }, first.commit);
  await run("git", ["-C", `${dir}/zones.git`, "update-ref", "refs/heads/main", other]);

  const after = await openFixture(dir);
  ok(after.log.some((line) => line.includes("is void")), after.log.join("\n"));
  equal(await after.repository.refs.get("refs/heads/main"), other);
  deepEqual(served(after, ZONE, "www.example.test."), ["www.example.test. 300 IN A 192.0.2.1"]);
  deepEqual(serialsOf(after), { [ZONE]: 1 });
  deepEqual(after.primary.journal(nameFrom(ZONE), 1), []);
  await after.close();
});

realTest(
  "what a hand did to main while no server ran is served, zone by zone",
  { needs: ["git"] },
  async ({ dir }) => {
    const before = await openFixture(dir);
    const first = await push(before, {
      "a.test.zone": zoneText(1),
      "b.test.zone": zoneText(1, "old A 192.0.2.1"),
    });
    await before.close();
    const other = await commitWithGit(`${dir}/zones.git`, {
      "a.test.zone": zoneText(1, "new A 192.0.2.1"),
      "b.test.zone": "broken",
      "c.test.zone": "never good",
    }, first.commit);
    await run("git", ["-C", `${dir}/zones.git`, "update-ref", "refs/heads/main", other]);

    for (let start = 0; start < 2; start++) {
      const after = await openFixture(dir);
      deepEqual(after.primary.zones().map((zone) => [zone.name, zone.state, zone.serial, zone.main]), [
        ["a.test.", "good", 2, other],
        ["b.test.", "held", 1, first.commit],
        ["c.test.", "broken", 0, other],
      ]);
      equal(served(after, "a.test.", "new.a.test.").length, 1);
      equal(served(after, "b.test.", "old.b.test.").length, 1);
      equal(after.image.get(nameFrom("c.test."))?.broken, true);
      await after.close();
    }

    const mended = await openFixture(dir);
    accepted(
      await push(mended, { "b.test.zone": zoneText(1, "old A 192.0.2.2"), "c.test.zone": zoneText(5) }),
    );
    deepEqual(serialsOf(mended), { "a.test.": 2, "b.test.": 2, "c.test.": 5 });
    ok(mended.primary.zones().every((zone) => zone.state === "good"));
    await mended.close();
  },
);

realTest(
  "a lost or unreadable state.db stops nothing, and no serial falls",
  { needs: ["git"] },
  async ({ dir }) => {
    const ways: [string, () => Promise<void>][] = [
      ["lost", () => Deno.remove(`${dir}/state.db`)],
      [
        "garbage",
        () => Deno.writeTextFile(`${dir}/state.db`, "this is no database, it is a sentence\n".repeat(300)),
      ],
      ["cut", async () => {
        const file = await Deno.open(`${dir}/state.db`, { write: true });
        await file.truncate(5000);
        file.close();
      }],
      ["overwritten in the middle", async () => {
        const file = await Deno.open(`${dir}/state.db`, { write: true });
        await file.seek(4096, Deno.SeekMode.Start);
        await file.write(new Uint8Array(8192).fill(0x5a));
        file.close();
      }],
    ];
    let before: Record<string, number> = {};
    const setup = await openFixture(dir);
    accepted(await push(setup, { "example.test.zone": zoneText(1, "www A 192.0.2.1") }));
    for (let at = 0; at < 5; at++) {
      equal((await update(setup, ZONE, add(`h${at}.example.test. 60 A 192.0.2.1`))).rcode, 0);
    }
    before = serialsOf(setup);
    await setup.close();
    for (const [what, damage] of ways) {
      await damage();
      const after = await openFixture(dir);
      const serials = serialsOf(after);
      ok(serials[ZONE] >= before[ZONE], `${what}: ${serials[ZONE]} after ${before[ZONE]}`);
      equal(served(after, ZONE, "www.example.test.").length, 1, what);
      equal(served(after, ZONE, "h4.example.test.").length, 1, what);
      if (what !== "lost") ok(after.log.some((line) => line.includes("cannot be read")), what);
      equal(
        (await update(after, ZONE, add(`${what.replaceAll(" ", "-")}.example.test. 60 A 192.0.2.9`))).rcode,
        0,
      );
      before = serialsOf(after);
      await after.close();
      for (const suffix of ["", "-wal", "-shm"]) {
        await Deno.remove(`${dir}/state.db.unreadable-1${suffix}`).catch(() => {});
      }
    }
    await assertSound(dir);
  },
);

realTest("with the database lost, a zone that is faulty on main is found good in the commits before", {
  needs: ["git"],
}, async ({ dir }) => {
  const before = await openFixture(dir);
  const first = await push(before, { "a.test.zone": zoneText(1, "old A 192.0.2.1") });
  await before.close();
  const bad = await commitWithGit(`${dir}/zones.git`, { "a.test.zone": "broken" }, first.commit);
  await run("git", ["-C", `${dir}/zones.git`, "update-ref", "refs/heads/main", bad]);
  await Deno.remove(`${dir}/state.db`);
  const after = await openFixture(dir);
  equal(served(after, "a.test.", "old.a.test.").length, 1);
  equal(after.primary.zones()[0].state, "held");
  await after.close();
});

realTest("a branch moved by a hand while serving is taken up by the next change that meets it", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await openFixture(dir);
  accepted(await push(fixture, { "example.test.zone": zoneText(1) }));
  equal((await update(fixture, ZONE, add("a.example.test. 60 A 192.0.2.1"))).rcode, 0);
  await run("git", ["-C", `${dir}/zones.git`, "update-ref", "-d", "refs/heads/machine"]);
  equal((await update(fixture, ZONE, add("b.example.test. 60 A 192.0.2.1"))).rcode, 2);
  equal((await update(fixture, ZONE, add("b.example.test. 60 A 192.0.2.1"))).rcode, 0);
  deepEqual([
    served(fixture, ZONE, "a.example.test.").length,
    served(fixture, ZONE, "b.example.test.").length,
  ], [0, 1]);
  await fixture.close();
});

realTest(
  "a database that cannot be written makes changes fail and leaves what is served",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture: Fixture = await openFixture(dir, { dieAt: { step: "objects-synced", nth: 2 } });
    const first = await push(fixture, { "example.test.zone": zoneText(1) });
    accepted(first);
    const second = await push(fixture, { "example.test.zone": zoneText(2, "x A 192.0.2.1") });
    deepEqual([...second.reply.results.values()].map((result) => result.ok), [false]);
    const third = await fixture.primary.adopt(first.commit as Oid);
    ok(!third.ok && third.error.code === "failed");
    deepEqual(serialsOf(fixture), { [ZONE]: 1 });
    await fixture.close();
  },
);
