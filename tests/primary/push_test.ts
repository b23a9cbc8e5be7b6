import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { realTest } from "../tools/real.ts";
import {
  accepted,
  add,
  assertSound,
  commitWithGit,
  openFixture,
  push,
  reasons,
  serialsOf,
  served,
  update,
  zoneText,
} from "./fixture.ts";

realTest(
  "a first push to an empty main is served under the file's serial",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    const first = await push(fixture, { "zones/example.test": zoneText(2024, "www A 192.0.2.7") });
    accepted(first);
    deepEqual(first.said, ["example.test. served with serial 2024, 4 records in its file\n"]);
    deepEqual(served(fixture, "example.test.", "www.example.test."), [
      "www.example.test. 300 IN A 192.0.2.7",
    ]);
    deepEqual(serialsOf(fixture), { "example.test.": 2024 });
    equal(await fixture.repository.refs.get("refs/heads/main"), first.commit);
    await assertSound(dir);
    await fixture.close();
  },
);

realTest("a push with faults says all of them and changes nothing", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir);
  const good = await push(fixture, { "zones/example.test": zoneText(1, "www A 192.0.2.7") });
  const bad = await push(fixture, {
    "zones/example.test": zoneText(2, "www A 192.0.2.8", "x A nonsense", "www CNAME ns1"),
    "zones/other.test": "@ 60 NS ns\n@ 60 IN SOA a b 1 1 1 1 1\ny TXT\n",
    "third.test.zone": "\n",
  });
  deepEqual(reasons(bad), ["4 faults"]);
  const places = bad.said.map((line) => line.split(": ").slice(0, 2).join(" "));
  deepEqual(places, [
    "third.test.zone:1:1 error",
    "zones/example.test:6:5 error",
    "zones/example.test:7:1 error",
    "zones/other.test:3:6 error",
  ]);
  equal(await fixture.repository.refs.get("refs/heads/main"), good.commit);
  deepEqual(served(fixture, "example.test.", "www.example.test."), ["www.example.test. 300 IN A 192.0.2.7"]);
  deepEqual(serialsOf(fixture), { "example.test.": 1 });
  deepEqual([...fixture.image.keys()], ["example.test."]);
  await fixture.close();
});

realTest("serials rise when what is served changes, and only then", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir);
  const steps: [string, number][] = [
    [zoneText(10, "www A 192.0.2.7"), 10],
    [zoneText(10, "www A 192.0.2.8"), 11],
    [zoneText(10, "; a comment", "www   A   192.0.2.8"), 11],
    [zoneText(99, "www A 192.0.2.8"), 11],
    [zoneText(99, "www A 192.0.2.9"), 99],
    [zoneText(5, "www A 192.0.2.10"), 100],
    [zoneText(0xffffffff, "www A 192.0.2.11"), 101],
    [zoneText(2147483748, "www A 192.0.2.12"), 2147483748],
    [zoneText(4294967295, "www A 192.0.2.13"), 4294967295],
    [zoneText(4294967295, "www A 192.0.2.14"), 1],
    [zoneText(4294967295, "www A 192.0.2.15"), 2],
  ];
  for (const [text, serial] of steps) {
    accepted(await push(fixture, { "example.test.zone": text }));
    equal(fixture.primary.zones()[0].serial, serial, text);
    equal(fixture.image.get(nameFrom("example.test."))?.serial, serial);
  }
  await fixture.close();
});

realTest(
  "a zone that went away and comes back goes on from its old serial",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    accepted(await push(fixture, { "example.test.zone": zoneText(50), README: "x" }));
    const gone = await push(fixture, { "example.test.zone": undefined });
    accepted(gone);
    deepEqual(gone.said, ["example.test. is no longer served\n"]);
    equal(fixture.image.size, 0);
    accepted(await push(fixture, { "example.test.zone": zoneText(3) }));
    deepEqual(serialsOf(fixture), { "example.test.": 51 });
    await fixture.close();
  },
);

