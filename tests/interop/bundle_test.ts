/** `bundle` and `serve --zones BUNDLE.pack`: zones in one file, from git to dig. */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { gitEnvironment, hostAndPort, runCommand, serverIn, startServer } from "../tools/server.ts";

realTest(
  "a commit becomes a bundle, and the bundle is served, read-only",
  { needs: ["git", "ssh", "dig", "kdig", "nsupdate"] },
  async ({ dir, step }) => {
    const upstream = await upstreamIn(dir);
    await upstream.write({
      "example.test.zone": zone("www A 192.0.2.80"),
      "sub/other.test.zone": zone('@ CAA 0 issue "ca.test"'),
      "README": "not a zone\n",
    });
    await upstream.git("tag", "-a", "-m", "First", "v1");

    await step("a branch of a working copy, a tag, a commit and HEAD give one and the same", async () => {
      const commit = (await upstream.git("rev-parse", "HEAD")).trim();
      for (const name of ["", "#main", "#v1", `#${commit}`]) {
        const made = await runCommand(dir, "bundle", [`work${name}`, "zones.pack"]);
        equal(made.code, 0, made.stderr);
        match(
          made.stdout,
          new RegExp(
            `^${dir}/zones\\.pack: commit ${commit}, 6 objects, \\d+ bytes\\n${dir}/zones\\.idx: its index\\n$`,
          ),
        );
        await run("git", ["verify-pack", "zones.pack"], { cwd: dir });
      }
    });

    const data = `${dir}/.bailiwick`;
    let server = await serverIn(dir, ["--zones", "zones.pack"]);
    try {
      match(server.ready, / zones=2$/);
      equal(await dig(server.dns, ["+short", "www.example.test", "A"]), "192.0.2.80");
      equal(await dig(server.dns, ["+short", "+tcp", "other.test", "CAA"]), '0 issue "ca.test"');
      const { host, port } = hostAndPort(server.dns);
      match(
        (await run("kdig", [`@${host}`, "-p", port, "example.test", "SOA"])).stdout,
        /SOA\tns\.example\.test\. h\.example\.test\. 1 /,
      );
      match(server.log(), /certificates: off/);

      await step("an update is refused with the reason", async () => {
        const script =
          `server ${host} ${port}\nzone example.test\nupdate add x.example.test 60 A 192.0.2.1\nsend\n`;
        const outcome = await run("nsupdate", ["-k", `${data}/keys/admin.key`], {
          stdin: script,
          check: false,
        });
        match(outcome.stderr, /update failed: REFUSED/);
        equal(await dig(server.dns, ["+short", "x.example.test", "A"]), "");
      });

      await step("it can be cloned; a push is refused with the reason", async () => {
        const env = gitEnvironment(data);
        await run("git", ["clone", "-q", `ssh://git@${server.ssh}/zones.git`, "clone"], { cwd: dir, env });
        equal(await Deno.readTextFile(`${dir}/clone/README`), "not a zone\n");
        await run("git", ["commit", "-q", "--allow-empty", "-m", "Mine"], { cwd: `${dir}/clone` });
        const pushed = await run("git", ["push", "origin", "HEAD:main"], {
          cwd: `${dir}/clone`,
          env,
          check: false,
        });
        notEqual(pushed.code, 0);
        match(pushed.stderr, /bailiwick: zones are served from the bundle .*zones\.pack, which is read-only/);
      });
    } finally {
      equal(await server.stop(), 0);
    }
    equal(await exists(`${data}/zones.git`), false);

    await step("a later bundle raises the serial of what changed, and of nothing else", async () => {
      const serials = async () => ({
        example: await dig(server.dns, ["+short", "example.test", "SOA"]).then((soa) => soa.split(" ")[2]),
        other: await dig(server.dns, ["+short", "other.test", "SOA"]).then((soa) => soa.split(" ")[2]),
      });
      const servedFrom = async () => {
        equal((await runCommand(dir, "bundle", ["work", "zones.pack"])).code, 0);
        server = await serverIn(dir, ["--zones", "zones.pack", "--acme", "off"]);
        try {
          return await serials();
        } finally {
          equal(await server.stop(), 0);
        }
      };
      await upstream.write({
        "example.test.zone": zone("www A 192.0.2.81"),
        "sub/other.test.zone": `; a word\n${zone('@ CAA 0 issue "ca.test"')}`,
      });
      deepEqual(await servedFrom(), { example: "2", other: "1" });
      deepEqual(await servedFrom(), { example: "2", other: "1" });
      // A commit with parents that are not in its bundle: whoever clones gets its files, and a history that ends there.
      server = await serverIn(dir, ["--zones", "zones.pack", "--acme", "off"]);
      const env = gitEnvironment(data);
      await run("git", ["clone", "-q", `ssh://git@${server.ssh}/zones.git`, "shallow"], { cwd: dir, env });
      equal(await server.stop(), 0);
      equal((await run("git", ["rev-list", "--count", "HEAD"], { cwd: `${dir}/shallow` })).stdout, "1\n");
      await run("git", ["fsck", "--full"], { cwd: `${dir}/shallow` });
      // Back to what it was before: other content than was served last, so a higher serial.
      await upstream.write({ "example.test.zone": zone("www A 192.0.2.80") });
      deepEqual(await servedFrom(), { example: "3", other: "1" });
    });
  },
);

