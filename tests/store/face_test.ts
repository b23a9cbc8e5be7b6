/** The store's face: commits of batches of changes, and their way to a remote, against git's own servers and ours. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { FlowError } from "../../conduit/mod.ts";
import type { Flow } from "../../conduit/mod.ts";
import {
  commitInfo,
  commitOn,
  isAncestor,
  openRepository,
  pushTo,
  readPath,
  textOf,
  utf8,
} from "../../store/mod.ts";
import type { Oid, OpenService, PushOutcome, Repository } from "../../store/mod.ts";
import { seeded } from "../fuzz/seeded.ts";
import { realTest, run } from "../tools/real.ts";
import { SSHD_NEEDS_ROOT } from "../tools/sshd.ts";
import { assertGitAccepts, git } from "./git_fixture.ts";
import { programFlow } from "./protocol/git_server.ts";
import {
  hook,
  LIMITS,
  person,
  type Remote,
  type RemoteKind,
  withLocal,
  withRemote,
} from "./protocol/push_world.ts";

const REF = "refs/heads/main";
const TRACK = "refs/remotes/origin/main";
const CUTS = ["connection", "commands", "pack", "answer"] as const;
const NAMES: Record<RemoteKind, string> = {
  pipe: "git receive-pack",
  daemon: "git daemon",
  sshd: "OpenSSH",
  ours: "our receive-pack",
};

realTest(
  "a batch of changes is one commit; changes that change nothing are none",
  { needs: ["git"] },
  async ({ dir }) => {
    await withLocal(`${dir}/local.git`, async (local) => {
      const first = await commit(local, undefined, { "a.zone": "one", "zones/b.zone": "two" });
      const second = await commit(local, first, {
        "a.zone": undefined,
        "zones/b.zone": "three",
        "c": "four",
      });
      deepEqual(await commitOn(local, request(second, { "c": "four", "nowhere": undefined })), {
        kind: "unchanged",
        commit: second,
      });
      deepEqual(await commitOn(local, request(undefined, {})), { kind: "unchanged", commit: undefined });
      equal(await readPath(local, second, "a.zone"), undefined);
      equal(await text(local, second, "zones/b.zone"), "three");
      deepEqual((await commitInfo(local, second)).parents, [first]);
      await rejects(commitOn(local, request(first, { "x/../y": "no" })), { code: "malformed" });
      await rejects(commitOn(local, request("1".repeat(40) as Oid, { "x": "no" })), { code: "missing" });
      ok((await local.refs.move({ name: REF, old: undefined, new: second })).ok);
      await assertGitAccepts(local.path);
      equal(await git(local.path, "show", "main:c"), "four");
    });
  },
);

for (const kind of ["pipe", "daemon", "sshd", "ours"] as const) {
  overRemote(kind, "a commit is pushed, known to be there, and tracked", async (remote, local) => {
    const first = await commit(local, undefined, { "a": "one" });
    deepEqual(await push(local, remote, undefined, first), { kind: "committed", commit: first });
    const second = await commit(local, first, { "a": "two", "b": "more" });
    deepEqual(await push(local, remote, first, second), { kind: "committed", commit: second });
    deepEqual(await push(local, remote, first, second), { kind: "unchanged", commit: second });
    equal((await git(remote.path, "rev-parse", REF)).trim(), second);
    equal(await local.refs.get(TRACK), second);
    equal(await git(remote.path, "show", "main:b"), "more");
  });

  overRemote(
    kind,
    "a remote that moved on is a conflict, with all three sides at hand",
    async (remote, local, dir) => {
      const base = await commit(local, undefined, { "a": "one", "b": "one" });
      await push(local, remote, undefined, base);
      await withLocal(`${dir}/other.git`, async (other) => {
        equal(
          (await push(other, remote, undefined, await commit(other, undefined, { "z": "0" }))).kind,
          "conflict",
        );
        const theirs = await commit(other, base, { "b": "theirs" });
        equal((await push(other, remote, base, theirs)).kind, "committed");
        const ours = await commit(local, base, { "a": "ours" });
        deepEqual(await push(local, remote, base, ours), {
          kind: "conflict",
          remote: theirs,
          base,
          ours,
          theirs,
        });
        equal(await local.refs.get(TRACK), base);
        deepEqual(
          await Promise.all([base, ours, theirs].map((side) => text(local, side, "b"))),
          ["one", "one", "theirs"],
        );
        const merged = await commit(local, theirs, { "a": "ours" });
        equal((await push(local, remote, theirs, merged)).kind, "committed");
        // What others built on contains ours: it is there already.
        deepEqual(await push(other, remote, base, theirs), { kind: "unchanged", commit: theirs });
        equal(await other.refs.get(TRACK), merged);
      });
    },
  );

  overRemote(kind, "a remote that lost its branch is a conflict with nobody", async (remote, local) => {
    const base = await commit(local, undefined, { "a": "one" });
    await push(local, remote, undefined, base);
    await git(remote.path, "update-ref", "-d", REF);
    const ours = await commit(local, base, { "a": "two" });
    deepEqual(await push(local, remote, base, ours), {
      kind: "conflict",
      remote: undefined,
      base,
      ours,
      theirs: undefined,
    });
  });

  overRemote(
    kind,
    "an answer that is lost is looked for, and the commit is not made twice",
    async (remote, local) => {
      let at: Oid | undefined;
      for (const cut of ["answer", "commands", "pack", "connection"] as const) {
        const next = await commit(local, at, { "a": cut });
        const open = failingOnce(remote.open, cut);
        deepEqual(await push(local, { ...remote, open }, at, next), { kind: "committed", commit: next }, cut);
        equal((await git(remote.path, "rev-parse", REF)).trim(), next);
        at = next;
      }
    },
  );

  overRemote(kind, "writers that race lose no commit", async (remote, local, dir) => {
    const root = await commit(local, undefined, { "root": "" });
    await push(local, remote, undefined, root);
    const acknowledged = await Promise.all(["x", "y", "z"].map(async (name) => {
      const mine: Oid[] = [];
      await withLocal(`${dir}/writer-${name}.git`, async (repository) => {
        let base: Oid | undefined;
        for (let round = 0; round < 3; round++) {
          for (;;) {
            const made = await commit(repository, base, { [`${name}${round}`]: name }, name);
            const outcome = await push(repository, remote, base, made);
            if (outcome.kind === "committed") {
              mine.push(made);
              base = made;
              break;
            }
            if (outcome.kind !== "conflict") throw new Error(JSON.stringify(outcome));
            base = outcome.theirs;
          }
        }
      });
      return mine;
    }));
    const history = (await git(remote.path, "rev-list", REF)).trim().split("\n");
    for (const oid of acknowledged.flat()) ok(history.includes(oid));
    equal(history.length, 10);
    const files = (await git(remote.path, "ls-tree", "--name-only", REF)).trim().split("\n");
    equal(files.length, 10);
  });
}

for (const kind of ["pipe", "ours"] as const) {
  overRemote(
    kind,
    "writers that race over lines that break lose nothing and do nothing twice",
    async (remote, _, dir) => {
      const acknowledged = await Promise.all(["x", "y", "z"].map(async (name, index) => {
        const random = seeded(index + 1);
        const mine: Oid[] = [];
        await withLocal(`${dir}/writer-${name}.git`, async (repository) => {
          let base: Oid | undefined;
          while (mine.length < 5) {
            // A change that would show if it were made twice: a line more in a file that is this writer's.
            const before: string = base === undefined ? "" : await text(repository, base, name) ?? "";
            const made = await commit(repository, base, { [name]: `${before}${mine.length}\n` }, name);
            let outcome: PushOutcome;
            do outcome = await push(
              repository,
              { ...remote, open: breaking(remote.open, random) },
              base,
              made,
            ); while (outcome.kind === "unreachable");
            if (outcome.kind === "conflict") base = outcome.theirs;
            else {
              ok(outcome.kind !== "rejected", JSON.stringify(outcome));
              mine.push(base = made);
            }
          }
        });
        return mine;
      }));
      const history = (await git(remote.path, "rev-list", REF)).trim().split("\n");
      deepEqual(new Set(history), new Set(acknowledged.flat()));
      for (const name of ["x", "y", "z"]) {
        equal(await git(remote.path, "show", `${REF}:${name}`), "0\n1\n2\n3\n4\n");
      }
    },
  );
}

for (const kind of ["pipe", "daemon", "sshd"] as const) {
  overRemote(
    kind,
    "a hook that refuses is a rejection with its reason and its words",
    async (remote, local) => {
      const base = await commit(local, undefined, { "a": "one" });
      await push(local, remote, undefined, base);
      const ours = await commit(local, base, { "a": "two" });
      for (
        const [name, reason] of [["pre-receive", /pre-receive hook declined/], [
          "update",
          /hook declined/,
        ]] as const
      ) {
        await hook(remote.path, name, "echo 'zone file: line 3 is bad' >&2; exit 1");
        const words: string[] = [];
        const outcome = await push(local, remote, base, ours, { progress: (said) => void words.push(said) });
        ok(outcome.kind === "rejected", JSON.stringify(outcome));
        match(outcome.reason, reason);
        match(words.join(""), /zone file: line 3 is bad/);
        equal((await git(remote.path, "rev-parse", REF)).trim(), base);
        equal(await local.refs.get(TRACK), base);
        await Deno.remove(`${remote.path}/hooks/${name}`);
      }
      // A hook that lets another commit in first: the refusal that follows is a conflict in truth.
      await hook(
        remote.path,
        "update",
        `git update-ref ${REF} $(git -c user.name=T -c user.email=t@example.test commit-tree -p ${base} -m theirs ${base}^{tree})`,
      );
      const beaten = await push(local, remote, base, ours);
      ok(beaten.kind === "conflict", JSON.stringify(beaten));
      deepEqual((await commitInfo(local, beaten.theirs as Oid)).parents, [base]);
    },
  );
}

realTest(
  "a remote that stays away is unreachable, with every attempt",
  { needs: ["git"] },
  async ({ dir }) => {
    await withLocal(`${dir}/local.git`, async (local) => {
      const ours = await commit(local, undefined, { "a": "one" });
      const waits: number[] = [];
      const outcome = await pushTo({
        repository: local,
        open: () => Promise.resolve({ ok: false, error: { message: "no route" } }),
        ref: REF,
        base: undefined,
        commit: ours,
        limits: LIMITS,
        tries: 4,
        wait: (failures) => {
          waits.push(failures);
          return Promise.resolve();
        },
      });
      ok(outcome.kind === "unreachable");
      deepEqual(outcome.attempts.map(({ error, doubt }) => [error.code, error.message, doubt]), [
        ...Array.from({ length: 4 }, () => ["unreachable", "no route", false]),
      ]);
      deepEqual(waits, [1, 2, 3]);
    });
  },
);

realTest("a doubt that cannot be settled says so", { needs: ["git"] }, async ({ dir }) => {
  await withRemote(dir, "pipe", async (remote) => {
    await withLocal(`${dir}/local.git`, async (local) => {
      const ours = await commit(local, undefined, { "a": "one" });
      let opened = 0;
      const open: OpenService = (service, version) =>
        opened++ === 0
          ? failingOnce(remote.open, "answer")(service, version)
          : Promise.resolve({ ok: false, error: { message: "gone" } });
      const outcome = await push(local, { ...remote, open }, undefined, ours);
      ok(outcome.kind === "unreachable");
      equal(outcome.attempts[0].doubt, true);
      // The same call later finds out.
      deepEqual(await push(local, remote, undefined, ours), { kind: "unchanged", commit: ours });
    });
  });
});

realTest("a shallow repository pushes what it made", { needs: ["git"] }, async ({ dir }) => {
  await withRemote(dir, "pipe", async (remote) => {
    await withLocal(`${dir}/whole.git`, async (whole) => {
      let base: Oid | undefined;
      for (const content of ["one", "two", "three"]) {
        const next = await commit(whole, base, { "a": content });
        await push(whole, remote, base, next);
        base = next;
      }
      await run("git", ["clone", "-q", "--bare", "--depth=1", `file://${remote.path}`, `${dir}/shallow.git`]);
      const shallow = await openRepository(`${dir}/shallow.git`);
      try {
        const next = await commit(shallow, base, { "b": "four" });
        equal(await isAncestor(whole, base as Oid, base as Oid), true);
        deepEqual(await push(shallow, remote, base, next), { kind: "committed", commit: next });
      } finally {
        shallow.close();
      }
      equal((await git(remote.path, "rev-list", "--count", REF)).trim(), "4");
    });
  });
  await assertGitAccepts(`${dir}/pipe.git`);
});

realTest(
  "a remote that is shallow gets what it lacks, from where its history ends",
  { needs: ["git"] },
  async ({ dir }) => {
    await withRemote(dir, "pipe", async (remote) => {
      await withLocal(`${dir}/whole.git`, async (whole) => {
        const history: Oid[] = [];
        for (const content of ["one", "two", "three"]) {
          const next = await commit(whole, history.at(-1), { "a": content });
          await push(whole, remote, history.at(-1), next);
          history.push(next);
        }
        await run("git", [
          "clone",
          "-q",
          "--bare",
          "--depth=1",
          `file://${remote.path}`,
          `${dir}/shallow.git`,
        ]);
        const open: OpenService = (service) => {
          const { flow, ended } = programFlow("git", [service.slice(4), `${dir}/shallow.git`]);
          running.push(ended);
          return Promise.resolve({ ok: true, value: flow });
        };
        const running: Promise<void>[] = [];
        const [first, , tip] = history;
        const next = await commit(whole, tip, { "a": "four" });
        deepEqual(await push(whole, { ...remote, open }, tip, next), { kind: "committed", commit: next });
        // Built on what lies below the end of its history: all of that has to come along.
        const side = await commit(whole, first, { "b": "aside" });
        const outcome = await pushTo({
          repository: whole,
          open,
          ref: "refs/heads/side",
          base: undefined,
          commit: side,
          limits: LIMITS,
        });
        deepEqual(outcome, { kind: "committed", commit: side });
        await Promise.all(running);
        equal((await git(`${dir}/shallow.git`, "rev-list", "--count", "side")).trim(), "2");
      });
    });
    await assertGitAccepts(`${dir}/shallow.git`);
  },
);

/** A test against one kind of remote; afterwards git must find nothing wrong with it, nor with our side. */
function overRemote(
  kind: RemoteKind,
  name: string,
  body: (remote: Remote, local: Repository, dir: string) => Promise<void>,
): void {
  const needs = kind === "sshd" ? ["git", "sshd", "ssh-keygen"] : ["git"];
  const ignore = kind === "sshd" ? SSHD_NEEDS_ROOT : undefined;
  realTest(`${name} (${NAMES[kind]})`, { needs, ignore }, async ({ dir }) => {
    await withRemote(dir, kind, async (remote) => {
      await withLocal(`${dir}/local.git`, (local) => body(remote, local, dir));
    });
    await assertGitAccepts(`${dir}/${kind}.git`);
    await assertGitAccepts(`${dir}/local.git`);
  });
}

