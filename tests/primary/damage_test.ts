/** Objects that cannot be read cost the zones that need them, and no others. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createRemoteFollower } from "../../primary/mod.ts";
import { realTest, run } from "../tools/real.ts";
import {
  accepted,
  add,
  commitWithGit,
  type Fixture,
  openFixture,
  push,
  reasons,
  served,
  update,
  zoneText,
} from "./fixture.ts";

realTest(
  "a zone whose file cannot be read answers SERVFAIL; the others are served",
  { needs: ["git"] },
  async ({ dir }) => {
    const first = await openFixture(dir);
    accepted(
      await push(first, {
        "a.test.zone": zoneText(1, "www A 192.0.2.1"),
        "b.test.zone": zoneText(1, "www A 192.0.2.2"),
      }),
    );
    // An older state of the zone, which is not what people want served.
    accepted(await push(first, { "a.test.zone": zoneText(2, "www A 192.0.2.3") }));
    await first.close();
    const mend = await breakFile(first, "main:a.test.zone");

    const fixture = await openFixture(dir);
    deepEqual(served(fixture, "b.test.", "www.b.test."), ["www.b.test. 300 IN A 192.0.2.2"]);
    deepEqual(served(fixture, "a.test.", "www.a.test."), []);
    const broken = fixture.primary.zones().find(({ name }) => name === "a.test.");
    equal(broken?.state, "broken");
    match(broken?.faults[0].message ?? "", /its content cannot be read: .*damaged/);
    ok(
      fixture.log.some((line) => /a\.test\.zone:1:1: error: its content cannot be read/.test(line)),
      fixture.log.join("\n"),
    );
    const refused = await push(fixture, { "b.test.zone": zoneText(2, "www A 192.0.2.4") });
    deepEqual(reasons(refused), ["1 fault"]);
    accepted(await push(fixture, { "a.test.zone": zoneText(3, "www A 192.0.2.5") }));
    deepEqual(served(fixture, "a.test.", "www.a.test."), ["www.a.test. 300 IN A 192.0.2.5"]);
    await fixture.close();
    await mend();
  },
);

realTest(
  "records of programs that cannot be read are left out and named",
  { needs: ["git"] },
  async ({ dir }) => {
    const first = await openFixture(dir);
    accepted(await push(first, { "a.test.zone": zoneText(1) }));
    for (const name of ["x", "y"]) {
      equal(
        (await update(first, "a.test", add(`${name}.a.test 60 A 192.0.2.7`))).rcode,
        0,
      );
    }
    const path = (await git(first, "ls-tree", "-r", "--name-only", "machine")).split("\n").find((each) =>
      each.endsWith("/x")
    );
    await first.close();
    await breakFile(first, `machine:${path}`);
    const fixture = await openFixture(dir);
    deepEqual(served(fixture, "a.test.", "y.a.test."), ["y.a.test. 60 IN A 192.0.2.7"]);
    deepEqual(served(fixture, "a.test.", "x.a.test."), []);
    ok(fixture.log.some((line) => line.includes(`machine:${path}: left out: `)), fixture.log.join("\n"));
    await fixture.close();
  },
);

realTest("a pull that could not read a file tries again, and serves it when it can be read", {
  needs: ["git"],
}, async ({ dir }) => {
  const fixture = await openFixture(dir, { mode: { kind: "remote", upstream: "upstream" } });
  const commit = await commitWithGit(fixture.repository.path, {
    "a.test.zone": zoneText(1, "www A 192.0.2.1"),
  }, undefined);
  const follower = createRemoteFollower({
    primary: fixture.primary,
    fetch: () => Promise.resolve({ ok: true, value: commit }),
    upstream: "upstream",
    branch: "main",
    poll: 1000,
    clock: () => 0,
    timer: () => () => {},
    log: { info: () => {}, warn: () => {}, error: () => {} },
  });
  const mend = await breakFile(fixture, `${commit}:a.test.zone`);
  deepEqual(await follower.pull(), { kind: "advanced", commit, faults: 1 });
  equal(fixture.primary.zones()[0].state, "broken");
  await mend();
  deepEqual(await follower.pull(), { kind: "advanced", commit, faults: 0 });
  deepEqual(served(fixture, "a.test.", "www.a.test."), ["www.a.test. 300 IN A 192.0.2.1"]);
  deepEqual(await follower.pull(), { kind: "current", commit });
  await fixture.close();
});

async function git(fixture: Fixture, ...args: string[]): Promise<string> {
  return (await run("git", ["-C", fixture.repository.path, ...args])).stdout.trim();
}

/** Makes a loose object unreadable; gives what mends it. */
async function breakFile(fixture: Fixture, name: string): Promise<() => Promise<void>> {
  const oid = await git(fixture, "rev-parse", name);
  const path = `${fixture.repository.path}/objects/${oid.slice(0, 2)}/${oid.slice(2)}`;
  const bytes = await Deno.readFile(path);
  await Deno.chmod(path, 0o644);
  await Deno.writeFile(path, bytes.map((byte, at) => at > 10 ? byte ^ 0x55 : byte));
  return () => Deno.writeFile(path, bytes);
}