realTest(
  "between a repository of its own and a bundle a server's serials only rise, and nothing of the repository is lost",
  { needs: ["git", "dig", "nsupdate"] },
  async ({ dir }) => {
    const soaAndRecord = async (...args: string[]) => {
      const server = await serverIn(dir, [...args, "--acme", "off"]);
      try {
        const soa = await dig(server.dns, ["+short", "example.test", "SOA"]);
        return {
          serial: Number(soa.split(" ")[2]),
          made: await dig(server.dns, ["+short", "made.example.test", "A"]),
        };
      } finally {
        equal(await server.stop(), 0);
      }
    };
    await Deno.mkdir(`${dir}/zones`);
    await Deno.writeTextFile(`${dir}/zones/example.test.zone`, zone("www A 192.0.2.80"));
    const server = await serverIn(dir, ["--acme", "off"]);
    const { host, port } = hostAndPort(server.dns);
    const script = `server ${host} ${port}\nupdate add made.example.test 60 A 192.0.2.7\nsend\n`;
    await run("nsupdate", ["-k", `${dir}/.bailiwick/keys/admin.key`], { stdin: script });
    equal(await server.stop(), 0);
    const own = await soaAndRecord();
    deepEqual(own, { serial: 2, made: "192.0.2.7" });

    equal((await runCommand(dir, "bundle", [".bailiwick/zones.git#main", "zones.pack"])).code, 0);
    const bundled = await soaAndRecord("--zones", "zones.pack");
    equal(bundled.made, "");
    ok(bundled.serial > own.serial, "without the programs' records it is another content");
    deepEqual(await soaAndRecord("--zones", "zones.pack"), bundled);

    const back = await soaAndRecord();
    equal(back.made, "192.0.2.7");
    ok(back.serial > bundled.serial);
    deepEqual(await soaAndRecord(), back);
    const fsck = await run("git", ["-C", `${dir}/.bailiwick/zones.git`, "fsck", "--full", "--strict"]);
    equal(fsck.stderr.replace(/^notice: .*\n/gm, ""), "");
  },
);

realTest(
  "faulty zones in a bundle are all listed, and nothing is started",
  { needs: ["git"] },
  async ({ dir }) => {
    const upstream = await upstreamIn(dir);
    await upstream.write({ "a.test.zone": zone("www A 1.2.3"), "b.test.zone": zone("www AAAA nonsense") });
    equal((await runCommand(dir, "bundle", ["work", "zones.pack"])).code, 0);
    const started = await startServer(dir, ["--zones", "zones.pack"]);
    if (started.ready) await started.server.stop();
    ok(!started.ready);
    equal(started.code, 2);
    match(started.stderr, /^a\.test\.zone:6:7: error: /m);
    match(started.stderr, /^b\.test\.zone:6:10: error: /m);
    match(started.stderr, /^bailiwick: .*zones\.pack has faults; nothing was started$/m);
  },
);