function request(base: Oid | undefined, files: Record<string, string | undefined>, who = "ours") {
  const changes = new Map(
    Object.entries(files).map(([path, content]) => [path, content === undefined ? undefined : utf8(content)]),
  );
  return { base, changes, author: person(who), message: "a change\n" };
}

async function commit(
  repository: Repository,
  base: Oid | undefined,
  files: Record<string, string | undefined>,
  who?: string,
): Promise<Oid> {
  const made = await commitOn(repository, request(base, files, who));
  if (made.kind !== "committed") throw new Error("nothing changed");
  return made.commit;
}

function push(
  repository: Repository,
  remote: Remote,
  base: Oid | undefined,
  made: Oid,
  more: { progress?: (text: string) => void } = {},
): Promise<PushOutcome> {
  return pushTo({
    repository,
    open: remote.open,
    ref: REF,
    base,
    commit: made,
    track: TRACK,
    limits: LIMITS,
    wait: () => Promise.resolve(),
    ...more,
  });
}

async function text(repository: Repository, at: Oid, path: string): Promise<string | undefined> {
  const bytes = await readPath(repository, at, path);
  return bytes === undefined ? undefined : textOf(bytes);
}

/** Breaks the first conversation: before it begins, with the commands or pack, or when all is sent and the answer is due. */
function failingOnce(open: OpenService, cut: "connection" | "commands" | "pack" | "answer"): OpenService {
  let first = true;
  return async (service, version) => {
    if (!first) return await open(service, version);
    first = false;
    if (cut === "connection") return { ok: false, error: { message: "refused" } };
    const opened = await open(service, version);
    return opened.ok ? { ok: true, value: broken(opened.value, cut) } : opened;
  };
}

/** Half of all conversations break somewhere. */
function breaking(open: OpenService, random: () => number): OpenService {
  return (service, version) => {
    const cut = CUTS[Math.floor(random() * CUTS.length * 2)];
    return (cut === undefined ? open : failingOnce(open, cut))(service, version);
  };
}

function broken(flow: Flow, cut: "commands" | "pack" | "answer"): Flow {
  let ended = false;
  let written = false;
  const reset = () => new FlowError("reset", "cut");
  return {
    ...flow,
    async read() {
      for (;;) {
        const bytes = await flow.read();
        if (!ended) return bytes;
        // The server has done what it was asked, once it has closed; of its answer nothing comes through.
        if (bytes === undefined) throw reset();
      }
    },
    async write(bytes) {
      if (cut === "commands" || written) {
        flow.close();
        throw reset();
      }
      // Half of what is the first write: the commands and some of the pack.
      written = cut === "pack";
      await flow.write(cut === "pack" ? bytes.subarray(0, bytes.length >> 1) : bytes);
      if (cut === "pack") {
        flow.close();
        throw reset();
      }
    },
    async end() {
      ended = true;
      await flow.end();
    },
    close: () => flow.close(),
  };
}
