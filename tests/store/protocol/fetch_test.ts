/** Our client fetches: from git's own upload-pack in every version, from a git daemon, from our own server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, createRegistry, pipeFlow, tcpResolver } from "../../../conduit/mod.ts";
import {
  commandOpener,
  daemonOpener,
  fetchFrom,
  flowOpener,
  initRepository,
  lsRefs,
} from "../../../store/mod.ts";
import type { Oid, OpenService, Repository, ServiceCommand } from "../../../store/mod.ts";
import { findProgram, quietEnvironment, realTest, run } from "../../tools/real.ts";
import { fetchOptions, follow, gitRemote, history, LIMITS, REMOTES } from "./fetch_remotes.ts";
import { measuredFetch } from "./fetch_measure.ts";
import { commits, fsck, oidOf, workTree } from "./git_server.ts";

for (const version of [0, 1, 2] as const) {
  for (const [name, opener] of REMOTES) {
    realTest(
      `fetches all, then what is new, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await workTree(dir);
        await commits(work, 5);
        await run("git", ["tag", "-a", "-m", "t", "v1"], { cwd: work });
        await withLocal(dir, async (repository) => {
          const remote = opener(`${work}/.git`);
          try {
            const first = await fetch(repository, remote.open, version);
            equal(first.refs.get("refs/heads/main"), await oidOf(work, "main"));
            equal(first.symrefs.get("HEAD"), undefined); // The prefix was refs/.
            equal(first.peeled.get("refs/tags/v1"), await oidOf(work, "main"));
            equal(first.received?.objects, 16);
            equal((await repository.refs.list()).size, 0); // Refs are the caller's to move.
            await moveTo(repository, "refs/heads/main", first.refs.get("refs/heads/main"));

            await commits(work, 2, "later");
            const second = await fetch(repository, remote.open, version);
            equal(second.received?.objects, 6);
            const third = await fetch(repository, remote.open, version);
            equal(third.received, undefined);
            await moveTo(repository, "refs/heads/main", third.refs.get("refs/heads/main"));
          } finally {
            await remote.ended();
          }
        });
      },
    );

    realTest(
      `finds common ground below its own commits, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await workTree(dir);
        await commits(work, 5);
        await run("git", ["clone", "-q", "--bare", work, `${dir}/local.git`]);
        await commits(`${dir}/local.git`, 200, "mine");
        await commits(work, 3, "theirs");
        await withLocal(dir, async (repository) => {
          const remote = opener(`${work}/.git`);
          try {
            const outcome = await fetch(repository, remote.open, version);
            equal(outcome.received?.objects, 9);
            await moveTo(repository, "refs/heads/theirs", outcome.refs.get("refs/heads/main"));
          } finally {
            await remote.ended();
          }
        });
      },
    );

    realTest(
      `an unrelated history comes whole, from ${name} by v${version}`,
      { needs: ["git"] },
      async ({ dir }) => {
        const work = await workTree(dir);
        await commits(work, 4);
        await run("git", ["init", "-q", "--bare", "-b", "main", `${dir}/local.git`]);
        await commits(`${dir}/local.git`, 120, "unrelated");
        await withLocal(dir, async (repository) => {
          const remote = opener(`${work}/.git`);
          try {
            const outcome = await fetch(repository, remote.open, version);
            equal(outcome.received?.objects, 12);
            await moveTo(repository, "refs/heads/theirs", outcome.refs.get("refs/heads/main"));
          } finally {
            await remote.ended();
          }
        });
      },
    );

    realTest(`lists refs by prefix, also of an empty repository, from ${name} by v${version}`, {
      needs: ["git"],
    }, async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 1);
      await run("git", ["branch", "machine"], { cwd: work });
      await run("git", ["init", "-q", "--bare", "-b", "trunk", `${dir}/empty.git`]);
      const remote = opener(`${work}/.git`);
      const empty = opener(`${dir}/empty.git`);
      try {
        const some = await lsRefs({ open: remote.open, refPrefixes: ["refs/heads/ma", "HEAD"], version });
        ok(some.ok, some.ok ? "" : some.error.message);
        deepEqual([...some.value.refs.keys()].sort(), ["HEAD", "refs/heads/machine", "refs/heads/main"]);
        equal(some.value.symrefs.get("HEAD"), "refs/heads/main");
        const one = await lsRefs({ open: remote.open, refPrefixes: ["refs/heads/main"], version });
        deepEqual(one.ok && [...one.value.refs], [["refs/heads/main", await oidOf(work, "main")]]);
        const none = await lsRefs({ open: empty.open, refPrefixes: [], version });
        equal(none.ok && none.value.refs.size, 0);
        if (version === 2) equal(none.ok && none.value.symrefs.get("HEAD"), "refs/heads/trunk");
      } finally {
        await remote.ended();
        await empty.ended();
      }
    });
  }

  realTest(
    `a pack with deltas against what we have is completed, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      const lines = Array.from({ length: 4000 }, (_, i) => `host${i} IN A 192.0.2.${i % 250}`);
      await Deno.writeTextFile(`${work}/big.zone`, lines.join("\n"));
      await run("git", ["add", "."], { cwd: work });
      await run("git", ["commit", "-q", "-m", "big"], { cwd: work });
      await withLocal(dir, async (repository) => {
        const remote = gitRemote(`${work}/.git`);
        try {
          const first = await fetch(repository, remote.open, version);
          await moveTo(repository, "refs/heads/main", first.refs.get("refs/heads/main"));
          lines[77] = "changed";
          await Deno.writeTextFile(`${work}/big.zone`, lines.join("\n"));
          await run("git", ["commit", "-q", "-a", "-m", "small"], { cwd: work });
          const counted = countingOpener(remote.open);
          const second = await fetch(repository, counted.open, version);
          ok(counted.bytes() < 5000, "the blob came as a delta");
          await moveTo(repository, "refs/heads/main", second.refs.get("refs/heads/main"));
        } finally {
          await remote.ended();
        }
      });
    },
  );
}

realTest("fetches from a git daemon", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 3);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const daemon = new Deno.Command(findProgram("git") ?? "git", {
    args: [
      "daemon",
      "--reuseaddr",
      "--export-all",
      "--listen=127.0.0.1",
      `--port=${port}`,
      `--base-path=${dir}`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const registry = createRegistry().with(tcpResolver());
    const open = daemonOpener(
      () => untilUp(() => connect(registry, { scheme: "tcp", host: "127.0.0.1", port })),
      { host: "127.0.0.1", path: "/work/.git" },
    );
    await withLocal(dir, async (repository) => {
      const outcome = await fetch(repository, open, 2);
      equal(outcome.received?.objects, 9);
      await moveTo(repository, "refs/heads/main", outcome.refs.get("refs/heads/main"));
      for (const version of [0, 1, 2] as const) {
        await follow(repository, open, version, { depth: 2 });
        equal((await history(repository.path)).commits.length, 2);
        await follow(repository, open, version, { unshallow: true });
        equal((await history(repository.path)).commits.length, 3);
      }
      const wrong = daemonOpener(() => connect(registry, { scheme: "tcp", host: "127.0.0.1", port }), {
        host: "127.0.0.1",
        path: "/nowhere.git",
      });
      const refused = await lsRefs({ open: wrong, refPrefixes: [] });
      equal(refused.ok, false);
      if (!refused.ok) {
        equal(refused.error.code, "remote");
        match(refused.error.message, /access denied or repository not exported/);
      }
    });
  } finally {
    daemon.kill("SIGTERM");
    await daemon.status;
  }
});

realTest(
  "what the far program says on its error output is in the error",
  { needs: ["git"] },
  async ({ dir }) => {
    const remote = gitRemote(`${dir}/nowhere.git`);
    try {
      const outcome = await lsRefs({ open: remote.open, refPrefixes: [] });
      equal(outcome.ok, false);
      if (!outcome.ok) match(outcome.error.message, /nowhere\.git' does not appear to be a git repository/);
    } finally {
      await remote.ended();
    }
  },
);

realTest("a fetch over its limits leaves nothing behind", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 5);
  await withLocal(dir, async (repository) => {
    const remote = gitRemote(`${work}/.git`);
    try {
      const outcome = await fetchFrom({
        ...fetchOptions(repository, remote.open, 2),
        limits: { ...LIMITS, objects: 3 },
      });
      equal(outcome.ok || outcome.error.code, "limit");
      equal(await repository.has(await oidOf(work, "main") as Oid), false);
    } finally {
      await remote.ended();
    }
  });
});

for (const version of [0, 1, 2] as const) {
  realTest(`fetches through a child's pipes and through standard streams, by v${version}`, {
    needs: ["git"],
  }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 4);
    const running: Promise<unknown>[] = [];
    const started = ({ words: [service, path], env }: ServiceCommand) => {
      const child = new Deno.Command(findProgram("git") ?? "git", {
        args: [service.slice(4), path],
        env: { ...quietEnvironment(), ...env },
        clearEnv: true,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      running.push(child.status);
      const { stdin: writable, stdout: readable, stderr: diagnostics } = child;
      return pipeFlow({ readable, writable, diagnostics, description: `${service} ${path}` });
    };
    await withLocal(dir, async (repository) => {
      const open = commandOpener(
        (command) => Promise.resolve({ ok: true, value: started(command) }),
        `${work}/.git`,
      );
      await follow(repository, open, version, { depth: 2 });
      await follow(repository, open, version, { unshallow: true });
      equal((await history(repository.path)).commits.length, 4);
      await commits(work, 1, "later");
      const env: Record<string, string> = version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` };
      const once = flowOpener(started({ words: ["git-upload-pack", `${work}/.git`], env }));
      equal((await follow(repository, once, version)).received?.objects, 3);
      const again = await lsRefs({ open: once, refPrefixes: [], version });
      equal(again.ok || again.error.code, "unreachable");
      const nowhere = commandOpener(
        (command) => Promise.resolve({ ok: true, value: started(command) }),
        `${dir}/nowhere.git`,
      );
      const refused = await lsRefs({ open: nowhere, refPrefixes: [], version });
      ok(!refused.ok);
      match(refused.error.message, /nowhere\.git.* does not appear to be a git repository/);
    });
    await Promise.all(running);
  });

  realTest(`annotated tags come along with what they name where that is asked, by v${version}`, {
    needs: ["git"],
  }, async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 3);
    await run("git", ["tag", "-a", "-m", "t", "v1"], { cwd: work });
    const tag = await oidOf(work, "v1") as Oid;
    const remote = gitRemote(`${work}/.git`);
    for (const includeTags of [false, true]) {
      const repository = await initRepository(`${dir}/tags-${includeTags}.git`);
      try {
        await follow(repository, remote.open, version, { includeTags });
        equal(await repository.has(tag), includeTags);
      } finally {
        repository.close();
      }
    }
    await remote.ended();
  });

  realTest(`fetches everything again into a damaged store, which heals, by v${version}`, {
    needs: ["git"],
  }, async ({ dir, step }) => {
    const work = await workTree(dir);
    await commits(work, 30);
    const remote = gitRemote(`${work}/.git`);
    const whole = await history(`${work}/.git`);
    await step("loose objects cut off, overwritten, gone", async () => {
      // By a URL: a clone of a path shares its files with what it was cloned from.
      await run("git", ["clone", "-q", "--bare", `file://${work}`, `${dir}/loose.git`]);
      await scatter(`${dir}/loose.git`);
      const victims: string[] = [];
      for (const revision of ["main~3", "main~5^{tree}", "main:zone-base"]) {
        victims.push(await oidOf(work, revision));
      }
      for (const [index, oid] of victims.entries()) {
        const path = loosePath(`${dir}/loose.git`, oid);
        await Deno.chmod(path, 0o644);
        if (index === 0) await Deno.truncate(path, 9);
        else if (index === 1) await Deno.writeFile(path, new Uint8Array(50).fill(7));
        else await Deno.remove(path);
      }
      await healed(`${dir}/loose.git`);
      await fsck(`${dir}/loose.git`);
    });
    await step("a pack with bytes that are others", async () => {
      await run("git", ["clone", "-q", "--bare", `file://${work}`, `${dir}/packed.git`]);
      await run("git", ["repack", "-q", "-a", "-d"], { cwd: `${dir}/packed.git` });
      for await (const { name } of Deno.readDir(`${dir}/packed.git/objects/pack`)) {
        if (!name.endsWith(".pack")) continue;
        const path = `${dir}/packed.git/objects/pack/${name}`;
        await Deno.chmod(path, 0o644);
        const bytes = await Deno.readFile(path);
        bytes.fill(0x55, bytes.length >> 1, (bytes.length >> 1) + 300);
        await Deno.writeFile(path, bytes);
      }
      await healed(`${dir}/packed.git`);
    });
    await remote.ended();

    async function healed(path: string): Promise<void> {
      const repository = await initRepository(path);
      try {
        const outcome = await follow(repository, remote.open, version, { refetch: true });
        equal(outcome.received?.objects, whole.objects.length);
        for (const oid of whole.objects) ok(await repository.read(oid as Oid), oid);
      } finally {
        repository.close();
      }
    }
  });
}

realTest("what is there without its parts is fetched, whatever says that it is there", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 8);
  await run("git", ["clone", "-q", "--bare", work, `${dir}/local.git`]);
  await scatter(`${dir}/local.git`);
  // A branch that was dropped here, of which a collection left the commit and took the file.
  await run("git", ["update-ref", "refs/heads/main", "main~4"], { cwd: `${dir}/local.git` });
  const blob = await oidOf(work, "main:zone-base");
  await Deno.remove(loosePath(`${dir}/local.git`, blob));
  await withLocal(dir, async (repository) => {
    const remote = gitRemote(`${work}/.git`);
    equal(await repository.has(await oidOf(work, "main") as Oid), true);
    const outcome = await follow(repository, remote.open, 2);
    ok((outcome.received?.objects ?? 0) > 0);
    ok(await repository.has(blob as Oid));
    await remote.ended();
  });
});

realTest("one new commit in a long history costs three round trips and a look at the last few commits", {
  needs: ["git"],
}, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 400);
  await run("git", ["clone", "-q", "--bare", work, `${dir}/local.git`]);
  await commits(work, 1, "new");
  await withLocal(dir, async (repository) => {
    const remote = gitRemote(`${work}/.git`);
    const measured = await measuredFetch(fetchOptions(repository, remote.open, 2));
    equal(measured.outcome.received?.objects, 3);
    equal(measured.roundTrips, 3);
    ok(measured.reads < 60, `${measured.reads} objects were read`);
    await remote.ended();
    const moved = await repository.refs.move({
      name: "refs/heads/main",
      old: await repository.refs.get("refs/heads/main"),
      new: measured.outcome.refs.get("refs/heads/main"),
    });
    ok(moved.ok);
  });
});

function loosePath(repository: string, oid: string): string {
  return `${repository}/objects/${oid.slice(0, 2)}/${oid.slice(2)}`;
}

/** Makes loose objects of what lies in packs. */
async function scatter(repository: string): Promise<void> {
  const folder = `${repository}/objects/pack`;
  const packs: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".pack")) packs.push(name);
  for (const name of packs) {
    const bytes = await Deno.readFile(`${folder}/${name}`);
    for (const ending of ["pack", "idx", "rev"]) {
      await Deno.remove(`${folder}/${name.replace(/pack$/, ending)}`).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
    await run("git", ["unpack-objects", "-q"], { cwd: repository, stdin: bytes });
  }
}

