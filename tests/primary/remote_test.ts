import { deepEqual, equal, match, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { createRemoteFollower, type FollowerOptions } from "../../primary/mod.ts";
import type { Oid } from "../../store/mod.ts";
import { realTest } from "../tools/real.ts";
import {
  add,
  assertSound,
  commitWithGit,
  openFixture,
  push,
  reasons,
  served,
  update,
  zoneText,
} from "./fixture.ts";

const UPSTREAM = "ssh://git@upstream.test/zones.git";
const REMOTE = { mode: { kind: "remote", upstream: UPSTREAM } } as const;

realTest("a pull goes zone by zone: a faulty zone stays at its last good, the others advance", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await openFixture(dir, REMOTE);
  const commit = (files: Record<string, string | undefined>, parent?: Oid) =>
    commitWithGit(fixture.repository.path, files, parent);
  const first = await commit({ "a.test.zone": zoneText(1), "b.test.zone": zoneText(1, "old A 192.0.2.1") });
  ok((await fixture.primary.adopt(first)).ok);
  const second = await commit({
    "a.test.zone": zoneText(1, "new A 192.0.2.1"),
    "b.test.zone": zoneText(9, "x A no"),
    "c.test.zone": "never good",
  }, first);
  const adopted = await fixture.primary.adopt(second, { track: "refs/remotes/upstream/main" });
  ok(adopted.ok);
  deepEqual([...adopted.value.serials], [["a.test.", 2]]);
  equal(adopted.value.faults.filter((fault) => fault.severity === "error").length, 3);
  equal(await fixture.repository.refs.get("refs/heads/main"), second);
  equal(await fixture.repository.refs.get("refs/remotes/upstream/main"), second);
  deepEqual(fixture.primary.zones().map((zone) => [zone.name, zone.state, zone.serial, zone.main]), [
    ["a.test.", "good", 2, second],
    ["b.test.", "held", 1, first],
    ["c.test.", "broken", 0, second],
  ]);
  equal(served(fixture, "b.test.", "old.b.test.").length, 1);
  equal(fixture.image.get(nameFrom("c.test."))?.broken, true);

  equal(
    (await update(fixture, "b.test.", add("m.b.test. 60 A 192.0.2.1"))).rcode,
    0,
    "a held zone takes updates",
  );
  equal((await update(fixture, "c.test.", add("m.c.test. 60 A 192.0.2.1"))).rcode, 2);
  await fixture.close();

  const again = await openFixture(dir, REMOTE);
  deepEqual(again.primary.zones().map((zone) => [zone.name, zone.state, zone.serial]), [
    ["a.test.", "good", 2],
    ["b.test.", "held", 2],
    ["c.test.", "broken", 0],
  ]);
  equal(served(again, "b.test.", "m.b.test.").length, 1);
  await assertSound(dir);
  await again.close();
});

realTest("a zone in two files stays at its last good", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir, REMOTE);
  const first = await commitWithGit(fixture.repository.path, { "a.test.zone": zoneText(1) }, undefined);
  ok((await fixture.primary.adopt(first)).ok);
  const second = await commitWithGit(fixture.repository.path, {
    "0/a.test.zone": zoneText(9, "x A 192.0.2.1"),
  }, first);
  ok((await fixture.primary.adopt(second)).ok);
  deepEqual(fixture.primary.zones().map((zone) => [zone.state, zone.serial, zone.faults[0].code]), [
    ["held", 1, "duplicate-zone"],
  ]);
  await fixture.close();
});

realTest(
  "an upstream that was forced back is taken as it is, under a higher serial",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir, REMOTE);
    const first = await commitWithGit(fixture.repository.path, { "a.test.zone": zoneText(10) }, undefined);
    const second = await commitWithGit(fixture.repository.path, {
      "a.test.zone": zoneText(11, "x A 192.0.2.1"),
    }, first);
    ok((await fixture.primary.adopt(second)).ok);
    ok((await fixture.primary.adopt(first)).ok);
    equal(fixture.primary.zones()[0].serial, 12);
    deepEqual(served(fixture, "a.test.", "x.a.test."), []);
    await fixture.close();
  },
);

realTest(
  "pushes to main are refused naming the upstream, other refs are stored",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir, REMOTE);
    deepEqual(reasons(await push(fixture, { "a.test.zone": zoneText(1) })), [
      `branch main follows ${UPSTREAM}; push there`,
    ]);
    deepEqual(reasons(await push(fixture, { "a.test.zone": zoneText(1) }, { ref: "refs/heads/topic" })), [
      "ok",
    ]);
    await fixture.close();
  },
);

realTest(
  "while the upstream is away the local copy is served, and how old it is is said",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir, REMOTE);
    const first = await commitWithGit(fixture.repository.path, { "a.test.zone": zoneText(1) }, undefined);
    const second = await commitWithGit(fixture.repository.path, {
      "a.test.zone": zoneText(2, "x A 192.0.2.1"),
    }, first);
    let now = 1_000_000;
    let upstream: Oid | "away" | "throws" = first;
    const due: (() => void)[] = [];
    const options: FollowerOptions = {
      primary: fixture.primary,
      fetch: () => {
        if (upstream === "throws") return Promise.reject(new Error("the flow broke"));
        if (upstream === "away") {
          return Promise.resolve({
            ok: false,
            error: { message: "connection refused" },
          });
        }
        return Promise.resolve({ ok: true, value: upstream });
      },
      upstream: UPSTREAM,
      branch: "main",
      poll: 60_000,
      clock: () => now,
      timer: (callback) => {
        due.push(callback);
        return () => due.splice(due.indexOf(callback), 1);
      },
      log: {
        info: (text) => fixture.log.push(text),
        warn: (text) => fixture.log.push(text),
        error: (text) => fixture.log.push(text),
      },
    };
    const follower = createRemoteFollower(options);
    await follower.start();
    equal(follower.status().commit, first);
    equal(follower.status().age, 0);
    equal(due.length, 1);

    upstream = "away";
    now += 5_000;
    deepEqual(await follower.pull(), { kind: "away", reason: "connection refused" });
    equal(follower.status().age, 5_000);
    equal(follower.status().trouble, "connection refused");
    match(fixture.log.join("\n"), /connection refused.*5 s old/);
    equal(fixture.image.size, 1);
    upstream = "throws";
    equal((await follower.pull()).kind, "away");

    upstream = second;
    const [one, two, three] = await Promise.all([follower.pull(), follower.pull(), follower.pull()]);
    deepEqual([one.kind, two.kind, three.kind], ["advanced", "current", "current"]);
    equal(follower.status().trouble, undefined);
    equal(served(fixture, "a.test.", "x.a.test.").length, 1);
    follower.stop();
    equal(due.length, 0);
    await fixture.close();

    const again = await openFixture(dir, REMOTE);
    const start = createRemoteFollower({ ...options, primary: again.primary });
    upstream = "away";
    await start.start();
    equal(served(again, "a.test.", "x.a.test.").length, 1);
    equal(start.status().age, undefined);
    start.stop();
    await again.close();
  },
);
