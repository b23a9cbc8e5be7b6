/** Ways of pushing to our receive-pack beside the plain one: shallow, not atomic, quiet, in two requests, and slow. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { memoryPair } from "../../../conduit/mod.ts";
import type { Flow } from "../../../conduit/mod.ts";
import { admitAll, initRepository, serveReceivePack, serveUploadPack } from "../../../store/mod.ts";
import type { AdmitPush, Oid, ReceivePackOptions, Repository } from "../../../store/mod.ts";
import { encodePkt, FLUSH, type Pkt, PktDecoder } from "../../../store/protocol/pkt_line.ts";
import { PushRequestReader } from "../../../store/protocol/receive_request.ts";
import { decodeBand } from "../../../store/protocol/side_band.ts";
import { realTest, run } from "../../tools/real.ts";
import { assertGitAccepts, git, gitBytes } from "../git_fixture.ts";
import { commits, fsck, gitV, oidOf, withGitServer, workTree } from "./git_server.ts";

for (const version of [0, 1, 2]) {
  realTest(
    `a shallow clone pushes what needs no history of its own, by v${version}`,
    { needs: ["git"] },
    async ({ dir }) => {
      const work = await workTree(dir);
      await commits(work, 5);
      await serving(dir, {}, async ({ url, repository }) => {
        await gitV(version, ["push", "-q", url, "main"], { cwd: work });
        await gitV(version, ["clone", "-q", "--depth=1", url, `${dir}/shallow`]);
        await commits(`${dir}/shallow`, 2, "more");
        await gitV(version, ["push", "-q", url, "main"], { cwd: `${dir}/shallow` });
        equal(await repository.refs.get("refs/heads/main"), await oidOf(`${dir}/shallow`, "main"));
        equal((await git(repository.path, "rev-list", "--count", "main")).trim(), "7");
        // A history that would end where the pusher's does is another matter.
        await commits(work, 2, "unseen");
        await run("git", ["clone", "-q", "--depth=1", `file://${work}`, `${dir}/other`]);
        await commits(`${dir}/other`, 1, "on top");
        const refused = await gitV(version, ["push", url, "main:refs/heads/side"], {
          cwd: `${dir}/other`,
          check: false,
        });
        equal(refused.code, 1);
        match(refused.stderr, /\[remote rejected\] main -> side \(shallow update not allowed\)/);
        equal(await repository.refs.get("refs/heads/side"), undefined);
        equal(await repository.has(await oidOf(`${dir}/other`, "main") as Oid), false);
      });
    },
  );
}

realTest("a shallow repository of ours takes what is built on it", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 5);
  await run("git", ["clone", "-q", "--bare", "--depth=2", `file://${work}`, `${dir}/zones.git`]);
  await serving(dir, {}, async ({ url, repository }) => {
    await commits(work, 2, "more");
    await gitV(0, ["push", "-q", url, "main"], { cwd: work });
    equal(await repository.refs.get("refs/heads/main"), await oidOf(work, "main"));
    equal((await git(repository.path, "rev-list", "--count", "main")).trim(), "4");
    // As git: the pack was sent in good faith, and it is each ref that cannot be.
    await run("git", ["checkout", "-q", "-b", "early", "main~6"], { cwd: work });
    await commits(work, 1, "aside");
    const refused = await gitV(0, ["push", url, "early"], { cwd: work, check: false });
    match(
      refused.stderr,
      /\[remote rejected\] early -> early \(missing necessary objects: commit [0-9a-f]{40}/,
    );
    equal(await repository.refs.get("refs/heads/early"), undefined);
    await assertGitAccepts(repository.path);
  });
});

realTest(
  "left to the client, a push that is not atomic is taken in part",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 2);
    await serving(dir, { atomic: "as-asked" }, async ({ url, repository }) => {
      await gitV(2, ["push", "-q", url, "main"], { cwd: work });
      const before = await repository.refs.get("refs/heads/main");
      await run("git", ["branch", "good"], { cwd: work });
      await run("git", ["reset", "-q", "--hard", "HEAD~1"], { cwd: work });
      await commits(work, 1, "rewritten");
      const push = (flag: string) =>
        gitV(2, ["push", flag, "-f", url, "main", "good"], { cwd: work, check: false });
      const whole = await push("--atomic");
      match(whole.stderr, /good -> good \(atomic push failure\)/);
      equal(await repository.refs.get("refs/heads/good"), undefined);
      const parts = await push("--no-atomic");
      equal(parts.code, 1);
      match(parts.stderr, /\[new branch\] +good -> good/);
      match(parts.stderr, /main -> main \(non-fast-forward\)/);
      equal(await repository.refs.get("refs/heads/good"), await oidOf(work, "good"));
      equal(await repository.refs.get("refs/heads/main"), before);
    });
  },
);

realTest(
  "deletions and rewritten history are taken where they are allowed",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 3);
    await serving(dir, { allow: { deletes: true, nonFastForward: true } }, async ({ url, repository }) => {
      await gitV(2, ["push", "-q", url, "main", "main:side"], { cwd: work });
      await run("git", ["reset", "-q", "--hard", "HEAD~2"], { cwd: work });
      await commits(work, 1, "rewritten");
      await gitV(2, ["push", "-q", "-f", url, "main", ":side"], { cwd: work });
      deepEqual([...await repository.refs.list()], [["refs/heads/main", await oidOf(work, "main")]]);
    });
  },
);

realTest("what was done instead is told to git", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 1);
  const admit = (repository: Repository): AdmitPush => async (proposal) => {
    await admitAll(repository)({
      ...proposal,
      moves: proposal.moves.map((move) => ({ ...move, name: "refs/heads/elsewhere" })),
    });
    const effect = { name: "refs/heads/elsewhere" };
    return { results: new Map(proposal.moves.map(({ name }) => [name, { ok: true, effect }])) };
  };
  await serving(dir, { admitBy: admit }, async ({ url, repository }) => {
    const pushed = await gitV(2, ["push", url, "main:refs/for/main"], { cwd: work });
    match(pushed.stderr, /main -> elsewhere/);
    deepEqual([...(await repository.refs.list()).keys()], ["refs/heads/elsewhere"]);
  });
});

realTest("many objects are told of, unless the client wants quiet", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 60);
  await serving(dir, {}, async ({ url }) => {
    const few = await gitV(2, ["push", "--progress", url, "HEAD~55:refs/heads/few"], { cwd: work });
    ok(!few.stderr.includes("Unpacking"), few.stderr);
    const many = await gitV(2, ["push", "--progress", url, "HEAD~5:refs/heads/many"], { cwd: work });
    match(many.stderr, /^remote: Unpacking objects: 100% \(1\d\d\/1\d\d\), \d+\.\d\d KiB, done\./m);
    await commits(work, 60, "again");
    const quiet = await gitV(2, ["push", "-q", url, "main"], { cwd: work });
    ok(!quiet.stderr.includes("Unpacking"), quiet.stderr);
  });
});

realTest(
  "a client that waits for a long check is told that we are still there",
  { needs: ["git"] },
  async ({ dir }) => {
    const work = await workTree(dir);
    await commits(work, 1);
    const tip = await oidOf(work, "main") as Oid;
    const pack = await gitBytes(
      work,
      ["pack-objects", "--revs", "--stdout", "-q"],
      new TextEncoder().encode("main\n"),
    );
    const repository = await initRepository(`${dir}/zones.git`);
    try {
      for (const quiet of [true, false]) {
        const name = `refs/heads/${quiet}`;
        const [near, far] = memoryPair();
        const clock = manualClock();
        const checked = Promise.withResolvers<void>();
        const admitted = Promise.withResolvers<void>();
        const serving = serveReceivePack({
          repository,
          flow: far,
          version: 0,
          keepAlive: 7000,
          bounds: { timer: clock.timer },
          admit: async (proposal) => {
            checked.resolve();
            await admitted.promise;
            await proposal.say("done with it");
            return await admitAll(repository)(proposal);
          },
        });
        await readPackets(near, (pkt) => pkt.kind === "flush");
        const capabilities = `report-status side-band-64k${quiet ? " quiet" : ""}`;
        await near.write(encodePkt(`${"0".repeat(40)} ${tip} ${name}\0 ${capabilities}`));
        await near.write(FLUSH);
        await near.write(pack);
        await checked.promise;
        const heard: string[] = [];
        for (let tick = 0; tick < 3; tick++) {
          clock.fire(7000);
          heard.push(bandText(await readPacket(near)));
          // Between memory flows there are only microtasks: after them what was said is behind the server.
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        // The first tells how much has come; after that there is nothing new.
        deepEqual(
          heard,
          quiet ? ["1:", "1:", "1:"] : [`2:Receiving pack: ${kib(pack.length)}\r`, "1:", "1:"],
        );
        admitted.resolve();
        equal(bandText(await readPacket(near)), "2:done with it\n");
        match(bandText(await readPacket(near)), new RegExp(`^1:000eunpack ok\n[0-9a-f]{4}ok ${name}\n0000$`));
        near.close();
        const outcome = await serving;
        ok(outcome.ok);
        equal(clock.armed(7000), 0);
      }
    } finally {
      repository.close();
    }
  },
);

realTest("the refs and the push may be two conversations", { needs: ["git"] }, async ({ dir }) => {
  const work = await workTree(dir);
  await commits(work, 1);
  const tip = await oidOf(work, "main") as Oid;
  const pack = await gitBytes(
    work,
    ["pack-objects", "--revs", "--stdout", "-q"],
    new TextEncoder().encode("main\n"),
  );
  const repository = await initRepository(`${dir}/zones.git`);
  try {
    const talk = async (advertise: "only" | "skip", ...said: Uint8Array[]) => {
      const [near, far] = memoryPair();
      const serving = serveReceivePack({
        repository,
        flow: far,
        version: 0,
        advertise,
        admit: admitAll(repository),
      });
      for (const bytes of said) await near.write(bytes);
      await near.end();
      const heard = await readPackets(near, () => false);
      const outcome = await serving;
      near.close();
      ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
      return heard.map((pkt) => pkt.kind === "data" ? new TextDecoder().decode(pkt.payload) : pkt.kind);
    };
    const [refs, flush] = await talk("only");
    match(refs, /capabilities\^\{\}\0.*report-status-v2/);
    equal(flush, "flush");
    const command = encodePkt(`${"0".repeat(40)} ${tip} refs/heads/main\0 report-status-v2`);
    deepEqual(await talk("skip", command, FLUSH, pack), ["unpack ok\n", "ok refs/heads/main\n", "flush"]);
    deepEqual(await talk("skip", FLUSH), []);
    deepEqual(await talk("skip"), []);
    equal(await repository.refs.get("refs/heads/main"), tip);
  } finally {
    repository.close();
  }
});

Deno.test("what a shallow client says of itself stands before its commands, and is an id", () => {
  const oid = "1".repeat(40);
  const command = `${oid} ${"2".repeat(40)} refs/heads/main\0 report-status`;
  const read = (...lines: string[]) => {
    const reader = new PushRequestReader({ commands: 10, requestBytes: 1000 });
    for (const line of lines) reader.feed({ kind: "data", payload: new TextEncoder().encode(line) });
    return reader.feed({ kind: "flush" });
  };
  deepEqual([...read(`shallow ${oid}\n`, `shallow ${oid}\n`, command)?.shallow ?? []], [oid]);
  throws(() => read(command, `shallow ${oid}\n`), /out of place/);
  throws(() => read("shallow what\n", command), /out of place/);
  throws(() => read(...Array.from({ length: 100 }, () => `shallow ${oid}\n`)), /more than 1000 bytes/);
});

type Options = Partial<ReceivePackOptions> & { readonly admitBy?: (repository: Repository) => AdmitPush };

async function serving(
  dir: string,
  { admitBy = admitAll, ...options }: Options,
  use: (context: { readonly url: string; readonly repository: Repository }) => Promise<void>,
): Promise<void> {
  const repository = await initRepository(`${dir}/zones.git`);
  const failures: Error[] = [];
  try {
    await withGitServer(async ({ flow, version, service }) => {
      const outcome = service === "git-receive-pack"
        ? await serveReceivePack({ ...options, repository, flow, version, admit: admitBy(repository) })
        : await serveUploadPack({ repository, flow, version });
      if (!outcome.ok) failures.push(outcome.error);
    }, (url) => use({ url, repository }));
    deepEqual(failures, []);
  } finally {
    repository.close();
  }
  await fsck(repository.path);
  for await (const entry of Deno.readDir(`${repository.path}/objects`)) {
    ok(!entry.name.startsWith("tmp_"), entry.name);
  }
}

function manualClock() {
  const waiting = new Map<() => void, number>();
  return {
    timer(milliseconds: number, fire: () => void) {
      waiting.set(fire, milliseconds);
      return () => void waiting.delete(fire);
    },
    fire(milliseconds: number) {
      for (const [fire, due] of [...waiting]) {
        if (due !== milliseconds) continue;
        waiting.delete(fire);
        fire();
      }
    },
    armed: (milliseconds: number) => [...waiting.values()].filter((due) => due === milliseconds).length,
  };
}

const decoders = new WeakMap<Flow, PktDecoder>();

async function readPacket(flow: Flow): Promise<Pkt | undefined> {
  const decoder = decoders.get(flow) ?? new PktDecoder();
  decoders.set(flow, decoder);
  for (;;) {
    const pkt = decoder.next();
    if (pkt !== undefined) return pkt;
    const bytes = await flow.read();
    if (bytes === undefined) return undefined;
    decoder.push(bytes);
  }
}

async function readPackets(flow: Flow, last: (pkt: Pkt) => boolean): Promise<Pkt[]> {
  const pkts: Pkt[] = [];
  for (let pkt = await readPacket(flow); pkt !== undefined; pkt = await readPacket(flow)) {
    pkts.push(pkt);
    if (last(pkt)) break;
  }
  return pkts;
}

function bandText(pkt: Pkt | undefined): string {
  const item = pkt === undefined ? "end" : decodeBand(pkt);
  return item === "end" ? item : `${item.band}:${new TextDecoder().decode(item.bytes)}`;
}

function kib(bytes: number): string {
  return `${(bytes / 1024).toFixed(2)} KiB`;
}
