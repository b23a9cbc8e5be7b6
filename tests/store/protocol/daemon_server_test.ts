/** Our git:// server: git as the client, and clients that are none. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { listenTcp, memoryPair } from "../../../conduit/mod.ts";
import { initRepository, serveGitDaemon } from "../../../store/mod.ts";
import type { Repository, StoreError } from "../../../store/mod.ts";
import { parseDaemonRequest } from "../../../store/protocol/daemon_server.ts";
import { daemonRequest } from "../../../store/protocol/openers.ts";
import { encodePkt, PktDecoder } from "../../../store/protocol/pkt_line.ts";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, oidOf, workTree } from "./git_server.ts";

for (const version of [0, 1, 2]) {
  realTest(
    `git clones and fetches over git:// by v${version}, and cannot push`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 20);
      await run("git", ["clone", "-q", "--bare", work, `${dir}/zones.git`]);
      const faults = await serving(dir, async (url) => {
        await gitV(version, ["clone", "-q", url, `${dir}/clone`]);
        equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
        await commits(work, 3, "more");
        await run("git", ["push", "-q", `${dir}/zones.git`, "main"], { cwd: work });
        await gitV(version, ["fetch", "-q"], { cwd: `${dir}/clone` });
        equal(await oidOf(`${dir}/clone`, "origin/main"), await oidOf(work, "main"));
        await fsck(`${dir}/clone`);
        const pushed = await gitV(version, ["push", url, "main:refs/heads/x"], { cwd: work, check: false });
        ok(pushed.code !== 0);
        match(pushed.stderr, /git-receive-pack is not served here/);
        const elsewhere = await gitV(version, ["ls-remote", url.replace("zones", "other")], { check: false });
        match(elsewhere.stderr, /access denied or repository not exported: \/other\.git/);
      });
      deepEqual(faults.map(({ code }) => code), ["protocol", "protocol"]);
    },
  );
}

realTest("a repository with TSIG keys is served to nobody over git://, from the moment they come", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 2);
  await run("git", ["clone", "-q", "--bare", work, `${dir}/zones.git`]);
  const faults = await serving(dir, async (url) => {
    await gitV(2, ["ls-remote", url]);
    await Deno.writeTextFile(`${work}/_keys`, "secret");
    await run("git", ["add", "."], { cwd: work });
    await run("git", ["commit", "-q", "-m", "keys"], { cwd: work });
    await run("git", ["push", "-q", `${dir}/zones.git`, "main"], { cwd: work });
    const refused = await gitV(2, ["ls-remote", url], { check: false });
    match(refused.stderr, /access denied/);
    ok(!refused.stderr.includes("_keys"));
  });
  match(faults[0].message, /^_keys in refs\/heads\/main holds TSIG keys/);
});

const REQUESTS: readonly { name: string; bytes: Uint8Array; says: RegExp }[] = [
  {
    name: "another service",
    bytes: daemonRequest("git-upload-archive", "/zones.git", "x", 0),
    says: /not served here/,
  },
  ...["/../zones.git", "//zones.git", "/zones.git/../zones.git", "/~root/x", "-x", "/", "", "/a\\b"].map((
    path,
  ) => ({
    name: `the path ${JSON.stringify(path)}`,
    bytes: daemonRequest("git-upload-pack", path, "x", 0),
    says: /access denied/,
  })),
  { name: "no path", bytes: encodePkt("git-upload-pack"), says: /not a request/ },
  { name: "bytes that are no text", bytes: encodePkt(new Uint8Array([0xff, 0xfe])), says: /not UTF-8/ },
  { name: "a flush", bytes: new TextEncoder().encode("0000"), says: /flush packet/ },
  { name: "a bad length", bytes: new TextEncoder().encode("zzzz"), says: /bad packet length/ },
  { name: "a long one", bytes: encodePkt(`git-upload-pack /${"x".repeat(5000)}\0`), says: /more than 4096/ },
];

for (const { name, bytes, says } of REQUESTS) {
  Deno.test(`a request over git:// with ${name} is refused in words`, async () => {
    await withEmpty(async (repository) => {
      const [near, far] = memoryPair();
      const serving = serveGitDaemon({ flow: far, find: () => repository });
      await near.write(bytes);
      const decoder = new PktDecoder();
      for (let read = await near.read(); read !== undefined; read = await near.read()) decoder.push(read);
      near.close();
      const outcome = await serving;
      ok(!outcome.ok);
      const pkt = decoder.next();
      ok(pkt?.kind === "data");
      match(new TextDecoder().decode(pkt.payload), /^ERR /);
      match(new TextDecoder().decode(pkt.payload), says);
      far.close();
    });
  });
}

Deno.test("a client of git:// that says nothing is given up when its time is over", async () => {
  await withEmpty(async (repository) => {
    const [near, far] = memoryPair();
    let fire: (() => void) | undefined;
    const timer = (milliseconds: number, expired: () => void) => {
      if (milliseconds === 1000) fire = expired;
      return () => {};
    };
    const serving = serveGitDaemon({ flow: far, find: () => repository, bounds: { idle: 1000, timer } });
    await new Promise((resolve) => setTimeout(resolve, 0));
    fire?.();
    const outcome = await serving;
    equal(outcome.ok || outcome.error.code, "limit");
    near.close();
  });
});

Deno.test("a request is read as our own client writes it", () => {
  const word = fc.stringMatching(/^[a-z./-]{1,20}$/);
  const version = fc.constantFrom(0 as const, 1 as const, 2 as const);
  fc.assert(fc.property(word, word, version, (path, host, asked) => {
    const packet = daemonRequest("git-upload-pack", path, host, asked);
    deepEqual(parseDaemonRequest(packet.subarray(4)), {
      service: "git-upload-pack",
      path,
      host,
      version: asked,
    });
  }));
  const old = new TextEncoder().encode("git-upload-pack /zones.git\n");
  deepEqual(parseDaemonRequest(old), {
    service: "git-upload-pack",
    path: "/zones.git",
    host: undefined,
    version: 0,
  });
});

/** Gives what went wrong with clients, once all have been served. */
async function serving(dir: string, use: (url: string) => Promise<void>): Promise<StoreError[]> {
  const repository = await initRepository(`${dir}/zones.git`);
  const faults: StoreError[] = [];
  const listening = listenTcp({ host: "127.0.0.1", port: 0 }, async (flow) => {
    const find = (path: string) => path === "zones.git" ? repository : undefined;
    const outcome = await serveGitDaemon({ flow, find });
    if (!outcome.ok) faults.push(outcome.error);
  });
  if (!listening.ok) throw listening.error;
  try {
    await use(`git://127.0.0.1:${listening.value.address.port}/zones.git`);
  } finally {
    await listening.value.stop({ graceMs: 5000 });
    repository.close();
  }
  return faults;
}

async function withEmpty(use: (repository: Repository) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-daemon-" });
  const repository = await initRepository(`${dir}/zones.git`);
  try {
    await use(repository);
  } finally {
    repository.close();
    await Deno.remove(dir, { recursive: true });
  }
}