realTest("only what the change touches is served anew, includes too", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir);
  const including = (serial: number) => zoneText(serial, "$INCLUDE shared/mail");
  accepted(
    await push(fixture, {
      "zones/a.test": including(1),
      "zones/b.test": including(1),
      "zones/c.test": zoneText(1),
      "zones/shared/mail": "@ MX 10 mx.other.test.\n",
    }),
  );
  fixture.changes.length = 0;
  accepted(await push(fixture, { "zones/shared/mail": "@ MX 20 mx.other.test.\n" }));
  deepEqual(fixture.changes.map((change) => [change.zone, change.previousSerial, change.serial]), [
    ["a.test.", 1, 2],
    ["b.test.", 1, 2],
  ]);
  const bad = await push(fixture, { "zones/shared/mail": "@ MX 20 .. \n" });
  deepEqual(reasons(bad), ["2 faults"]);
  ok(bad.said.every((line) => line.startsWith("zones/shared/mail:1:")));
  const missing = await push(fixture, { "zones/shared/mail": undefined });
  deepEqual(missing.said.map((line) => line.split(": ")[0]), ["zones/a.test:5:10", "zones/b.test:5:10"]);
  await fixture.close();
});

realTest(
  "refs that are not the pusher's to move are refused, all or nothing",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    const first = await push(fixture, { "example.test.zone": zoneText(1) });
    accepted(first);
    const text = { "example.test.zone": zoneText(2, "x A 192.0.2.1") };
    match(reasons(await push(fixture, text, { ref: "refs/heads/machine" }))[0], /machine is the server's/);
    match(reasons(await push(fixture, text, { ref: "refs/bailiwick/serials" }))[0], /is the server's|stale/);
    match(reasons(await push(fixture, text, { old: undefined }))[0], /stale/);
    match(reasons(await push(fixture, text, { base: "none" }))[0], /non-fast-forward/);
    const commit = await commitWithGit(fixture.repository.path, text, first.commit);
    const both = await fixture.primary.admitPush({
      moves: [
        { name: "refs/heads/main", old: first.commit, new: commit },
        { name: "refs/heads/gone", old: first.commit, new: undefined },
      ],
      objects: fixture.repository,
      pushOptions: [],
      migrate: () => Promise.reject(new Error("migrated")),
      say: () => Promise.resolve(),
    }, "tester");
    deepEqual([...both.results.values()].map((result) => result.ok), [false, false]);
    deepEqual(serialsOf(fixture), { "example.test.": 1 });
    equal(await fixture.repository.refs.get("refs/heads/main"), first.commit);
    await fixture.close();
  },
);

realTest("other refs are stored and never served", { needs: ["git"] }, async ({ dir }) => {
  const fixture = await openFixture(dir);
  const topic = await push(fixture, { "example.test.zone": "nonsense" }, { ref: "refs/heads/topic" });
  accepted(topic);
  equal(await fixture.repository.refs.get("refs/heads/topic"), topic.commit);
  equal(fixture.image.size, 0);
  await assertSound(dir);
  await fixture.close();
});

realTest(
  "links in the tree are no zone files, and a huge name set is no trouble",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    accepted(await push(fixture, { "evil.test.zone": "link:/etc/passwd", ["__proto__.zone"]: zoneText(1) }));
    deepEqual([...fixture.image.keys()], ["__proto__."]);
    await fixture.close();
  },
);

realTest("a pre-signed zone is served as written, and changed content needs a higher serial", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await openFixture(dir);
  const signed = (serial: number, ...lines: string[]) =>
    zoneText(
      serial,
      "@ DNSKEY 257 3 13 AAAA",
      "@ RRSIG SOA 13 2 300 20300101000000 20200101000000 1 example.test. AAAA",
      ...lines,
    );
  accepted(await push(fixture, { "example.test.zone": signed(7) }));
  const unraised = await push(fixture, { "example.test.zone": signed(7, "www A 192.0.2.1") });
  deepEqual(reasons(unraised), ["1 fault"]);
  match(unraised.said[0], /^example\.test\.zone:2:1: error: the pre-signed zone example\.test\. changed/);
  accepted(await push(fixture, { "example.test.zone": signed(9, "www A 192.0.2.1") }));
  deepEqual(serialsOf(fixture), { "example.test.": 9 });
  const refused = await update(fixture, "example.test.", add("x.example.test. 60 A 192.0.2.1"));
  equal(refused.rcode, 5);
  match(refused.ede?.text ?? "", /pre-signed/);
  await fixture.close();
});