realTest(
  "a bundle that is cut, changed or not there is one line and exit 2",
  { needs: ["git"] },
  async ({ dir }) => {
    const upstream = await upstreamIn(dir);
    await upstream.write({ "a.test.zone": zone("www A 192.0.2.1") });
    equal((await runCommand(dir, "bundle", ["work", "zones.pack"])).code, 0);
    const whole = await Deno.readFile(`${dir}/zones.pack`);
    const says = async (expected: RegExp) => {
      const started = await startServer(dir, ["--zones", "zones.pack"]);
      if (started.ready) await started.server.stop();
      ok(!started.ready);
      equal(started.code, 2);
      equal(started.stdout, "");
      const lines = started.stderr.trimEnd().split("\n").filter((line) => line.startsWith("bailiwick: "));
      equal(lines.length, 1, started.stderr);
      match(lines[0], expected);
    };
    await Deno.writeFile(`${dir}/zones.pack`, whole.subarray(0, whole.length - 30));
    await says(/^bailiwick: .*zones\.pack: /);
    const changed = whole.slice();
    changed[whole.length - 25] ^= 1;
    await Deno.writeFile(`${dir}/zones.pack`, changed);
    await says(/^bailiwick: .*zones\.pack: /);
    await Deno.remove(`${dir}/zones.pack`);
    await says(/^bailiwick: there is no bundle .*zones\.pack$/);
  },
);

realTest("with require-signed a bundle is served only if its commit is signed", {
  needs: ["git", "ssh-keygen"],
}, async ({ dir }) => {
  const upstream = await upstreamIn(dir);
  await upstream.write({ "a.test.zone": zone("www A 192.0.2.1") });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${dir}/alice`]);
  await Deno.writeTextFile(`${dir}/b.toml`, "[repository]\nrequire-signed = true\n");
  const start = async () => {
    equal((await runCommand(dir, "bundle", ["work", "zones.pack"])).code, 0);
    return await startServer(dir, ["--zones", "zones.pack", "--config", "b.toml"]);
  };
  const unsigned = await start();
  if (unsigned.ready) await unsigned.server.stop();
  ok(!unsigned.ready);
  equal(unsigned.code, 2);
  match(unsigned.stderr, /^bailiwick: .*zones\.pack: .*not signed/m);

  const key = await Deno.readTextFile(`${dir}/alice.pub`);
  await Deno.writeTextFile(`${dir}/.bailiwick/keys/allowed_signers`, `alice@example.test ${key}`, {
    append: true,
  });
  for (
    const [name, value] of [["gpg.format", "ssh"], ["user.signingkey", `${dir}/alice`], [
      "commit.gpgsign",
      "true",
    ]]
  ) {
    await upstream.git("config", name, value);
  }
  // On an unsigned parent, which is not in the bundle.
  await upstream.write({ "a.test.zone": zone("www A 192.0.2.2") });
  const signed = await start();
  ok(signed.ready, signed.ready ? "" : signed.stderr);
  equal(await signed.server.stop(), 0);
});

realTest("what bundle cannot make, it says in one line", { needs: ["git"] }, async ({ dir }) => {
  await upstreamIn(dir);
  const says = async (args: string[], expected: RegExp) => {
    const outcome = await runCommand(dir, "bundle", args);
    equal(outcome.code, 2);
    match(outcome.stderr, expected);
    equal(outcome.stderr.trimEnd().includes("\n"), false);
  };
  await says(["work", "zones"], /^bailiwick: "zones" does not end in \.pack/);
  await says(["nowhere", "zones.pack"], /^bailiwick: .*nowhere is not a git repository$/m);
  await says(["work#main", "zones.pack"], /^bailiwick: .*has no branch, tag or commit "main"/);
});

function zone(line: string): string {
  return `$TTL 60\n@ SOA ns h 1 1h 1h 1h 1m\n@ NS ns\nns A 127.0.0.1\n; here\n${line}\n`;
}

async function upstreamIn(dir: string) {
  const cwd = `${dir}/work`;
  await run("git", ["init", "-q", "-b", "main", cwd]);
  const git = async (...args: string[]) => (await run("git", args, { cwd })).stdout;
  return {
    git,
    write: async (files: Record<string, string>) => {
      for (const [path, content] of Object.entries(files)) {
        await Deno.mkdir(`${cwd}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
        await Deno.writeTextFile(`${cwd}/${path}`, content);
      }
      await git("add", "-A");
      await git("commit", "-qm", "Zones");
    },
  };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, (error) => {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  });
}
