import { deepEqual, equal, match, ok } from "node:assert/strict";
import { nameFrom, RRTYPE } from "../../dns/mod.ts";
import { machinePath } from "../../primary/mod.ts";
import { readPath } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import {
  accepted,
  add,
  assertSound,
  type Fixture,
  named,
  openFixture,
  push,
  remove,
  removeSet,
  serialsOf,
  served,
  update,
  zoneText,
} from "./fixture.ts";

const ZONE = "example.test.";
const TLSA = "_letsencrypt._tcp.www.example.test.";

realTest(
  "a new name goes to the machine branch, one sorted record a line",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    deepEqual(
      await update(fixture, ZONE, add(`${TLSA} 3600 TLSA 3 0 0 02`), add(`${TLSA} 3600 TLSA 0 0 0 01`)),
      {
        rcode: 0,
      },
    );
    deepEqual(served(fixture, ZONE, TLSA), [
      `${TLSA} 3600 IN TLSA 0 0 0 01`,
      `${TLSA} 3600 IN TLSA 3 0 0 02`,
    ]);
    deepEqual(serialsOf(fixture), { [ZONE]: 2 });
    const machine = await fixture.repository.refs.get("refs/heads/machine");
    ok(machine !== undefined);
    const file = await readPath(fixture.repository, machine, machinePath(named(ZONE), named(TLSA)));
    equal(
      new TextDecoder().decode(file),
      `${TLSA} 3600 IN TLSA 0 0 0 01\n${TLSA} 3600 IN TLSA 3 0 0 02\n`,
    );
    const log = await run("git", ["-C", fixture.repository.path, "log", "--format=%an|%s|%b", "machine"]);
    match(
      log.stdout,
      /^Bailiwick\|Update by admin\._update\.\|add _letsencrypt\._tcp\.www\.example\.test\. TLSA/,
    );
    await assertSound(dir);
    await fixture.close();
  },
);

realTest(
  "an update that changes nothing is answered NOERROR and commits nothing",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    equal((await update(fixture, ZONE, remove("none.example.test. 0 A 192.0.2.1"))).rcode, 0);
    equal((await update(fixture, ZONE, add("new.example.test. 60 A 192.0.2.1"))).rcode, 0);
    const machine = await fixture.repository.refs.get("refs/heads/machine");
    equal((await update(fixture, ZONE, add("new.example.test. 60 A 192.0.2.1"))).rcode, 0);
    equal(await fixture.repository.refs.get("refs/heads/machine"), machine);
    deepEqual(serialsOf(fixture), { [ZONE]: 2 });
    await fixture.close();
  },
);

realTest("what is deleted leaves the branch, too", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await zoneFixture(dir);
  equal((await update(fixture, ZONE, add("new.example.test. 60 A 192.0.2.1"))).rcode, 0);
  equal((await update(fixture, ZONE, removeSet("new.example.test.", "A"))).rcode, 0);
  deepEqual(served(fixture, ZONE, "new.example.test."), []);
  const files = await run("git", ["-C", fixture.repository.path, "ls-tree", "-r", "machine"]);
  equal(files.stdout, "");
  await assertSound(dir);
  await fixture.close();
});

realTest(
  "what people wrote is not changed by an update; the refusal names file and line",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    const rows = [
      [add("www.example.test. 60 A 192.0.2.99")],
      [removeSet("www.example.test.", "A")],
      [add("www.example.test. 60 TXT hello")],
      [add("free.example.test. 60 A 192.0.2.1"), remove("www.example.test. 0 A 192.0.2.7")],
    ];
    for (const operations of rows) {
      const outcome = await update(fixture, ZONE, ...operations);
      equal(outcome.rcode, 5);
      match(outcome.ede?.text ?? "", /zones\/example\.test, line 5/);
    }
    deepEqual(serialsOf(fixture), { [ZONE]: 1 });
    equal(await fixture.repository.refs.get("refs/heads/machine"), undefined);
    await fixture.close();
  },
);

realTest(
  "at _acme-challenge a program's records stand beside people's",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir, "_acme-challenge TXT by-hand");
    const name = "_acme-challenge.example.test.";
    equal((await update(fixture, ZONE, add(`${name} 60 TXT token`))).rcode, 0);
    deepEqual(served(fixture, ZONE, name), [`${name} 300 IN TXT "token"`, `${name} 300 IN TXT "by-hand"`]);
    equal((await update(fixture, ZONE, remove(`${name} 0 TXT token`))).rcode, 0);
    deepEqual(served(fixture, ZONE, name), [`${name} 300 IN TXT "by-hand"`]);
    equal((await update(fixture, ZONE, removeSet(name, "TXT"))).rcode, 5);
    await fixture.close();
  },
);

