/** git pushes to our receive-pack: what is sound gets in, what is not leaves nothing behind. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { initRepository, textOf } from "../../../store/mod.ts";
import type { Oid, Repository } from "../../../store/mod.ts";
import { admitAll, type AdmitPush } from "../../../store/protocol/admit_push.ts";
import { serveReceivePack } from "../../../store/protocol/receive_pack.ts";
import type { ReceivePackOptions, ReceiveSummary } from "../../../store/protocol/receive_pack.ts";
import { serveUploadPack } from "../../../store/protocol/serve.ts";
import { realTest, run } from "../../tools/real.ts";
import { commits, fsck, gitV, oidOf, withGitServer, workTree } from "./git_server.ts";

for (const version of [0, 1, 2]) {
  realTest(
    `new branches, fast-forwards and tags are taken, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 3);
      await serving(dir, {}, async ({ url, repository }) => {
        await gitV(version, ["push", url, "main"], { cwd: work });
        equal(await repository.refs.get("refs/heads/main"), await oidOf(work, "main"));
        await commits(work, 2, "more");
        await run("git", ["tag", "-a", "-m", "t", "v1"], { cwd: work });
        await gitV(version, ["push", url, "main", "main:refs/heads/other", "v1"], { cwd: work });
        deepEqual([...(await repository.refs.list()).keys()], [
          "refs/heads/main",
          "refs/heads/other",
          "refs/tags/v1",
        ]);
        equal(await repository.refs.get("refs/heads/other"), await oidOf(work, "main"));
        const { stderr } = await gitV(version, ["push", url, "main"], { cwd: work });
        match(stderr, /Everything up-to-date/);
        await gitV(version, ["clone", "-q", url, `${dir}/clone`]);
        equal(await oidOf(`${dir}/clone`, "HEAD"), await oidOf(work, "main"));
        await fsck(`${dir}/clone`);
      });
    },
  );

  realTest(
    `rewritten history and deletions are refused, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 3);
      await serving(dir, {}, async ({ url, repository }) => {
        await gitV(version, ["push", url, "main", "main:refs/heads/side"], { cwd: work });
        const before = await repository.refs.get("refs/heads/main");
        await run("git", ["reset", "-q", "--hard", "HEAD~2"], { cwd: work });
        await commits(work, 1, "rewritten");
        const forced = await gitV(version, ["push", "-f", url, "main"], { cwd: work, check: false });
        equal(forced.code, 1);
        match(forced.stderr, /\[remote rejected\] main -> main \(non-fast-forward\)/);
        const deleted = await gitV(version, ["push", url, ":side"], { cwd: work, check: false });
        equal(deleted.code, 1);
        match(deleted.stderr, /does not support deleting refs|deletion prohibited/);
        equal(await repository.refs.get("refs/heads/main"), before);
        equal(await repository.refs.get("refs/heads/side"), before);
        equal(await repository.has(await oidOf(work, "main") as Oid), false);
      });
    },
  );

  realTest(`several refs are taken all or none, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 2);
    await serving(dir, {}, async ({ url, repository }) => {
      await gitV(version, ["push", url, "main"], { cwd: work });
      const before = await repository.refs.get("refs/heads/main");
      await run("git", ["branch", "good"], { cwd: work });
      await run("git", ["reset", "-q", "--hard", "HEAD~1"], { cwd: work });
      await commits(work, 1, "rewritten");
      for (const flag of ["--atomic", "--no-atomic"]) {
        const refused = await gitV(version, ["push", flag, "-f", url, "main", "good"], {
          cwd: work,
          check: false,
        });
        match(refused.stderr, /main -> main \(non-fast-forward\)/);
        match(refused.stderr, /good -> good \(atomic push failure\)/);
      }
      deepEqual([...await repository.refs.list()], [["refs/heads/main", before]]);
    });
  });

  realTest(
    `a refusal's lines are read by the pusher, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 2);
      let seen: readonly string[] = [];
      const admit: AdmitPush = async ({ moves, objects, pushOptions, say }) => {
        seen = pushOptions;
        const tip = moves[0].new;
        const commit = tip === undefined ? undefined : await objects.read(tip);
        match(textOf(commit?.content ?? new Uint8Array()), /^tree /);
        await say("zones/example.test:14:9: no such type \x1b[31m\nzones/other.test:1:1: no SOA");
        return { results: new Map([[moves[0].name, { ok: false, reason: "2 faults" }]]) };
      };
      await serving(dir, { admit }, async ({ url, repository }) => {
        const refused = await gitV(version, ["push", "-o", "dry", "-o", "x=1", url, "main"], {
          cwd: work,
          check: false,
        });
        equal(refused.code, 1);
        const said = refused.stderr.split("\n").filter((line) => line.startsWith("remote: ")).map((line) =>
          line.trimEnd()
        );
        deepEqual(said, [
          "remote: zones/example.test:14:9: no such type ?[31m",
          "remote: zones/other.test:1:1: no SOA",
        ]);
        match(refused.stderr, /\[remote rejected\] main -> main \(2 faults\)/);
        deepEqual(seen, ["dry", "x=1"]);
        equal((await repository.refs.list()).size, 0);
        equal(await repository.has(await oidOf(work, "main") as Oid), false);
      });
    },
  );

  realTest(`a thin pack with deltas is completed, by v${version}`, { needs: ["git"] }, async ({ dir }) => {
    const work = await workTree(dir);
    const lines = Array.from({ length: 4000 }, (_, i) => `host${i} IN A 192.0.2.${i % 250}`);
    await Deno.writeTextFile(`${work}/big.zone`, lines.join("\n"));
    await run("git", ["add", "."], { cwd: work });
    await run("git", ["commit", "-q", "-m", "big"], { cwd: work });
    await serving(dir, {}, async ({ url, repository, served }) => {
      await gitV(version, ["push", url, "main"], { cwd: work });
      lines[2000] = "changed IN A 192.0.2.1";
      await Deno.writeTextFile(`${work}/big.zone`, lines.join("\n"));
      await run("git", ["commit", "-q", "-a", "-m", "small change"], { cwd: work });
      await gitV(version, ["push", url, "main"], { cwd: work });
      const blob = await oidOf(work, "main:big.zone");
      equal(textOf((await repository.read(blob as Oid))?.content ?? new Uint8Array()), lines.join("\n"));
      ok(served.length >= 1);
    });
  });
}

realTest("a push of many objects is kept as one pack that git reads", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 200);
  await serving(dir, {}, async ({ url, repository }) => {
    await gitV(2, ["push", url, "main"], { cwd: work });
    equal(await oidOf(repository.path, "refs/heads/main"), await oidOf(work, "main"));
    equal((await run("git", ["rev-list", "--count", "main"], { cwd: repository.path })).stdout, "200\n");
  });
});

realTest(
  "a push over its limits is refused with the limit named, before its end",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    const noise = new Uint8Array(1 << 20);
    for (let at = 0; at < noise.length; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536));
    await Deno.writeFile(`${work}/noise`, noise);
    await run("git", ["add", "."], { cwd: work });
    await run("git", ["commit", "-q", "-m", "noise"], { cwd: work });
    const pack = {
      packBytes: 100_000,
      objectBytes: 10_000_000,
      objects: 1000,
      deltaDepth: 50,
      deltaWork: 1 << 30,
    };
    await serving(dir, { limits: { pack } }, async ({ url, repository }) => {
      const refused = await gitV(2, ["push", url, "main"], { cwd: work, check: false });
      equal(refused.code, 1);
      match(refused.stderr, /100000 bytes|unpack/);
      equal((await repository.refs.list()).size, 0);
    });
  },
);

realTest(
  "an admission that fails is an internal error to the pusher and a fault to us",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 1);
    const admit = () => Promise.reject(new Error("disk on fire"));
    const failed = await serving(dir, { admit, faults: true }, async ({ url, repository }) => {
      const refused = await gitV(2, ["push", url, "main"], { cwd: work, check: false });
      match(refused.stderr, /\[remote rejected\] main -> main \(internal error\)/);
      ok(!refused.stderr.includes("fire"));
      equal((await repository.refs.list()).size, 0);
    });
    equal(failed.length, 1);
    equal((failed[0].cause as Error).message, "disk on fire");
  },
);

realTest("objects that git itself would warn of are refused by fsck", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 1);
  const blob = await oidOf(work, "HEAD:zone-base");
  const entry = new Uint8Array([
    ...new TextEncoder().encode("100644 .git\0"),
    ...(blob.match(/../g) ?? []).map((pair) => parseInt(pair, 16)),
  ]);
  const tree = (await run("git", ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], {
    cwd: work,
    stdin: entry,
  })).stdout.trim();
  const commit = (await run("git", ["commit-tree", "-m", "evil", tree], { cwd: work })).stdout.trim();
  await serving(dir, {}, async ({ url, repository }) => {
    const refused = await gitV(2, ["push", url, `${commit}:refs/heads/main`], { cwd: work, check: false });
    equal(refused.code, 1);
    match(refused.stderr, /unpack failed.*hasDotgit/i);
    equal((await repository.refs.list()).size, 0);
  });
});

interface Serving {
  readonly url: string;
  readonly repository: Repository;
  readonly served: ReceiveSummary[];
}

/** Serves a new repository; afterwards it must be sound in git's eyes and free of quarantines. Gives our own faults. */
async function serving(
  dir: string,
  options: { admit?: AdmitPush; limits?: ReceivePackOptions["limits"]; faults?: boolean },
  use: (context: Serving) => Promise<void>,
): Promise<Error[]> {
  const repository = await initRepository(`${dir}/zones.git`);
  const served: ReceiveSummary[] = [];
  const failed: Error[] = [];
  try {
    await withGitServer(async ({ flow, version, service }) => {
      const { admit = admitAll(repository), limits } = options;
      const outcome = service === "git-receive-pack"
        ? await serveReceivePack({ repository, flow, version, admit, limits })
        : await serveUploadPack({ repository, flow, version });
      if (!outcome.ok) failed.push(outcome.error);
      else if ("results" in outcome.value) served.push(outcome.value);
    }, (url) => use({ url, repository, served }));
    if (options.faults !== true) deepEqual(failed, []);
  } finally {
    repository.close();
  }
  await fsck(repository.path);
  for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
    ok(!entry.name.startsWith("tmp_"), entry.name);
  }
  return failed;
}
