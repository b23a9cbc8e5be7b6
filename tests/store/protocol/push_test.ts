/** The client's side of a push: what it asks of servers that behave, and what it makes of those that do not. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import { memoryPair } from "../../../conduit/mod.ts";
import type { Flow } from "../../../conduit/mod.ts";
import {
  admitAll,
  commitOn,
  initRepository,
  newSha1,
  nodeZlib,
  serveReceivePack,
  utf8,
} from "../../../store/mod.ts";
import type { Oid, OpenService, RefMove, Repository } from "../../../store/mod.ts";
import { encodePkt, FLUSH, PktDecoder } from "../../../store/protocol/pkt_line.ts";
import { type PushConversation, pushRefs, type PushRefsOptions } from "../../../store/protocol/push.ts";
import { encodeReport, type PushStatus, ReportReader } from "../../../store/protocol/report.ts";
import { encodeBand } from "../../../store/protocol/side_band.ts";
import { realTest, run } from "../../tools/real.ts";
import { git } from "../git_fixture.ts";
import { fsck } from "./git_server.ts";
import { person, withLocal, withRemote } from "./push_world.ts";

const MAIN = "refs/heads/main";
const GHOST = "1234567890".repeat(4) as Oid;
const ZERO = "0".repeat(40);

for (const kind of ["pipe", "ours"] as const) {
  realTest(`several refs go all or none, and are deleted (${kind})`, { needs: ["git"] }, async ({ dir }) => {
    await withRemote(dir, kind, async (remote) => {
      await run("git", ["config", "receive.denyDeleteCurrent", "ignore"], { cwd: remote.path });
      await withLocal(`${dir}/local.git`, async (local) => {
        const one = await commit(local, undefined, "one");
        const two = await commit(local, one, "two");
        const ask = (moves: RefMove[], more: Partial<PushRefsOptions> = {}) =>
          push({ repository: local, open: remote.open, moves, ...more });
        const [A, B, C] = ["refs/heads/a", "refs/heads/b", "refs/tags/c"];
        deepEqual(kinds(await ask([move(A, undefined, one), move(B, undefined, two)])), {
          [A]: "moved",
          [B]: "moved",
        });
        // One that is stale holds the others back, unless each is to stand for itself.
        const stale = [move(A, one, two), move(B, one, two), move(C, GHOST, one)];
        deepEqual(kinds(await ask(stale)), { [A]: "rejected", [B]: "unchanged", [C]: "stale" });
        equal((await git(remote.path, "rev-parse", A)).trim(), one);
        deepEqual(kinds(await ask(stale, { atomic: false })), {
          [A]: "moved",
          [B]: "unchanged",
          [C]: "stale",
        });
        equal((await git(remote.path, "rev-parse", A)).trim(), two);
        deepEqual(kinds(await ask([move(A, two, undefined), move(C, undefined, undefined)])), {
          [A]: "moved",
          [C]: "unchanged",
        });
        equal((await git(remote.path, "for-each-ref", "--format=%(refname)")).trim(), B);
        await rejects(ask([move(A, undefined, GHOST)]), { code: "missing" });
        await rejects(ask([move("refs/heads/..", undefined, one)]), { code: "malformed" });
        await rejects(ask([move(A, undefined, one), move(A, undefined, two)]), { code: "malformed" });
      });
    });
    await fsck(`${dir}/${kind}.git`);
  });
}

realTest(
  "push options reach the hooks of a server that takes them, and only such",
  { needs: ["git"] },
  async ({ dir }) => {
    await withRemote(dir, "pipe", async (remote) => {
      await withLocal(`${dir}/local.git`, async (local) => {
        const one = await commit(local, undefined, "one");
        const ask = () =>
          push({
            repository: local,
            open: remote.open,
            moves: [move(MAIN, undefined, one)],
            pushOptions: ["ticket=7", "dry"],
          });
        const refused = await ask();
        ok(refused.kind === "answered");
        deepEqual(refused.results.get(MAIN), {
          kind: "rejected",
          reason: "the server takes no push options",
        });
        await run("git", ["config", "receive.advertisePushOptions", "true"], { cwd: remote.path });
        const script =
          '#!/bin/sh\necho "$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0 $GIT_PUSH_OPTION_1" > options\n';
        await Deno.writeTextFile(`${remote.path}/hooks/pre-receive`, script, { mode: 0o755 });
        deepEqual(kinds(await ask()), { [MAIN]: "moved" });
        equal(await Deno.readTextFile(`${remote.path}/options`), "2 ticket=7 dry\n");
      });
    });
  },
);

realTest("what a proc-receive hook made of a push is told", { needs: ["git"] }, async ({ dir }) => {
  await withRemote(dir, "pipe", async (remote) => {
    await run("git", ["config", "receive.procReceiveRefs", "refs/for"], { cwd: remote.path });
    await withLocal(`${dir}/local.git`, async (local) => {
      const one = await commit(local, undefined, "one");
      const pkt = (text: string) =>
        text.length === 0 ? "0000" : (text.length + 4).toString(16).padStart(4, "0") + text;
      const answer = [
        "version=1\n",
        "",
        "ok refs/for/main\n",
        "option refname refs/pull/1/head\n",
        `option old-oid ${GHOST}\n`,
        `option new-oid ${one}\n`,
        "option forced-update\n",
        "",
      ];
      // It has to take in what it is told before it ends, or git would see a broken pipe.
      const script = `#!/bin/sh\nprintf '${answer.slice(0, 2).map(pkt).join("").replaceAll("\n", "\\n")}'\n` +
        `printf '${answer.slice(2).map(pkt).join("").replaceAll("\n", "\\n")}'\ncat > /dev/null\n`;
      await Deno.writeTextFile(`${remote.path}/hooks/proc-receive`, script, { mode: 0o755 });
      const told = await push({
        repository: local,
        open: remote.open,
        moves: [move("refs/for/main", undefined, one)],
      });
      ok(told.kind === "answered", told.kind === "failed" ? told.error.message : "");
      deepEqual(told.results.get("refs/for/main"), {
        kind: "moved",
        effect: { name: "refs/pull/1/head", old: GHOST, new: one, forced: true },
      });
    });
  });
});

for (const kind of ["pipe", "ours"] as const) {
  realTest(`what the server has is not sent again, and a small change costs little (${kind})`, {
    needs: ["git"],
  }, async ({ dir }) => {
    await withRemote(dir, kind, async (remote) => {
      await withLocal(`${dir}/local.git`, async (local) => {
        const lines = Array.from({ length: 20_000 }, (_, i) => `host${i} IN TXT "${crypto.randomUUID()}"`);
        const others = Array.from({ length: 200 }, () => crypto.randomUUID());
        const one = await commit(local, undefined, lines.join("\n"), ...others);
        let sent = 0;
        const open = counting(remote.open, (bytes) => sent += bytes);
        const ask = (moves: RefMove[]) => push({ repository: local, open, moves });
        deepEqual(kinds(await ask([move(MAIN, undefined, one)])), { [MAIN]: "moved" });
        ok(sent > 100_000, `${sent} bytes`);
        lines[10_000] = "changed IN A 192.0.2.1";
        const two = await commit(local, one, lines.join("\n"), ...others);
        sent = 0;
        deepEqual(kinds(await ask([move(MAIN, one, two)])), { [MAIN]: "moved" });
        ok(sent < 1500, `${sent} bytes for one line and one entry`);
        equal(await git(remote.path, "show", `${MAIN}:file0`), lines.join("\n"));
        // The same again under another name costs a command.
        sent = 0;
        deepEqual(kinds(await ask([move("refs/heads/side", undefined, two)])), {
          "refs/heads/side": "moved",
        });
        ok(sent < 400, `${sent} bytes for nothing`);
      });
    });
    await fsck(`${dir}/${kind}.git`);
  });
}

/** Servers that are none, and what a push to them comes to. */
const SERVERS: readonly {
  name: string;
  /** After the advertisement `refs`, to a push of a new MAIN. */
  serve: (flow: Flow, tip: Oid) => Promise<void>;
  expect: { code: string; doubt: boolean; says?: RegExp } | { reason: RegExp };
}[] = [
  {
    name: "says nothing that git says",
    serve: (flow) => flow.write(utf8("HTTP/1.1 400 Bad Request\r\n\r\n")),
    expect: { code: "protocol", doubt: false },
  },
  {
    name: "refuses before anything",
    serve: (flow) => flow.write(encodePkt("ERR access denied\x1b[31m")),
    expect: { code: "remote", doubt: false, says: /access denied \[31m/ },
  },
  { name: "ends at once", serve: (flow) => flow.end(), expect: { code: "protocol", doubt: false } },
  {
    name: "answers in v2",
    serve: async (flow) => {
      await flow.write(encodePkt("version 2\n"));
      await flow.write(FLUSH);
    },
    expect: { code: "protocol", doubt: false },
  },
  {
    name: "has refs without end",
    serve: async (flow) => {
      for (let i = 0; i < 5000; i++) await flow.write(encodePkt(`${GHOST} refs/heads/${i}\0report-status\n`));
    },
    expect: { code: "limit", doubt: false },
  },
  {
    name: "reports nothing, by its own account",
    serve: (flow) => advertise(flow, "side-band-64k"),
    expect: { reason: /does not report/ },
  },
  {
    name: "goes away before its report",
    serve: async (flow) => {
      await advertise(flow, "report-status");
      await swallow(flow);
      await flow.end();
    },
    expect: { code: "unreachable", doubt: true, says: /without a report/ },
  },
  {
    name: "breaks off in its report",
    serve: async (flow) => {
      await advertise(flow, "report-status");
      await swallow(flow);
      await flow.write(encodePkt("unpack ok\n").subarray(0, 6));
      await flow.end();
    },
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "reports on other refs",
    serve: (flow) => answer(flow, ["unpack ok\n", "ok refs/heads/other\n"]),
    expect: { code: "protocol", doubt: true, says: /nothing of refs\/heads\/main/ },
  },
  {
    name: "reports gibberish",
    serve: (flow) => answer(flow, ["unpack ok\n", "maybe refs/heads/main\n"]),
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "reports options of nothing",
    serve: (flow) => answer(flow, ["unpack ok\n", "option forced-update\n"]),
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "reports bytes that are no text",
    serve: (flow) => answer(flow, [new Uint8Array([0xff, 0xfe, 0xfd])]),
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "reports nothing at all",
    serve: (flow) => answer(flow, []),
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "reports without end",
    serve: async (flow) => {
      await advertise(flow, "report-status");
      await swallow(flow);
      await flow.write(encodePkt("unpack ok\n"));
      const line = encodePkt("ok refs/heads/other\n");
      const many = new Uint8Array(line.length * 1000);
      for (let i = 0; i < 1000; i++) many.set(line, i * line.length);
      for (let i = 0; i < 200; i++) await flow.write(many);
    },
    expect: { code: "limit", doubt: true, says: /more than 100000 lines/ },
  },
  {
    name: "says ok after it could not unpack",
    serve: (flow) => answer(flow, ["unpack disk\x07full\n", "ok refs/heads/main\n"]),
    expect: { reason: /^disk full$/ },
  },
  {
    name: "refuses with control characters",
    serve: (flow) => answer(flow, ["unpack ok\n", "ng refs/heads/main no\x1b[2J way\n"]),
    expect: { reason: /^no \[2J way$/ },
  },
  {
    name: "ends with a fatal word on its side band",
    serve: async (flow) => {
      await advertise(flow, "report-status side-band-64k");
      await swallow(flow);
      await flow.write(encodeBand(3, utf8("out of cheese\n")));
    },
    expect: { code: "remote", doubt: true, says: /out of cheese/ },
  },
  {
    name: "uses a fourth side band",
    serve: async (flow) => {
      await advertise(flow, "report-status side-band-64k");
      await swallow(flow);
      await flow.write(encodePkt(new Uint8Array([4, 65])));
    },
    expect: { code: "protocol", doubt: true },
  },
  {
    name: "refuses in the middle of the pack and closes",
    serve: async (flow) => {
      await advertise(flow, "report-status");
      await flow.read();
      await flow.write(encodePkt("unpack too large\n"));
      await flow.write(encodePkt("ng refs/heads/main unpacker error\n"));
      await flow.write(FLUSH);
      await flow.end();
    },
    expect: { reason: /unpacker error: too large/ },
  },
];

for (const { name, serve, expect } of SERVERS) {
  Deno.test(`a push to a server that ${name} comes to an end that says so`, async () => {
    await withTemporary(async (local, tip) => {
      const [near, far] = memoryPair();
      const serving = serve(far, tip).catch((error) => {
        if (error.name !== "FlowError") throw error;
      });
      const outcome = await push({
        repository: local,
        open: () => Promise.resolve({ ok: true, value: near }),
        moves: [move(MAIN, undefined, tip)],
        maxRefs: 1000,
      });
      await serving;
      far.close();
      if ("reason" in expect) {
        ok(outcome.kind === "answered", outcome.kind === "failed" ? outcome.error.message : "");
        const result = outcome.results.get(MAIN);
        ok(result?.kind === "rejected");
        match(result.reason, expect.reason);
      } else {
        ok(outcome.kind === "failed");
        deepEqual([outcome.error.code, outcome.doubt], [expect.code, expect.doubt], outcome.error.message);
        if (expect.says !== undefined) match(outcome.error.message, expect.says);
      }
    });
  });
}

Deno.test("a server that talks while it is sent a pack holds nobody up", async () => {
  await withTemporary(async (local) => {
    const tip = await commit(local, undefined, crypto.getRandomValues(new Uint8Array(60_000)).join(" "));
    const [near, far] = memoryPair({ capacity: 1024 });
    const words: string[] = [];
    const serving = (async () => {
      await advertise(far, "report-status side-band-64k");
      await far.read();
      // More than fits in the way to the client, before any more is read.
      for (let i = 0; i < 200; i++) await far.write(encodeBand(2, utf8(`line ${i} ${"-".repeat(100)}\n`)));
      await swallow(far);
      const report = encodeReport({ unpack: undefined, refs: [{ name: MAIN, ok: true }] }, false);
      await far.write(encodeBand(1, report));
      await far.write(FLUSH);
      await far.end();
    })();
    const outcome = await push({
      repository: local,
      open: () => Promise.resolve({ ok: true, value: near }),
      moves: [move(MAIN, undefined, tip)],
      progress: (text) => void words.push(text),
    });
    await serving;
    deepEqual(kinds(outcome), { [MAIN]: "moved" });
    equal(words.length, 200);
    far.close();
  });
});

Deno.test("a server that goes silent is given up when its time is over", async () => {
  await withTemporary(async (local, tip) => {
    const [near, far] = memoryPair();
    let fire: (() => void) | undefined;
    const timer = (milliseconds: number, expired: () => void) => {
      if (milliseconds === 1000) fire = expired;
      return () => {};
    };
    const pushing = push({
      repository: local,
      open: () => Promise.resolve({ ok: true, value: near }),
      moves: [move(MAIN, undefined, tip)],
      bounds: { idle: 1000, timer },
    });
    await advertise(far, "report-status");
    await swallow(far);
    // Everything was sent, so what is armed by now is the wait for the report.
    await new Promise((resolve) => setTimeout(resolve, 0));
    fire?.();
    const outcome = await pushing;
    ok(outcome.kind === "failed");
    deepEqual([outcome.error.code, outcome.doubt], ["limit", true]);
    far.close();
  });
});

Deno.test("a report is read as it was written", () => {
  const word = fc.stringMatching(/^[a-z]{1,12}$/);
  const oid = fc.stringMatching(/^[1-9a-f]{40}$/).map((text) => text as Oid);
  const effect = fc.record({
    name: word.map((text) => `refs/x/${text}`),
    old: oid,
    new: oid,
    forced: fc.constant(true),
  }, {
    requiredKeys: ["new"],
  });
  const status = fc.record({
    unpack: fc.option(word, { nil: undefined }),
    refs: fc.array(
      fc.oneof(
        fc.record({ name: word, ok: fc.constant<true>(true) }),
        fc.record({ name: word, ok: fc.constant<true>(true), effect }),
        fc.record({
          name: word,
          ok: fc.constant<false>(false),
          reason: fc.array(word, { minLength: 1, maxLength: 4 }).map((words) => words.join(" ")),
        }),
      ),
      { maxLength: 5 },
    ),
  });
  fc.assert(fc.property(status, (written: PushStatus) => {
    // `unpack ok` is what says that nothing was wrong.
    fc.pre(written.unpack !== "ok");
    deepEqual(readReport(encodeReport(written, true)), written);
    const plain = readReport(encodeReport(written, false));
    ok(plain.refs.every((ref) => !("effect" in ref)));
  }));
});

Deno.test("our own receive-pack and push agree on whatever is asked", async () => {
  await withTemporary(async (local, tip) => {
    const remote = await initRepository(`${local.path}/../remote.git`);
    try {
      const other = await commit(local, tip, "other");
      const unrelated = await commit(local, undefined, "unrelated");
      const values = [undefined, tip, other, unrelated];
      const names = ["refs/heads/a", "refs/heads/b", "refs/tags/c"];
      const moves = fc.uniqueArray(
        fc.record({
          name: fc.constantFrom(...names),
          old: fc.constantFrom(...values),
          new: fc.constantFrom(...values),
        }),
        { selector: ({ name }) => name, minLength: 1 },
      );
      await fc.assert(
        fc.asyncProperty(moves, fc.boolean(), async (asked, atomic) => {
          const before = await remote.refs.list();
          const [near, far] = memoryPair();
          const serving = serveReceivePack({
            repository: remote,
            flow: far,
            version: 0,
            admit: admitAll(remote),
            allow: { deletes: true },
            atomic: "as-asked",
          });
          const outcome = await push({
            repository: local,
            open: () => Promise.resolve({ ok: true, value: near }),
            moves: asked,
            atomic,
          });
          await serving;
          far.close();
          ok(outcome.kind === "answered", outcome.kind === "failed" ? outcome.error.message : "");
          const after = await remote.refs.list();
          const failed = [...outcome.results.values()].some(({ kind }) =>
            kind === "stale" || kind === "rejected"
          );
          for (const { name, new: new_ } of asked) {
            const result: string | undefined = outcome.results.get(name)?.kind;
            const there: boolean = result === "moved" || result === "unchanged";
            equal(after.get(name), there ? new_ : before.get(name));
            if (atomic && failed) ok(result !== "moved");
          }
        }),
        { numRuns: 60 },
      );
    } finally {
      remote.close();
    }
  });
});

function push(options: PushRefsOptions): Promise<PushConversation> {
  return pushRefs(options, { zlib: nodeZlib, newSha1 });
}

function kinds(outcome: PushConversation): Record<string, string> {
  if (outcome.kind === "failed") throw outcome.error;
  return Object.fromEntries([...outcome.results].map(([name, { kind }]) => [name, kind]));
}

function move(name: string, old: Oid | undefined, new_: Oid | undefined): RefMove {
  return { name, old, new: new_ };
}

async function commit(repository: Repository, base: Oid | undefined, ...contents: string[]): Promise<Oid> {
  const changes = new Map(contents.map((content, index) => [`file${index}`, utf8(content)]));
  const made = await commitOn(repository, { base, changes, author: person("ours"), message: "a change\n" });
  if (made.kind !== "committed") throw new Error("nothing changed");
  return made.commit;
}

async function withTemporary(use: (local: Repository, tip: Oid) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-push-" });
  try {
    await withLocal(
      `${dir}/local.git`,
      async (local) => await use(local, await commit(local, undefined, "one")),
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function advertise(flow: Flow, capabilities: string): Promise<void> {
  await flow.write(encodePkt(`${ZERO} capabilities^{}\0${capabilities}\n`));
  await flow.write(FLUSH);
}

async function swallow(flow: Flow): Promise<void> {
  while (await flow.read() !== undefined);
}

async function answer(flow: Flow, lines: readonly (string | Uint8Array)[]): Promise<void> {
  await advertise(flow, "report-status");
  await swallow(flow);
  for (const line of lines) await flow.write(encodePkt(line));
  await flow.write(FLUSH);
  await flow.end();
}

function counting(open: OpenService, count: (bytes: number) => void): OpenService {
  return async (service, version) => {
    const opened = await open(service, version);
    if (!opened.ok) return opened;
    const flow = opened.value;
    return {
      ok: true,
      value: {
        ...flow,
        write(bytes) {
          count(bytes.length);
          return flow.write(bytes);
        },
      },
    };
  };
}

function readReport(bytes: Uint8Array): PushStatus {
  const decoder = new PktDecoder();
  decoder.push(bytes);
  const reader = new ReportReader(1000);
  for (let pkt = decoder.next(); pkt !== undefined; pkt = decoder.next()) {
    const status = reader.feed(pkt);
    if (status !== undefined) return status;
  }
  throw new Error("no end of the report");
}
