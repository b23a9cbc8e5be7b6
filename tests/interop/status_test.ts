/** `status` beside a running server, and after it. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Status } from "../../cli/status_form.ts";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { hostAndPort, runCommand, serverIn, startServer } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;

realTest(
  "status tells what a running server serves, and what a stopped one served",
  { needs: ["dig", "openssl"] },
  async ({ dir, step }) => {
    const server = await serverIn(dir, ["--zones", EXAMPLES]);
    let stopped = false;
    try {
      const first = await statusOf(dir);
      await step("the server and its addresses", () => {
        equal(first.server.running, true);
        equal(first.server.pid, server.pid);
        deepEqual(first.server.dns, [server.dns]);
        equal(first.server.ssh, server.ssh);
        equal(first.server.web, server.web);
        return Promise.resolve();
      });
      await step("the zones, as the health page has them", async () => {
        equal(first.source?.kind, "embedded");
        const health = await (await fetch(`${server.web}/healthz`)).json();
        const zones = first.zones.map(({ name, serial, main, machine }) => ({ name, serial, main, machine }));
        deepEqual(zones, health.zones);
        ok(first.zones.every(({ state }) => state === "good"));
      });
      await step("a certificate, its names and its end as openssl reads it", async () => {
        const { code, stderr } = await runCommand(dir, "certify", [
          "www.example.test",
          ...["--server", server.dns, "--key-file", ".bailiwick/keys/admin.key", "--out", "certs"],
        ]);
        equal(code, 0, stderr);
        const { certificates } = await statusOf(dir);
        equal(certificates.length, 1);
        const [{ host, zone, state, names, notAfter, next }] = certificates;
        deepEqual({ host, zone, state, names }, {
          host: "www.example.test",
          zone: "example.test",
          state: "issued",
          names: ["www.example.test"],
        });
        const x509 = [
          "x509",
          "-noout",
          "-enddate",
          "-dateopt",
          "iso_8601",
          "-in",
          `${dir}/certs/www.example.test.pem`,
        ];
        const end = (await run("openssl", x509)).stdout.trim().replace(/^notAfter=(\S+) (\S+)Z$/, "$1T$2Z");
        equal(notAfter, end);
        ok(next !== null && next < end);
      });
      await step("for people", async () => {
        const text = (await runCommand(dir, "status", [])).stdout;
        match(
          text,
          new RegExp(
            `^server +running, pid ${server.pid}; since \\S+; dns ${server.dns}; ssh ${server.ssh}; web `,
            "m",
          ),
        );
        match(text, /^ZONE +SERIAL +STATE +MAIN +MACHINE$/m);
        match(text, /^example\.test +\d+ +good +[0-9a-f]{12} +[0-9a-f]{12}$/m);
        match(text, /^www\.example\.test +issued +\d{4}-\S+Z +\d+ d/m);
      });
      await step("the server goes on as if nobody had looked", async () => {
        const { host, port } = hostAndPort(server.dns);
        const script = `server ${host} ${port}\nupdate add seen.example.test 60 A 192.0.2.7\nsend\n`;
        await run("nsupdate", ["-k", `${dir}/.bailiwick/keys/admin.key`], { stdin: script });
        equal(await dig(server.dns, ["+short", "seen.example.test", "A"]), "192.0.2.7");
      });
      const last = await statusOf(dir);
      notEqual(last.source?.machine, first.source?.machine);
      equal(await server.stop(), 0);
      stopped = true;
      const after = await statusOf(dir);
      deepEqual(after.server, { running: false, pid: null });
      const rest = { at: "", server: {}, counters: null };
      deepEqual({ ...after, ...rest }, { ...last, ...rest });
      // What was counted between the last note and the end is told too.
      ok((after.counters?.answers ?? 0) >= (last.counters?.answers ?? 0));
      ok((after.counters?.queries ?? 0) > 0);
      match((await runCommand(dir, "status", [])).stdout, /^server +not running$/m);
    } finally {
      if (!stopped) await server.stop();
    }
    const again = await serverIn(dir);
    equal(await again.stop(), 0, "what status left behind is no hindrance");
  },
);

realTest("a killed server is not running, whatever its lock says", { needs: [] }, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  await server.kill();
  equal((await Deno.readTextFile(`${dir}/.bailiwick/lock`)).trim(), String(server.pid));
  const status = await statusOf(dir);
  deepEqual(status.server, { running: false, pid: null });
  equal(status.zones.length, 2);
});

realTest("a server that was never good at a zone says why", { needs: ["git"] }, async ({ dir }) => {
  const server = await serverIn(dir, ["--zones", EXAMPLES, "--acme", "off"]);
  await server.stop();
  // By a hand in the repository itself: nothing refuses it there.
  const git = (...args: string[]) => run("git", ["-C", `${dir}/.bailiwick/zones.git`, ...args]);
  await run("git", ["clone", "-q", `${dir}/.bailiwick/zones.git`, "clone"], { cwd: dir });
  await Deno.writeTextFile(`${dir}/clone/new.test.zone`, "@ 60 SOA ns h 1 1h 1h 1h 1h\n@ 60 NS ns\nns A 1\n");
  await run("git", ["add", "-A"], { cwd: `${dir}/clone` });
  await run("git", ["commit", "-qm", "New"], { cwd: `${dir}/clone` });
  await git("fetch", "-q", `${dir}/clone`, "main:main");
  const again = await serverIn(dir, ["--acme", "off"]);
  try {
    const { zones } = await statusOf(dir);
    const found = zones.find(({ name }) => name === "new.test");
    equal(found?.state, "broken");
    equal(found?.serial, null);
    match(found?.faults[0] ?? "", /^new\.test\.zone:3:\d+: error: /);
    match((await runCommand(dir, "status", [])).stdout, /^new\.test +- +broken .*\n {4}new\.test\.zone:3:/m);
  } finally {
    await again.stop();
  }
});

realTest(
  "status of a bundle names it; of nothing, that there is nothing",
  { needs: ["git"] },
  async ({ dir }) => {
    const none = await runCommand(dir, "status", ["--data", "nowhere"]);
    equal(none.code, 2);
    match(none.stderr, /^bailiwick: there is no data folder .*nowhere/);
    await Deno.mkdir(`${dir}/empty`);
    const empty = JSON.parse((await runCommand(dir, "status", ["--data", "empty", "--json"])).stdout);
    equal(empty.source, null);
    deepEqual(empty.zones, []);

    await run("git", ["init", "-q", "-b", "main", `${dir}/work`]);
    for await (const { name } of Deno.readDir(EXAMPLES)) {
      await Deno.copyFile(
        `${EXAMPLES}/${name}`,
        `${dir}/work/${name}`,
      );
    }
    await run("git", ["add", "-A"], { cwd: `${dir}/work` });
    await run("git", ["commit", "-qm", "Zones"], { cwd: `${dir}/work` });
    await runCommand(dir, "bundle", ["work", "zones.pack"]);
    const server = await serverIn(dir, ["--zones", "zones.pack"]);
    try {
      const { source, zones, certificates } = await statusOf(dir);
      const commit = (await run("git", ["rev-parse", "HEAD"], { cwd: `${dir}/work` })).stdout.trim();
      deepEqual(source, { kind: "bundle", file: `${dir}/zones.pack`, main: commit, machine: null });
      equal(zones.length, 2);
      deepEqual(certificates, []);
    } finally {
      await server.stop();
    }
  },
);

async function statusOf(dir: string): Promise<Status> {
  const { code, stdout, stderr } = await runCommand(dir, "status", ["--json"]);
  equal(code, 0, stderr);
  equal(stderr, "");
  return JSON.parse(stdout);
}

realTest(
  "status names a pack that broke, and tells what can be told",
  { needs: ["git"] },
  async ({ dir }) => {
    const server = await serverIn(dir, ["--zones", EXAMPLES]);
    await runCommand(dir, "certify", [
      "www.example.test",
      ...["--server", server.dns, "--key-file", ".bailiwick/keys/admin.key", "--out", "certs"],
    ]);
    equal(await server.stop(), 0);
    const repository = `${dir}/.bailiwick/zones.git`;
    await run("git", ["-C", repository, "gc", "-q"]);
    const packs = `${repository}/objects/pack`;
    const pack = [...Deno.readDirSync(packs)].map(({ name }) => name).find((name) => name.endsWith(".pack"));
    ok(pack !== undefined);
    await Deno.chmod(`${packs}/${pack}`, 0o644);
    await Deno.truncate(`${packs}/${pack}`, 400);

    const { zones, damage, unread } = await statusOf(dir);
    deepEqual(zones.map(({ state }) => state), ["good", "good"]);
    deepEqual(damage.map((each) => each.pack), [pack.replace(/\.pack$/, "")]);
    match(unread[0], /^the records of programs in \S+: object [0-9a-f]{40} is damaged in pack-/);
    match(
      (await runCommand(dir, "status", [])).stdout,
      /^DAMAGED PACK +WHY\npack-[^]*^NOT READ\nthe records/m,
    );

    const started = await startServer(dir);
    if (started.ready) await started.server.stop();
    ok(!started.ready);
    equal(started.code, 2);
    match(
      started.stderr,
      /^bailiwick: .* is damaged in pack-.*restore the repository from a backup, or copy the packs/m,
    );
  },
);
