import { deepEqual, equal, ok } from "node:assert/strict";
import { nameFrom } from "../../dns/mod.ts";
import { faultLine, readFolder, type Seeded, seedRepository } from "../../primary/mod.ts";
import { initRepository, parseOid } from "../../store/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertSound, openFixture, served, zoneText } from "./fixture.ts";

realTest(
  "the first start makes one commit of the folder, byte for byte",
  { needs: ["git"] },
  async ({ dir }) => {
    await write(dir, "zones/deep/example.test.zone", zoneText(7, "www A 192.0.2.1"));
    await write(dir, "zones/README", new Uint8Array([0xff, 0x00, 0x0d, 0x0a]));
    const repository = await initRepository(`${dir}/zones.git`);
    const seeded = await seedRepository({
      repository,
      folder: `${dir}/zones`,
      clock: () => 1_700_000_000_000,
    });
    ok(seeded.ok);
    equal(seeded.value.zones, 1);
    repository.close();
    const git = async (...args: string[]) => (await run("git", ["-C", `${dir}/zones.git`, ...args])).stdout;
    equal((await git("rev-list", "--count", "main")).trim(), "1");
    deepEqual((await git("ls-tree", "-r", "--name-only", "main")).trim().split("\n"), [
      "README",
      "deep/example.test.zone",
    ]);
    equal(await git("show", "main:deep/example.test.zone"), zoneText(7, "www A 192.0.2.1"));
    await assertSound(dir);
    const fixture = await openFixture(dir);
    deepEqual(served(fixture, "example.test.", "www.example.test."), [
      "www.example.test. 300 IN A 192.0.2.1",
    ]);
    await fixture.close();
  },
);

realTest("what the first start has read is served as it is, unless main is another commit", {
  needs: ["git"],
}, async ({ dir }) => {
  const seed = async (place: string) => {
    await write(place, "zones/example.test.zone", zoneText(7, "www A 192.0.2.1"));
    const repository = await initRepository(`${place}/zones.git`);
    const seeded = await seedRepository({ repository, folder: `${place}/zones`, clock: () => 0 });
    repository.close();
    ok(seeded.ok);
    return seeded.value;
  };
  /** Whether the zone that is served lies where the seeded one does. */
  const takesOver = async (place: string, { commit, plan }: Pick<Seeded, "commit" | "plan">) => {
    const fixture = await openFixture(place, { seeded: () => ({ commit, plan }) });
    deepEqual(served(fixture, "example.test.", "www.example.test."), [
      "www.example.test. 300 IN A 192.0.2.1",
    ]);
    const memory = fixture.image.get(nameFrom("example.test."))?.image.bytes.buffer;
    await fixture.close();
    return memory !== undefined && memory === plan.steps[0].after?.served.image.bytes.buffer;
  };
  const first = await seed(`${dir}/first`);
  equal(await takesOver(`${dir}/first`, first), true);
  equal(await takesOver(`${dir}/first`, first), false, "the database knows what was served");
  const other = parseOid("1".repeat(40));
  ok(other !== undefined);
  const second = await seed(`${dir}/second`);
  equal(await takesOver(`${dir}/second`, { ...second, commit: other }), false);
});

realTest("a faulty folder gives every fault and makes nothing", { needs: ["git"] }, async ({ dir }) => {
  await write(dir, "zones/a.test.zone", zoneText(1, "x A no", "y A no"));
  await write(dir, "zones/b.test.zone", "");
  const repository = await initRepository(`${dir}/zones.git`);
  const seeded = await seedRepository({ repository, folder: `${dir}/zones`, clock: () => 0 });
  ok(!seeded.ok);
  deepEqual(seeded.error.map((fault) => faultLine(fault).split(": ")[0]), [
    "a.test.zone:5:5",
    "a.test.zone:6:5",
    "b.test.zone:1:1",
  ]);
  equal(await repository.refs.get("refs/heads/main"), undefined);
  repository.close();
});

realTest("links are followed inside the folder and refused outside", { needs: ["git"] }, async ({ dir }) => {
  await write(dir, "secret", "do not publish");
  await write(dir, "zones/..data/example.test.zone", zoneText(1));
  await write(dir, "zones/.git/config", "[core]");
  await Deno.symlink("..data/example.test.zone", `${dir}/zones/example.test.zone`);
  deepEqual([...(await readFolder(`${dir}/zones`)).files.keys()], ["example.test.zone"]);
  await Deno.symlink("../secret", `${dir}/zones/outside.zone`);
  await Deno.symlink("/etc", `${dir}/zones/etc`);
  await Deno.symlink("self", `${dir}/zones/self`);
  const { files, faults } = await readFolder(`${dir}/zones`);
  deepEqual([...files.keys()], ["example.test.zone"]);
  deepEqual(faults.map((fault) => [fault.position.file, fault.code]), [["etc", "link"], [
    "outside.zone",
    "link",
  ], ["self", "link"]]);
});

realTest("an empty folder is a start without zones", { needs: ["git"] }, async ({ dir }) => {
  await Deno.mkdir(`${dir}/zones`);
  const repository = await initRepository(`${dir}/zones.git`);
  const seeded = await seedRepository({ repository, folder: `${dir}/zones`, clock: () => 0 });
  ok(seeded.ok && seeded.value.zones === 0);
  repository.close();
  await assertSound(dir);
});

async function write(dir: string, path: string, content: string | Uint8Array): Promise<void> {
  const file = `${dir}/${path}`;
  await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
  await Deno.writeFile(file, typeof content === "string" ? new TextEncoder().encode(content) : content);
}
