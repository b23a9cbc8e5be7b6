/** Our client fetches: from git's own upload-pack in every version, from a git daemon, from our own server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, createRegistry, memoryPair, tcpResolver } from "../../../conduit/mod.ts";
import { daemonOpener, fetchFrom, initRepository, lsRefs, serveUploadPack } from "../../../store/mod.ts";
import type { FetchOptions, Oid, OpenService, Repository } from "../../../store/mod.ts";
import { findProgram, realTest, run } from "../../tools/real.ts";
import { commits, fsck, oidOf, programFlow, workTree } from "./git_server.ts";

const LIMITS = {
  packBytes: 1 << 28,
  objectBytes: 1 << 26,
  objects: 1e6,
  deltaDepth: 4096,
  deltaWork: 1 << 30,
};

for (const version of [0, 1, 2] as const) {
  for (const [name, opener] of [["git", gitOpener], ["our own server", ownOpener]] as const) {
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
        const remote = gitOpener(`${work}/.git`);
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
    const remote = gitOpener(`${dir}/nowhere.git`);
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
    const remote = gitOpener(`${work}/.git`);
    try {
      const outcome = await fetchFrom({
        ...options(repository, remote.open, 2),
        limits: { ...LIMITS, objects: 3 },
      });
      equal(outcome.ok || outcome.error.code, "limit");
      equal(await repository.has(await oidOf(work, "main") as Oid), false);
    } finally {
      await remote.ended();
    }
  });
});

interface Remote {
  readonly open: OpenService;
  /** Everything that was started has ended. */
  ended(): Promise<void>;
}

function gitOpener(path: string): Remote {
  const running: Promise<void>[] = [];
  return {
    open(service, version) {
      const env: Record<string, string> = version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` };
      const { flow, ended } = programFlow("git", [service.slice(4), path], env);
      running.push(ended);
      return Promise.resolve({ ok: true, value: flow });
    },
    ended: async () => void await Promise.all(running),
  };
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

function ownOpener(path: string): Remote {
  const running: Promise<void>[] = [];
  return {
    open(_service, version) {
      const [near, far] = memoryPair();
      running.push((async () => {
        const repository = await initRepository(path);
        try {
          const outcome = await serveUploadPack({ repository, flow: far, version });
          if (!outcome.ok) throw outcome.error;
        } finally {
          repository.close();
          far.close();
        }
      })());
      return Promise.resolve({ ok: true, value: near });
    },
    ended: async () => void await Promise.all(running),
  };
}

function options(repository: Repository, open: OpenService, version: 0 | 1 | 2): FetchOptions {
  return {
    open,
    repository,
    refPrefixes: ["refs/"],
    version,
    limits: LIMITS,
    want: (refs) => [...refs.values()],
  };
}

async function fetch(repository: Repository, open: OpenService, version: 0 | 1 | 2) {
  const outcome = await fetchFrom(options(repository, open, version));
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