realTest("a push that takes a machine name holds the machine's records back and lists them", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await zoneFixture(dir);
  equal((await update(fixture, ZONE, add("app.example.test. 60 A 192.0.2.1"))).rcode, 0);
  accepted(await push(fixture, { "zones/example.test": zoneText(1, "www A 192.0.2.7", "app CNAME www") }));
  deepEqual(served(fixture, ZONE, "app.example.test."), ["app.example.test. 300 IN CNAME www.example.test."]);
  deepEqual(fixture.primary.zones()[0].heldBack.map((each) => [each.owner, each.type, each.code]), [
    ["app.example.test.", RRTYPE.A, "cname"],
  ]);
  accepted(await push(fixture, { "zones/example.test": zoneText(1, "www A 192.0.2.7") }));
  deepEqual(served(fixture, ZONE, "app.example.test."), ["app.example.test. 60 IN A 192.0.2.1"]);
  deepEqual(fixture.primary.zones()[0].heldBack, []);
  equal(fixture.primary.zones()[0].serial, 4);
  await fixture.close();
});

realTest(
  "rights, zone section and served zones decide in that order",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    accepted(await push(fixture, { "zones/sub.example.test": zoneText(1), "zones/other.test": zoneText(1) }));
    const rcode = async (zone: string, key: string | undefined, owner: string) =>
      (await fixture.primary.update({
        zone: named(zone),
        prerequisites: [],
        operations: [add(`${owner} 60 A 192.0.2.1`)],
        key: key === undefined ? undefined : named(key),
      })).rcode;
    const rows: [string, string | undefined, string, number][] = [
      [ZONE, undefined, "a.example.test.", 5],
      [ZONE, "no-right.", "a.example.test.", 5],
      [ZONE, "k._transfer.example.test.", "a.example.test.", 5],
      [ZONE, "k._update.other.test.", "a.example.test.", 5],
      [ZONE, "k._update.sub.example.test.", "a.sub.example.test.", 5],
      [ZONE, "k._update.example.test.", "a.other.test.", 10],
      ["foreign.test.", "k._update.", "a.foreign.test.", 9],
      ["test.", "k._update.", "a.foreign.test.", 9],
      ["test.", "k._update.test.", "b.example.test.", 0],
      [".", "k._update.", "c.example.test.", 0],
      ["deep.example.test.", "k._update.example.test.", "d.deep.example.test.", 0],
      ["sub.example.test.", "k._update.sub.example.test.", "e.sub.example.test.", 0],
    ];
    for (const [zone, key, owner, expected] of rows) {
      equal(await rcode(zone, key, owner), expected, `${zone} ${key} ${owner}`);
    }
    deepEqual(served(fixture, "sub.example.test.", "e.sub.example.test.").length, 1);
    deepEqual(served(fixture, ZONE, "e.sub.example.test."), []);
    await fixture.close();
  },
);

realTest(
  "one update may change several zones, and none when one refuses",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    accepted(await push(fixture, { "zones/other.test": zoneText(1, "fixed A 192.0.2.1") }));
    const both = [add("x.example.test. 60 A 192.0.2.1"), add("x.other.test. 60 A 192.0.2.1")];
    equal((await update(fixture, "test.", ...both)).rcode, 0);
    deepEqual(serialsOf(fixture), { "example.test.": 2, "other.test.": 2 });
    const half = [add("y.example.test. 60 A 192.0.2.1"), removeSet("fixed.other.test.", "A")];
    equal((await update(fixture, "test.", ...half)).rcode, 5);
    deepEqual(serialsOf(fixture), { "example.test.": 2, "other.test.": 2 });
    await fixture.close();
  },
);

realTest(
  "prerequisites are held against what is served, both layers",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    equal((await update(fixture, ZONE, add("m.example.test. 60 A 192.0.2.1"))).rcode, 0);
    const ask = async (prerequisite: Parameters<Fixture["primary"]["update"]>[0]["prerequisites"][number]) =>
      (await fixture.primary.update({
        zone: named(ZONE),
        prerequisites: [prerequisite],
        operations: [],
        key: nameFrom("k._update."),
      })).rcode;
    equal(await ask({ kind: "name-in-use", owner: named("m.example.test.") }), 0);
    equal(await ask({ kind: "name-in-use", owner: named("www.example.test.") }), 0);
    equal(await ask({ kind: "name-in-use", owner: named("q.example.test.") }), 3);
    equal(await ask({ kind: "name-not-in-use", owner: named("www.example.test.") }), 6);
    equal(await ask({ kind: "rrset-absent", owner: named("www.example.test."), type: RRTYPE.A }), 7);
    equal(await ask({ kind: "rrset-exists", owner: named("www.example.test."), type: RRTYPE.TXT }), 8);
    equal(await ask({ kind: "name-in-use", owner: named("m.other.test.") }), 10);
    await fixture.close();
  },
);