realTest(
  "a pusher who goes away after the commit point has pushed all the same",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    const commit = await commitWithGit(
      fixture.repository.path,
      { "example.test.zone": zoneText(1) },
      undefined,
    );
    const reply = await fixture.primary.admitPush({
      moves: [{ name: "refs/heads/main", old: undefined, new: commit }],
      objects: fixture.repository,
      pushOptions: [],
      migrate: () => Promise.resolve(),
      say: () => Promise.reject(new Error("the flow is closed")),
    }, "tester");
    deepEqual([...reply.results.values()], [{ ok: true }]);
    deepEqual(serialsOf(fixture), { "example.test.": 1 });
    await fixture.close();
  },
);

realTest(
  "keys of _keys files are known once they are pushed, and after a restart",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    accepted(
      await push(fixture, {
        "_keys": "admin._update. DNSKEY 0 3 163 c2VjcmV0c2VjcmV0\n",
        "example.test._keys": "client._update.example.test. DNSKEY 0 3 165 c2VjcmV0\n",
      }),
    );
    const keys = (from: typeof fixture) =>
      from.primary.keys().map((
        { name, algorithm, secret },
      ) => [name, algorithm, new TextDecoder().decode(secret)]);
    const expected = [
      ["admin._update.", "hmac-sha256", "secretsecret"],
      ["client._update.example.test.", "hmac-sha512", "secret"],
    ];
    deepEqual(keys(fixture), expected);
    deepEqual(reasons(await push(fixture, { "_keys": "admin._update. 60 A 192.0.2.1\n" })), ["1 fault"]);
    deepEqual(keys(fixture), expected);
    await fixture.close();
    const again = await openFixture(dir);
    deepEqual(keys(again), expected);
    await again.close();
  },
);

realTest("a ref that cannot be moved voids the change, and the next one goes through", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await openFixture(dir);
  accepted(
    await push(fixture, {
      "example.test.zone": zoneText(1),
      "_keys": "admin._update. DNSKEY 0 3 163 c2Vj\n",
    }),
  );
  // A folder where git's lock file belongs: the ref cannot be moved.
  await Deno.mkdir(`${dir}/zones.git/refs/heads/main.lock`);
  const blocked = await push(fixture, { "example.test.zone": zoneText(1, "www A 192.0.2.1") });
  notEqual(reasons(blocked)[0], "ok");
  deepEqual(served(fixture, "example.test.", "www.example.test."), []);
  deepEqual(serialsOf(fixture), { "example.test.": 1 });
  deepEqual(fixture.primary.journal(nameFrom("example.test."), 1), []);
  await Deno.remove(`${dir}/zones.git/refs/heads/main.lock`);
  accepted(await push(fixture, { "example.test.zone": zoneText(1, "api A 192.0.2.1") }));
  equal(served(fixture, "example.test.", "api.example.test.").length, 1);
  equal(fixture.primary.keys().length, 1);
  equal(fixture.state.pending().length, 0);
  await assertSound(dir);
  await fixture.close();
});

realTest(
  "a read-only primary serves, and takes neither pushes nor updates nor changes",
  { needs: ["git"] },
  async ({ dir }) => {
    const fixture = await openFixture(dir);
    accepted(await push(fixture, { "example.test.zone": zoneText(1) }));
    await fixture.close();
    const reason = "a bundle is served, which is read-only";
    const bundle = await openFixture(dir, { mode: { kind: "read-only", reason } });
    deepEqual(serialsOf(bundle), { "example.test.": 1 });
    deepEqual(reasons(await push(bundle, { "example.test.zone": zoneText(2) })), [reason]);
    const operation = add("x.example.test. 60 A 192.0.2.1");
    deepEqual(await update(bundle, "example.test.", operation), {
      rcode: 5,
      ede: { code: 18, text: reason },
    });
    const change = await bundle.primary.change([operation], { author: "x", message: "x" });
    ok(!change.ok && change.error.message === reason);
    await bundle.close();
  },
);
