/**
 * What a server has acknowledged stays so: through kills at any moment, lost and damaged side files, hands in the
 * repository, a full disk, crowds of clients and very large zones.
 */
import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { createAsker } from "../fuzz/ask.ts";
import { nsupdateUntil, startAndKill } from "../fuzz/life.ts";
import { soak } from "../fuzz/soak.ts";
import { dig } from "../tools/dig.ts";
import { realTest, run } from "../tools/real.ts";
import { gitEnvironment, type RunningServer, serverIn } from "../tools/server.ts";

const EXAMPLES = new URL("../../zones", import.meta.url).pathname;
const FIRST = ["--zones", EXAMPLES, "--acme", "off"];
const AGAIN = ["--acme", "off"];
const NEEDS = ["git", "ssh", "dig", "nsupdate"];

realTest(
  "killed again and again under load, it serves what it had acknowledged, wholly and under the right serials",
  {
    needs: NEEDS,
  },
  async ({ dir }) => {
    const summary = await soak({ dir, seed: 20261123, seconds: 12, say: (line) => console.log(line) });
    ok(summary.lives >= 3 && summary.acknowledged > 10, JSON.stringify(summary));
  },
);

realTest("a first start that was killed while it made the repository or the keys is taken up by the next", {
  needs: NEEDS,
}, async ({ dir }) => {
  const data = `${dir}/.bailiwick`;
  // As a kill leaves them between the folders and HEAD, and between the private key and the others.
  await Deno.mkdir(`${data}/zones.git/objects/info`, { recursive: true });
  await Deno.mkdir(`${data}/keys`, { mode: 0o700 });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", `${data}/keys/client_ed25519`]);
  await Deno.remove(`${data}/keys/client_ed25519.pub`);
  const key = await Deno.readTextFile(`${data}/keys/client_ed25519`);

  const server = await serverIn(dir, FIRST);
  try {
    const site = await siteOf(server, dir);
    await site.push("made A 192.0.2.1");
    equal(await dig(server.dns, ["+short", "made.example.test", "A"]), "192.0.2.1");
    equal(await Deno.readTextFile(`${data}/keys/client_ed25519`), key);
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(data);
});

realTest("a first start killed at many moments leaves nothing that the next cannot go on from", {
  needs: NEEDS,
}, async ({ dir }) => {
  for (const after of [80, 160, 240, 330, 450]) {
    const own = `${dir}/${after}`;
    await Deno.mkdir(own);
    await startAndKill(own, FIRST, after);
    const server = await serverIn(own, FIRST);
    try {
      const site = await siteOf(server, own);
      await site.push("made A 192.0.2.1");
      equal((await site.update(["add _acme-challenge.example.test. 60 TXT token"])).code, 0);
    } finally {
      await server.kill();
    }
    await fsck(`${own}/.bailiwick`);
  }
});

for (
  const [what, spoil] of [
    ["lost", async (path) => await Deno.remove(path)],
    ["replaced with garbage", async (path) => await Deno.writeFile(path, garbage(20_000))],
    ["cut short", async (path) => await Deno.truncate(path, 5000)],
    ["overwritten in its middle", async (path) => await overwrite(path, 4096, garbage(8192))],
  ] satisfies readonly [string, (path: string) => Promise<void>][]
) {
  realTest(`with state.db ${what}, everything is served and no serial falls`, {
    needs: NEEDS,
  }, async ({ dir }) => {
    const data = `${dir}/.bailiwick`;
    let server = await serverIn(dir, FIRST);
    let site = await siteOf(server, dir);
    for (let round = 1; round <= 3; round++) await site.push(`round${round} A 192.0.2.${round}`);
    equal((await site.update(['add _acme-challenge.example.test. 60 TXT "kept"'])).code, 0);
    const serial = await serialOf(server);
    equal(serial, 5);
    equal(await server.stop(), 0);
    await spoil(`${data}/state.db`);

    server = await serverIn(dir, AGAIN);
    try {
      ok(await serialOf(server) >= serial, `the serial fell from ${serial} to ${await serialOf(server)}`);
      equal(await dig(server.dns, ["+short", "round3.example.test", "A"]), "192.0.2.3");
      equal(await dig(server.dns, ["+short", "_acme-challenge.example.test", "TXT"]), '"kept"');
      const aside = [...Deno.readDirSync(data)].filter(({ name }) => name.startsWith("state.db.unreadable-"));
      equal(aside.length > 0, what !== "lost", server.log());
      if (what !== "lost") match(server.log(), /state\.db cannot be read .* it is kept as /);
      site = await siteOf(server, dir);
      const before = await serialOf(server);
      await site.push("after A 192.0.2.99");
      equal(await serialOf(server), before + 1);
    } finally {
      equal(await server.stop(), 0);
    }
    await fsck(data);
  });
}

realTest("locks and quarantines that a killed server left behind block nothing and are swept away", {
  needs: NEEDS,
}, async ({ dir }) => {
  const repository = `${dir}/.bailiwick/zones.git`;
  let server = await serverIn(dir, FIRST);
  await server.kill();
  const left = [
    "refs/heads/main.lock",
    "refs/heads/machine.lock",
    "refs/bailiwick/serials.lock",
    "packed-refs.lock",
    "objects/tmp_objdir-incoming-abcdef/pack/tmp_pack_abcdef",
    "objects/00/tmp_obj_abcdef",
    "objects/pack/tmp_pack_abcdef",
  ];
  for (const name of left) {
    const path = `${repository}/${name}`;
    await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(path, garbage(100));
  }
  server = await serverIn(dir, AGAIN);
  try {
    const site = await siteOf(server, dir);
    await site.push("free A 192.0.2.1");
    equal((await site.update(["add _acme-challenge.example.test. 60 TXT token"])).code, 0);
    for (const name of left) equal(await exists(`${repository}/${name}`), false, name);
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(`${dir}/.bailiwick`);
});

realTest(
  "a lock that somebody holds while the server runs refuses a push with its name, and nothing changes",
  {
    needs: NEEDS,
  },
  async ({ dir }) => {
    const lock = `${dir}/.bailiwick/zones.git/refs/heads/main.lock`;
    const server = await serverIn(dir, FIRST);
    try {
      const site = await siteOf(server, dir);
      await site.commit("held A 192.0.2.1");
      await Deno.writeTextFile(lock, "");
      const refused = await site.git(["push", "-q"], false);
      notEqual(refused.code, 0);
      match(refused.stderr, /remote rejected.*main\.lock/);
      equal(await serialOf(server), 1);
      equal(await dig(server.dns, ["+short", "held.example.test", "A"]), "");
      await Deno.remove(lock);
      await site.git(["push", "-q"]);
      equal(await serialOf(server), 2);
    } finally {
      equal(await server.stop(), 0);
    }
    await fsck(`${dir}/.bailiwick`);
  },
);

realTest("main moved by hand is taken up: at the next start, and before the next push builds on it", {
  needs: NEEDS,
}, async ({ dir }) => {
  const repository = `${dir}/.bailiwick/zones.git`;
  let server = await serverIn(dir, FIRST);
  let site = await siteOf(server, dir);
  await site.push("first A 192.0.2.1");
  equal((await site.update(["add _acme-challenge.example.test. 60 TXT token"])).code, 0);
  const serial = await serialOf(server);

  // While it runs: a hand moves the branch under it, and a push from elsewhere builds on that.
  await site.commit("hand A 192.0.2.2");
  await site.git(["push", "-q", repository, "HEAD:main"]);
  equal((await site.update(["add _acme-challenge.www2.example.test. 60 TXT token"])).code, 0);
  await site.git(["fetch", "-q"]);
  await site.push("above A 192.0.2.3");
  equal(await dig(server.dns, ["+short", "hand.example.test", "A"]), "192.0.2.2");
  equal(await dig(server.dns, ["+short", "above.example.test", "A"]), "192.0.2.3");
  ok(await serialOf(server) > serial);
  await sameAsRefs(server, repository);
  const before = await serialOf(server);
  equal(await server.stop(), 0);

  // While it is down; then again with a fault, which holds the zone at its last good state.
  await site.commit("down A 192.0.2.4");
  await site.git(["push", "-q", repository, "HEAD:main"]);
  server = await serverIn(dir, AGAIN);
  equal(await dig(server.dns, ["+short", "down.example.test", "A"]), "192.0.2.4");
  equal(await serialOf(server), before + 1);
  await sameAsRefs(server, repository);
  await server.kill();
  await site.commit("bad A 192.0.2.999");
  await site.git(["push", "-q", repository, "HEAD:main"]);
  server = await serverIn(dir, AGAIN);
  try {
    equal(await dig(server.dns, ["+short", "down.example.test", "A"]), "192.0.2.4");
    equal(await serialOf(server), before + 1);
    site = await siteOf(server, dir);
    await site.edit((text) => text.replace("192.0.2.999", "192.0.2.9"));
    await site.git(["push", "-q"]);
    equal(await dig(server.dns, ["+short", "bad.example.test", "A"]), "192.0.2.9");
    equal(await serialOf(server), before + 2);
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(`${dir}/.bailiwick`);
});

realTest("machine moved by hand while the server runs costs no acknowledged update", {
  needs: NEEDS,
}, async ({ dir }) => {
  const repository = `${dir}/.bailiwick/zones.git`;
  const server = await serverIn(dir, FIRST);
  try {
    const site = await siteOf(server, dir);
    equal((await site.update(["add _acme-challenge.a.example.test. 60 TXT one"])).code, 0);
    const old = (await run("git", ["-C", repository, "rev-parse", "machine"])).stdout.trim();
    equal((await site.update(["add _acme-challenge.b.example.test. 60 TXT two"])).code, 0);
    const serial = await serialOf(server);
    await run("git", ["-C", repository, "update-ref", "refs/heads/machine", old]);
    // The first update finds the ref elsewhere and is refused; what the branch holds is served from then on.
    const refused = await site.update(["add _acme-challenge.c.example.test. 60 TXT three"]);
    notEqual(refused.code, 0);
    match(refused.stderr, /SERVFAIL/);
    equal(await dig(server.dns, ["+short", "_acme-challenge.b.example.test", "TXT"]), "");
    equal(await dig(server.dns, ["+short", "_acme-challenge.a.example.test", "TXT"]), '"one"');
    ok(await serialOf(server) > serial);
    equal((await site.update(["add _acme-challenge.c.example.test. 60 TXT three"])).code, 0);
    await sameAsRefs(server, repository);
  } finally {
    equal(await server.stop(), 0);
  }
  await fsck(`${dir}/.bailiwick`);
});

realTest(
  "on a full disk changes are refused with the reason, serving goes on, and with room changes work again",
  {
    needs: NEEDS,
    ignore: canMount() ? undefined : "no file system can be mounted here",
  },
  async ({ dir }) => {
    const data = `${dir}/data`;
    await Deno.mkdir(data);
    await run("sh", ["-c", `mount -t tmpfs -o size=8m tmpfs '${data}'`]);
    try {
      const args = ["--data", "data"];
      let server = await serverIn(dir, [...FIRST, ...args]);
      try {
        let site = await siteOf(server, dir, data);
        await site.push("before A 192.0.2.1");
        // From no room at all upwards, page by page, so that it ends at every step of a change once.
        for (let pages = 0; pages < 20; pages++) {
          await fill(`${data}/filler`, pages * 4096);
          const token = `_acme-challenge.full${pages}.example.test`;
          const updated = await site.update([`add ${token}. 60 TXT token`]);
          if (pages === 0) {
            notEqual(updated.code, 0);
            match(updated.stderr, /SERVFAIL/);
          }
          equal(
            await dig(server.dns, ["+short", token, "TXT"]),
            updated.code === 0 ? '"token"' : "",
            `${pages} ${server.log()}`,
          );

          await site.commit(`full${pages} A 192.0.2.${pages}`);
          const pushed = await site.git(["push", "-q"], false);
          if (pages === 0) {
            notEqual(pushed.code, 0);
            match(pushed.stderr, /remote rejected/);
            match(server.log(), /no space left|disk is full/i);
          }
          const host = `full${pages}.example.test`;
          equal(
            await dig(server.dns, ["+short", host, "A"]),
            pushed.code === 0 ? `192.0.2.${pages}` : "",
            "what was refused is not served, what was accepted is",
          );
          equal(await dig(server.dns, ["+short", "before.example.test", "A"]), "192.0.2.1");

          await Deno.remove(`${data}/filler`);
          await site.git(["push", "-q"]);
          equal((await site.update([`add _acme-challenge.free${pages}.example.test. 60 TXT token`])).code, 0);
          equal(await dig(server.dns, ["+short", host, "A"]), `192.0.2.${pages}`);
        }
        const serial = await serialOf(server);
        await server.kill();
        server = await serverIn(dir, [...AGAIN, ...args]);
        equal(await serialOf(server), serial);
        site = await siteOf(server, dir, data);
        await site.push("last A 192.0.2.50");
      } finally {
        equal(await server.stop(), 0);
      }
      await fsck(data);
    } finally {
      await run("sh", ["-c", `umount '${data}'`]);
    }
  },
);

realTest(
  "SIGTERM in the middle of a push: a clean end in five seconds, and the pusher learns what became of it",
  {
    needs: NEEDS,
  },
  async ({ dir }) => {
    let server = await serverIn(dir, FIRST);
    let site = await siteOf(server, dir);
    for (const [round, delay] of [0, 60, 150, 300, 600, 1000].entries()) {
      const hosts = Array.from(
        { length: 4000 },
        (_, at) => `r${round}h${at} A 10.${round}.${at >> 8}.${at & 255}`,
      );
      await site.commit(hosts.join("\n"));
      const pushing = site.git(["push", "-q"], false);
      await new Promise((resolve) => setTimeout(resolve, delay));
      const started = Date.now();
      equal(await server.stop(), 0);
      ok(Date.now() - started < 5000, `stopping took ${Date.now() - started} ms`);
      const pushed = await pushing;
      server = await serverIn(dir, AGAIN);
      site = await siteOf(server, dir);
      const there = await dig(server.dns, ["+short", `r${round}h3999.example.test`, "A"]) !== "";
      if (pushed.code === 0) ok(there, `acknowledged and not served: ${pushed.stderr}`);
      if (/rejected/.test(pushed.stderr)) ok(!there, `refused and served: ${pushed.stderr}`);
    }
    equal(await server.stop(), 0);
    await fsck(`${dir}/.bailiwick`);
  },
);

realTest(
  "thirty pushes and two hundred updates at once: each gets an answer, none is lost, resolvers notice nothing",
  {
    needs: NEEDS,
  },
  async ({ dir }) => {
    const repository = `${dir}/.bailiwick/zones.git`;
    const server = await serverIn(dir, FIRST);
    const crowd = resolvers(server, "example.test");
    try {
      const pushers = await Promise.all(Array.from({ length: 8 }, () => siteOf(server, dir)));
      const branches = Array.from({ length: 22 }, (_, at) => `refs/heads/side/${at}`);
      await pushers[0].commit("aside A 192.0.2.7");
      const aside = (await pushers[0].git(["rev-parse", "HEAD"])).stdout.trim();
      const changes = [
        ...branches.map((branch) =>
          pushers[0].git(["push", "-q", `ssh://git@${server.ssh}/zones.git`, `${aside}:${branch}`])
        ),
        ...pushers.map(async (pusher, at) => {
          const zone = `$TTL 60\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 192.0.2.${at}\n`;
          await Deno.writeTextFile(`${pusher.clone}/own${at}.test.zone`, zone);
          await pusher.git(["add", "-A"]);
          await pusher.git(["commit", "-qm", `Own zone ${at}`]);
          for (let tries = 1;; tries++) {
            const pushed = await pusher.git(["push", "-q", "origin", "HEAD:main"], false);
            if (pushed.code === 0) return;
            match(pushed.stderr, /\[(remote )?rejected\]/, "a push ended without an answer");
            ok(tries < 30, pushed.stderr);
            await pusher.git(["pull", "-q", "--rebase", "origin", "main"]);
          }
        }),
        ...Array.from({ length: 200 }, async (_, at) => {
          const { code, stderr } = await pushers[0].update([
            `add _acme-challenge.n${at}.example.test. 60 TXT "${at}"`,
          ]);
          equal(code, 0, stderr);
        }),
      ];
      await Promise.all(changes);

      for (let at = 0; at < pushers.length; at++) {
        equal(await dig(server.dns, ["+short", `ns1.own${at}.test`, "A"]), `192.0.2.${at}`);
      }
      const refs =
        (await run("git", ["-C", repository, "for-each-ref", "--format=%(refname) %(objectname)"])).stdout;
      for (const branch of branches) ok(refs.includes(`${branch} ${aside}\n`), branch);
      for (let at = 0; at < 200; at++) {
        equal(
          await crowd.first.ask(server.dns, `_acme-challenge.n${at}.example.test`, "TXT").then(String),
          String(at),
        );
      }
      // One for each update, and one for the push that brought `aside`.
      equal(await serialOf(server), 1 + 200 + 1);
      // Fails where a question got no answer; how long the longest took is for people to read.
      console.log(JSON.stringify({ longestUdpMs: await crowd.end() }));
      ok(await peakMegabytes(server) < 700, `${await peakMegabytes(server)} MB`);
      await sameAsRefs(server, repository);
    } finally {
      await crowd.end();
      equal(await server.stop(), 0);
    }
    await fsck(`${dir}/.bailiwick`);
  },
);

realTest(
  "a zone of 200,000 records is pushed, changed and updated while resolvers are answered, and survives a kill",
  {
    needs: NEEDS,
  },
  async ({ dir }) => {
    const RECORDS = 200_000;
    let server = await serverIn(dir, FIRST);
    const crowd = resolvers(server, "example.test");
    const took: Record<string, number> = {};
    const timed = async (what: string, task: () => Promise<unknown>) => {
      const started = performance.now();
      await task();
      took[what] = Math.round(performance.now() - started);
    };
    try {
      const site = await siteOf(server, dir);
      const hosts = Array.from(
        { length: RECORDS },
        (_, at) => `h${at} A 10.${at >> 16}.${at >> 8 & 255}.${at & 255}`,
      );
      const head = "$TTL 60\n@ SOA ns1 host 1 1h 15m 1w 5m\n@ NS ns1\nns1 A 127.0.0.1\n";
      await Deno.writeTextFile(`${site.clone}/big.test.zone`, `${head}${hosts.join("\n")}\n`);
      await site.git(["add", "-A"]);
      await site.git(["commit", "-qm", "Big"]);
      await timed("push", () => site.git(["push", "-q"]));
      equal(await dig(server.dns, ["+short", `h${RECORDS - 1}.big.test`, "A"]), "10.3.13.63");
      await timed("update", async () => {
        const { code, stderr } = await site.update(
          ["add _acme-challenge.big.test. 60 TXT token"],
          "big.test",
        );
        equal(code, 0, stderr);
      });
      await Deno.writeTextFile(`${site.clone}/big.test.zone`, "one A 192.0.2.1\n", { append: true });
      await site.git(["commit", "-qam", "One more"]);
      await timed("push of one more", () => site.git(["push", "-q"]));
      equal(await serialOf(server, "big.test"), 3);
      const longest = await crowd.end();
      const peak = await peakMegabytes(server);
      await server.kill();
      await timed("start after the kill", async () => server = await serverIn(dir, AGAIN));
      console.log(JSON.stringify({ ...took, longestUdpMs: longest, peakMegabytes: peak }));
      equal(await dig(server.dns, ["+short", "one.big.test", "A"]), "192.0.2.1");
      equal(await dig(server.dns, ["+short", "_acme-challenge.big.test", "TXT"]), '"token"');
      equal(await serialOf(server, "big.test"), 3);
      ok(peak < 2000, `${peak} MB`);
      ok(!/worker .* failed/.test(server.log()), server.log());
    } finally {
      await crowd.end();
      equal(await server.stop(), 0);
    }
    await fsck(`${dir}/.bailiwick`);
  },
);

// --- what the tests share ----------------------------------------------------------------------------------------

/** A clone of a running server's zones, and an updater with the admin's key. */
async function siteOf(server: RunningServer, dir: string, data = `${dir}/.bailiwick`) {
  const clone = await Deno.makeTempDir({ dir, prefix: "clone-" });
  const file = `${clone}/example.test.zone`;
  const git = (args: readonly string[], check = true) =>
    run("git", args, { cwd: clone, env: gitEnvironment(data), check });
  await git(["clone", "-q", `ssh://git@${server.ssh}/zones.git`, "."]);
  const edit = async (change: (text: string) => string) => {
    await Deno.writeTextFile(file, change(await Deno.readTextFile(file)));
    await git(["commit", "-qam", "Change"]);
  };
  const commit = (lines: string) => edit((text) => `${text}${lines}\n`);
  return {
    clone,
    git,
    edit,
    commit,
    push: async (line: string) => {
      await commit(line);
      await git(["push", "-q"]);
    },
    update: async (lines: readonly string[], zone = "example.test") => {
      const outcome = await nsupdateUntil(NEVER, server.dns, `${data}/keys/admin.key`, zone, lines);
      ok(outcome !== undefined);
      return outcome;
    },
  };
}

const NEVER = new AbortController().signal;

/** Resolvers that ask all the time, each from a port of its own: between them they meet every worker. */
function resolvers(server: RunningServer, name: string) {
  const askers = Array.from({ length: 6 }, () => createAsker(10_000));
  let asking = true;
  let longest = 0;
  const loops = askers.map(async (asker) => {
    while (asking) {
      ok(await asker.ask(server.dns, name, "A") !== undefined, "a question got no answer");
      longest = Math.max(longest, asker.longest());
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  const ended = Promise.allSettled(loops);
  let closed: Promise<number> | undefined;
  const end = async () => {
    asking = false;
    const outcomes = await ended;
    for (const asker of askers) asker.close();
    const failed = outcomes.find((outcome) => outcome.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return Math.round(longest);
  };
  return {
    first: askers[0],
    /** Stops asking; the longest that an answer took, in milliseconds. */
    end: () => closed ??= end(),
  };
}

/** The most memory that the server ever held, resident. */
async function peakMegabytes(server: RunningServer): Promise<number> {
  const { stdout } = await run("sh", ["-c", `cat /proc/${server.pid}/status`]);
  return Math.round(Number(/VmHWM:\s+(\d+) kB/.exec(stdout)?.[1]) / 1024);
}

async function serialOf(server: RunningServer, zone = "example.test"): Promise<number> {
  return Number((await dig(server.dns, ["+short", zone, "SOA"])).split(" ")[2]);
}

async function sameAsRefs(server: RunningServer, repository: string): Promise<void> {
  const { zones } = await (await fetch(`${server.web}/healthz`)).json();
  const refs = (await run("git", ["-C", repository, "rev-parse", "main", "machine"])).stdout.trim().split(
    "\n",
  );
  for (const zone of zones) deepEqual([zone.main, zone.machine], refs);
}

async function fsck(data: string): Promise<void> {
  const outcome = await run("git", ["-C", `${data}/zones.git`, "fsck", "--strict", "--full"]);
  equal(outcome.stderr.replace(/^notice: .*\n/gm, ""), "");
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The same noise in every run. */
function garbage(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = state * 48271 % 0x7fffffff) & 0xff);
}

async function overwrite(path: string, offset: number, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await file.seek(offset, Deno.SeekMode.Start);
  await file.write(bytes);
}

/** Takes all the room of a file system but so many octets. */
async function fill(path: string, leave: number): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  let size = 0;
  try {
    for (const chunk = new Uint8Array(4096);;) size += await file.write(chunk);
  } catch (error) {
    if (!(error instanceof Error) || !/space/i.test(error.message)) throw error;
  }
  await file.truncate(size - leave);
}

function canMount(): boolean {
  const script =
    'd=$(mktemp -d) && mount -t tmpfs -o size=64k tmpfs "$d" && umount "$d"; s=$?; rmdir "$d"; exit $s';
  return Deno.uid() === 0 &&
    new Deno.Command("sh", { args: ["-c", script], stderr: "null" }).outputSync().success;
}