realTest("the judge may refuse an update or give other operations", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir, {
    judge: (operations, key) =>
      key === nameFrom("bad._update.")
        ? { ok: false, rcode: 5, reason: "outside the key's scope" }
        : { ok: true, operations: operations.slice(0, 1) },
  });
  accepted(await push(fixture, { "zones/example.test": zoneText(1) }));
  const operations = [add("x.example.test. 60 A 192.0.2.1"), add("y.example.test. 60 A 192.0.2.1")];
  const request = { zone: named(ZONE), prerequisites: [], operations };
  deepEqual(await fixture.primary.update({ ...request, key: nameFrom("bad._update.") }), {
    rcode: 5,
    ede: { code: 18, text: "outside the key's scope" },
  });
  equal((await fixture.primary.update({ ...request, key: nameFrom("good._update.") })).rcode, 0);
  equal(served(fixture, ZONE, "x.example.test.").length, 1);
  equal(served(fixture, ZONE, "y.example.test.").length, 0);
  await fixture.close();
});

realTest("the provisioner's changes touch the machine layer alone", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await zoneFixture(dir, "_acme-challenge TXT by-hand");
  const by = { author: "Bailiwick provisioner", message: "Present a challenge" };
  const name = "_acme-challenge.example.test.";
  const done = await fixture.primary.change([add(`${name} 60 TXT token`)], by);
  ok(done.ok);
  deepEqual([...done.value.serials], [[ZONE, 2]]);
  equal(served(fixture, ZONE, name).length, 2);
  ok((await fixture.primary.change([removeSet(name, "TXT")], by)).ok);
  deepEqual(served(fixture, ZONE, name), [`${name} 300 IN TXT "by-hand"`]);
  const nothing = await fixture.primary.change([removeSet(name, "TXT")], by);
  ok(nothing.ok && nothing.value.serials.size === 0);
  const foreign = await fixture.primary.change([add("x.foreign.test. 60 TXT a")], by);
  ok(!foreign.ok && foreign.error.code === "not-served");
  const log = await run("git", ["-C", fixture.repository.path, "log", "-1", "--format=%an|%s", "machine"]);
  equal(log.stdout, "Bailiwick provisioner|Present a challenge\n");
  await fixture.close();
});

realTest("an update that would be held back is refused", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await zoneFixture(dir, "old DNAME other.test.");
  const outcome = await update(fixture, ZONE, add("x.old.example.test. 60 A 192.0.2.1"));
  equal(outcome.rcode, 5);
  match(outcome.ede?.text ?? "", /DNAME/);
  await fixture.close();
});

realTest("each step of a zone is kept as an exact difference", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await zoneFixture(dir);
  equal((await update(fixture, ZONE, add("a.example.test. 60 A 192.0.2.1"))).rcode, 0);
  equal((await update(fixture, ZONE, add("a.example.test. 60 A 192.0.2.2"))).rcode, 0);
  accepted(await push(fixture, { "zones/example.test": zoneText(1) }));
  const chain = fixture.primary.journal(named(ZONE), 1);
  deepEqual(
    chain?.map((delta) => [delta.from, delta.to, delta.deleted.length, delta.added.length]),
    [[1, 2, 1, 2], [2, 3, 1, 2], [3, 4, 2, 1]],
  );
  for (const delta of chain ?? []) {
    equal(delta.deleted[0].type, RRTYPE.SOA);
    equal(delta.added[0].type, RRTYPE.SOA);
  }
  deepEqual(fixture.primary.journal(named(ZONE), 4), []);
  equal(fixture.primary.journal(named(ZONE), 77), undefined);
  equal(fixture.primary.journal(named("none.test."), 1), undefined);
  await fixture.close();
});

realTest(
  "updates that come together are made one after the other, and none is lost",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await zoneFixture(dir);
    const names = Array.from({ length: 20 }, (_, at) => `h${at}.example.test.`);
    const outcomes = await Promise.all(
      names.map((name) => update(fixture, ZONE, add(`${name} 60 A 192.0.2.1`))),
    );
    ok(outcomes.every((outcome) => outcome.rcode === 0));
    for (const name of names) equal(served(fixture, ZONE, name).length, 1, name);
    deepEqual(serialsOf(fixture), { [ZONE]: 21 });
    await assertSound(dir);
    await fixture.close();
  },
);

async function zoneFixture(dir: string, ...lines: string[]): Promise<Fixture> {
  const fixture = await openFixture(dir);
  accepted(await push(fixture, { "zones/example.test": zoneText(1, "www A 192.0.2.7", ...lines) }));
  return fixture;
}