/** Counts what the remote sends. */
function countingOpener(open: OpenService): { readonly open: OpenService; bytes(): number } {
  let bytes = 0;
  return {
    async open(service, version) {
      const opened = await open(service, version);
      if (!opened.ok) return opened;
      const flow = opened.value;
      const read = async () => {
        const chunk = await flow.read();
        bytes += chunk?.length ?? 0;
        return chunk;
      };
      return { ok: true, value: { ...flow, read } };
    },
    bytes: () => bytes,
  };
}

async function fetch(repository: Repository, open: OpenService, version: 0 | 1 | 2) {
  const outcome = await fetchFrom(fetchOptions(repository, open, version, { refPrefixes: ["refs/"] }));
  if (!outcome.ok) throw outcome.error;
  return outcome.value;
}

async function moveTo(repository: Repository, name: string, oid: Oid | undefined): Promise<void> {
  const moved = await repository.refs.move({ name, old: await repository.refs.get(name), new: oid });
  ok(moved.ok);
}

/** A repository of ours; afterwards sound in git's eyes and free of quarantines. */
async function withLocal(dir: string, use: (repository: Repository) => Promise<void>): Promise<void> {
  const repository = await initRepository(`${dir}/local.git`);
  try {
    await use(repository);
  } finally {
    repository.close();
  }
  await fsck(repository.path);
  for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
    ok(!entry.name.startsWith("tmp_"), entry.name);
  }
}

/** A program that was just started listens a moment later. */
async function untilUp<T extends { readonly ok: boolean }>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0;; tries++) {
    const outcome = await attempt();
    if (outcome.ok || tries === 200) return outcome;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
