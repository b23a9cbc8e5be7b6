/** The whole way of a push with git itself at the other end, and with the server killed for good in mid-commit. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { COMMIT_STEPS } from "../../primary/mod.ts";
import { realTest, run } from "../tools/real.ts";
import { assertSound, openFixture, serialsOf, served, zoneText } from "./fixture.ts";

realTest(
  "git pushes, is refused with file and line, mends and pushes again",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await work.write("zones/example.test", zoneText(1, "www A 192.0.2.1"));
    const first = await work.push();
    equal(first.code, 0, first.stderr);
    match(first.stderr, /remote: example\.test\. served with serial 1, 4 records in its file/);

    await work.write(
      "zones/example.test",
      zoneText(1, "www A 192.0.2.1", "api A 192.0.2.300", "www CNAME api"),
    );
    const refused = await work.push();
    notEqual(refused.code, 0);
    match(refused.stderr, /remote: zones\/example\.test:6:7: error: /);
    match(refused.stderr, /remote: zones\/example\.test:7:1: error: /);
    match(refused.stderr, /\[remote rejected\] main -> main \(2 faults\)/);

    await work.write("zones/example.test", zoneText(1, "www A 192.0.2.1", "api A 192.0.2.3"));
    const mended = await work.push();
    equal(mended.code, 0, mended.stderr);
    match(mended.stderr, /remote: example\.test\. serial 1 -> 2, 5 records/);
    const machine = await work.push("main:machine");
    match(machine.stderr, /remote rejected\] main -> machine \(branch machine is the server's\)/);
    await assertSound(dir);
    const fixture = await openFixture(dir);
    equal(served(fixture, "example.test.", "api.example.test.").length, 1);
    await fixture.close();
  },
);

for (const step of COMMIT_STEPS) {
  realTest(
    `kill -9 at "${step}" of a push leaves all of it or nothing`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await work.write("example.test.zone", zoneText(1, "www A 192.0.2.1"));
      equal((await work.push()).code, 0);
      await work.write("example.test.zone", zoneText(1, "www A 192.0.2.2"));
      const killed = await work.push("main", step);
      notEqual(killed.code, 0, "a push that was not answered is no success");
      ok(!killed.stderr.includes("remote rejected"), `the server answered: ${killed.stderr}`);

      const fixture = await openFixture(dir);
      const happened = step !== "objects-synced";
      deepEqual(serialsOf(fixture), { "example.test.": happened ? 2 : 1 });
      deepEqual(served(fixture, "example.test.", "www.example.test."), [
        `www.example.test. 300 IN A 192.0.2.${happened ? 2 : 1}`,
      ]);
      await fixture.close();
      await assertSound(dir);
      const again = await work.push();
      equal(again.code, 0, again.stderr);
      const after = await openFixture(dir);
      ok(served(after, "example.test.", "www.example.test.")[0].endsWith("192.0.2.2"));
      await after.close();
    },
  );
}

async function workTree(dir: string) {
  const tree = `${dir}/work`;
  await run("git", ["init", "-q", "-b", "main", tree]);
  const server = new URL("push_server.ts", import.meta.url).pathname;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  return {
    write: async (path: string, text: string) => {
      const file = `${tree}/${path}`;
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeTextFile(file, text);
      await run("git", ["-C", tree, "add", "-A"]);
      await run("git", ["-C", tree, "commit", "-q", "-m", `Change ${path}`]);
    },
    push: (refspec = "main", dieAt = "") => {
      const permissions = `--allow-read --allow-write --allow-env --allow-run=kill`;
      const remote =
        `ext::${Deno.execPath()} run --no-prompt --quiet --no-check --no-lock --config ${config} ` +
        `${permissions} ${server} ${dir} ${dieAt}`;
      return run("git", ["-C", tree, "-c", "protocol.ext.allow=always", "push", remote.trim(), refspec], {
        check: false,
        env: {
          HOME: Deno.env.get("HOME") ?? dir,
          ...(Deno.env.has("DENO_DIR") ? { DENO_DIR: Deno.env.get("DENO_DIR") ?? "" } : {}),
        },
      });
    },
  };
}
