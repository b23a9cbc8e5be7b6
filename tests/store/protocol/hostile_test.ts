/** Peers that lie, flood, break off or say nothing: a typed error, nothing left behind, nothing hung. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { FlowError, memoryPair } from "../../../conduit/mod.ts";
import type { Flow } from "../../../conduit/mod.ts";
import {
  admitAll,
  composeCommit,
  encodePack,
  fetchFrom,
  initRepository,
  lsRefs,
  newSha1,
  nodeZlib,
  objectOid,
  serveReceivePack,
  serveUploadPack,
  textOf,
  utf8,
} from "../../../store/mod.ts";
import type { AdmitPush, GitObject, Oid, Repository } from "../../../store/mod.ts";
import { DELIM, encodePkt, FLUSH } from "../../../store/protocol/pkt_line.ts";
import { encodeBand } from "../../../store/protocol/side_band.ts";

const ZERO = "0".repeat(40);
const GHOST = "1234567890".repeat(4) as Oid;
const LIMITS = {
  packBytes: 1 << 20,
  objectBytes: 1 << 20,
  objects: 1000,
  deltaDepth: 50,
  deltaWork: 1 << 22,
};

/** What a client sends to receive-pack, and what must come of it. */
const PUSHES: readonly {
  name: string;
  wire: (tip: Oid) => Promise<Uint8Array[]> | Uint8Array[];
  code?: string;
  says?: RegExp;
}[] = [
  { name: "a truncated packet", wire: () => [utf8("00ffabc")], code: "protocol" },
  { name: "an oversize length", wire: () => [utf8("ffffabc")], code: "protocol", says: /bad packet length/ },
  { name: "half a length", wire: () => [utf8("00")], code: "protocol" },
  {
    name: "a command that is none",
    wire: () => [encodePkt("hello")],
    code: "protocol",
    says: /not a command/,
  },
  { name: "text that is not UTF-8", wire: () => [encodePkt(new Uint8Array([0xff, 0xfe]))], code: "protocol" },
  { name: "an early end", wire: () => [command("refs/heads/x", GHOST)], code: "protocol" },
  {
    name: "a capability that was not offered",
    wire: () => [command("refs/heads/x", GHOST, "push-cert=1"), FLUSH],
    code: "protocol",
  },
  {
    name: "another object format",
    wire: () => [command("refs/heads/x", GHOST, "object-format=sha256"), FLUSH],
    code: "protocol",
  },
  {
    name: "a flood of commands",
    wire: () => [
      command("refs/heads/x", GHOST),
      ...Array.from({ length: 2000 }, (_, i) => encodePkt(`${ZERO} ${GHOST} refs/heads/${i}`)),
    ],
    code: "limit",
    says: /more than 1024 refs/,
  },
  ...[
    "refs/heads/../../hooks/post-receive",
    "refs/heads/x.lock",
    "HEAD",
    "../x",
    "refs/heads/",
    "config",
    "refs/heads/a b",
  ].map((ref) => ({
    name: `the ref name ${ref}`,
    wire: async () => [command(ref, GHOST), FLUSH, await pack([])],
    says: /ng .* funny refname/,
  })),
  {
    name: "two updates of one ref",
    wire: async () => [
      command("refs/heads/x", GHOST),
      encodePkt(`${ZERO} ${GHOST} refs/heads/x`),
      FLUSH,
      await pack([]),
    ],
    says: /ng refs\/heads\/x more than one update/,
  },
  {
    name: "an old value that does not hold",
    wire: async () => [encodePkt(`${GHOST} ${GHOST} refs/heads/main\0 report-status`), FLUSH, await pack([])],
    says: /ng refs\/heads\/main stale info/,
  },
  {
    name: "a deletion",
    wire: (tip) => [encodePkt(`${tip} ${ZERO} refs/heads/main\0 report-status`), FLUSH],
    says: /ng refs\/heads\/main deletion prohibited/,
  },
  {
    name: "garbage instead of a pack",
    wire: () => [command("refs/heads/x", GHOST), FLUSH, utf8("GARBAGE".repeat(50))],
    says: /unpack [^o]/,
  },
  { name: "no pack at all", wire: () => [command("refs/heads/x", GHOST), FLUSH], says: /unpack [^o]/ },
  {
    name: "a pack without the object",
    wire: async () => [command("refs/heads/x", GHOST), FLUSH, await pack([])],
    says: /unpack .*missing/,
  },
  {
    name: "a pack cut off",
    wire: async () => [command("refs/heads/x", GHOST), FLUSH, (await pack([blob("x")])).subarray(0, -5)],
    says: /unpack [^o]/,
  },
  {
    name: "a pack with a wrong checksum",
    wire: async () => {
      const bytes = await pack([blob("x")]);
      bytes[bytes.length - 1] ^= 1;
      return [command("refs/heads/x", GHOST), FLUSH, bytes];
    },
    says: /unpack [^o]/,
  },
  {
    name: "a pack that announces four thousand million objects",
    wire: () => [
      command("refs/heads/x", GHOST),
      FLUSH,
      new Uint8Array([0x50, 0x41, 0x43, 0x4b, 0, 0, 0, 2, 255, 255, 255, 255]),
    ],
    says: /unpack [^o]/,
  },
  {
    name: "a commit whose tree is missing",
    wire: async () => {
      const { oid, object } = orphan();
      return [command("refs/heads/x", oid), FLUSH, await pack([object])];
    },
    says: /unpack .*is missing, which/,
  },
  {
    name: "a blob as a branch",
    wire: async () => [command("refs/heads/x", oidOf(blob("x"))), FLUSH, await pack([blob("x")])],
    says: /ng refs\/heads\/x a branch must be a commit/,
  },
];

for (const { name, wire, code, says } of PUSHES) {
  Deno.test(`a push with ${name} is refused and leaves nothing`, async () => {
    await withRepository(async (repository, tip) => {
      const [near, far] = memoryPair();
      const serving = serveReceivePack({
        repository,
        flow: far,
        version: 0,
        admit: admitAll(repository),
        limits: { pack: LIMITS },
      });
      const answer = collect(near);
      await sendAll(near, await wire(tip));
      const outcome = await serving;
      far.close();
      if (code === undefined) {
        ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
        ok([...outcome.value.results.values()].every((result) => !result.ok));
      } else equal(outcome.ok || outcome.error.code, code);
      const said = await answer;
      if (says !== undefined) match(said, says);
      near.close();
      deepEqual([...await repository.refs.list()], [["refs/heads/main", tip]]);
    });
  });
}

Deno.test("a pusher that vanishes in the middle of its pack leaves nothing", async () => {
  await withRepository(async (repository) => {
    const [near, far] = memoryPair();
    const serving = serveReceivePack({ repository, flow: far, version: 0, admit: admitAll(repository) });
    await near.read();
    await near.write(command("refs/heads/x", GHOST));
    await near.write(FLUSH);
    await near.write((await pack([blob("x")])).subarray(0, 20));
    near.close();
    const outcome = await serving;
    equal(outcome.ok || outcome.error.code, "unreachable");
  });
});

Deno.test("a peer that says nothing is given up when its time is over, and its flow closed", async () => {
  await withRepository(async (repository) => {
    for (const which of ["idle", "total"] as const) {
      const [near, far] = memoryPair();
      const timers = new Map<number, () => void>();
      const timer = (milliseconds: number, fire: () => void) => {
        timers.set(milliseconds, fire);
        return () => timers.delete(milliseconds);
      };
      const bounds = { idle: 1000, total: 9000, timer };
      const serving = serveUploadPack({ repository, flow: far, version: 2, bounds });
      await near.read(); // The advertisement.
      // Between memory flows there are only microtasks: when they are through, the server waits for us.
      await new Promise((resolve) => setTimeout(resolve, 0));
      timers.get(bounds[which])?.();
      const outcome = await serving;
      equal(outcome.ok || outcome.error.code, "limit");
      near.close();
    }
  });
});

Deno.test("an abort ends a fetch at once", async () => {
  await withRepository(async (repository) => {
    const [near, far] = memoryPair();
    const stop = new AbortController();
    const fetching = fetchFrom({
      open: () => Promise.resolve({ ok: true, value: near }),
      repository,
      refPrefixes: [],
      want: () => [],
      limits: LIMITS,
      signal: stop.signal,
    });
    stop.abort();
    const outcome = await fetching;
    equal(outcome.ok || outcome.error.code, "unreachable");
    far.close();
  });
});

/** What a client sends to upload-pack in v2, or v0, and what it must hear. */
const FETCHES: readonly {
  name: string;
  version: 0 | 2;
  wire: (tip: Oid) => Uint8Array[];
  code: string;
  says?: RegExp;
}[] = [
  {
    name: "an object that is not there",
    version: 0,
    wire: () => [encodePkt(`want ${GHOST} ofs-delta`), FLUSH],
    code: "protocol",
    says: /ERR upload-pack: not our ref/,
  },
  {
    name: "an object that is not there",
    version: 2,
    wire: () => v2("fetch", `want ${GHOST}`, "done"),
    code: "protocol",
    says: /ERR upload-pack: not our ref/,
  },
  {
    name: "an unknown command",
    version: 2,
    wire: () => v2("object-info"),
    code: "protocol",
    says: /ERR upload-pack: unknown command/,
  },
  {
    name: "a filter that is not served",
    version: 2,
    wire: (tip) => v2("fetch", `want ${tip}`, `filter sparse:oid=${tip}`),
    code: "protocol",
    says: /is not served/,
  },
  {
    name: "a depth of nothing",
    version: 2,
    wire: (tip) => v2("fetch", `want ${tip}`, "deepen 0"),
    code: "protocol",
    says: /unexpected line/,
  },
  {
    name: "a capability that was not offered",
    version: 0,
    wire: (tip) => [encodePkt(`want ${tip} push-cert`), FLUSH],
    code: "protocol",
    says: /was not offered/,
  },
  {
    name: "another object format",
    version: 2,
    wire: () => [encodePkt("command=fetch"), encodePkt("object-format=sha256"), FLUSH],
    code: "protocol",
  },
  { name: "a truncated packet", version: 2, wire: () => [utf8("0100command")], code: "protocol" },
  { name: "half a request", version: 2, wire: () => [encodePkt("command=fetch"), DELIM], code: "protocol" },
  {
    name: "a flood of haves",
    version: 0,
    wire: (
      tip,
    ) => [
      encodePkt(`want ${tip} multi_ack_detailed`),
      FLUSH,
      ...ids(300).map((oid) => encodePkt(`have ${oid}`)),
    ],
    code: "limit",
    says: /more than 100 haves/,
  },
  {
    name: "a flood of haves",
    version: 2,
    wire: (tip) => v2("fetch", `want ${tip}`, ...ids(300).map((oid) => `have ${oid}`)),
    code: "limit",
    says: /more than 100 haves/,
  },
  {
    name: "an early end among its haves",
    version: 0,
    wire: (tip) => [encodePkt(`want ${tip}`), FLUSH, encodePkt(`have ${GHOST}`)],
    code: "protocol",
  },
];

for (const { name, version, wire, code, says } of FETCHES) {
  Deno.test(`a v${version} fetch with ${name} is refused`, async () => {
    await withRepository(async (repository, tip) => {
      const [near, far] = memoryPair();
      const limits = { wants: 10, haves: 100 };
      const serving = serveUploadPack({ repository, flow: far, version, limits });
      const answer = collect(near);
      await sendAll(near, wire(tip));
      const outcome = await serving;
      equal(outcome.ok || outcome.error.code, code);
      const said = await answer;
      if (says !== undefined) match(said, says);
      near.close();
      far.close();
    });
  });
}

/** What a server sends to our fetch in answer to anything, and the code that must come of it. */
const V2_HELLO = [encodePkt("version 2\n"), encodePkt("ls-refs=unborn\n"), encodePkt("fetch\n"), FLUSH];
const LS = [encodePkt(`${GHOST} refs/heads/main\n`), FLUSH];
const SERVERS: readonly {
  name: string;
  wire: () => Promise<Uint8Array[]> | Uint8Array[];
  code: string;
  says?: RegExp;
}[] = [
  { name: "nothing", wire: () => [], code: "protocol" },
  { name: "a web page", wire: () => [utf8("HTTP/1.1 400 Bad Request\r\n")], code: "protocol" },
  {
    name: "an error",
    wire: () => [encodePkt("ERR access denied\x1b[2J\n")],
    code: "remote",
    says: /access denied \[2J$/,
  },
  {
    name: "an error instead of refs",
    wire: () => [...V2_HELLO, encodePkt("ERR later\n")],
    code: "remote",
    says: /later/,
  },
  { name: "half an advertisement", wire: () => V2_HELLO.slice(0, 2), code: "protocol" },
  {
    name: "an object format we do not speak",
    wire: () => [encodePkt("version 2"), encodePkt("object-format=sha256"), FLUSH],
    code: "protocol",
  },
  { name: "a refs list that breaks off", wire: () => [...V2_HELLO, LS[0]], code: "protocol" },
  {
    name: "endless refs",
    wire: () => [...V2_HELLO, ...ids(200).map((oid, i) => encodePkt(`${oid} refs/heads/${i}`)), FLUSH],
    code: "limit",
  },
  {
    name: "another section",
    wire: () => [...V2_HELLO, ...LS, encodePkt("shallow-info\n"), FLUSH],
    code: "protocol",
  },
  {
    name: "an acknowledgment that ends too early",
    wire: () => [...V2_HELLO, ...LS, encodePkt("packfile\n"), FLUSH],
    code: "malformed",
  },
  {
    name: "a fatal error on its side band",
    wire: () => [...V2_HELLO, ...LS, encodePkt("packfile\n"), encodeBand(3, utf8("out of disk\n"))],
    code: "remote",
    says: /out of disk/,
  },
  {
    name: "a fourth side band",
    wire: () => [...V2_HELLO, ...LS, encodePkt("packfile\n"), encodePkt("\x04x")],
    code: "protocol",
  },
  {
    name: "garbage for a pack",
    wire: () => [...V2_HELLO, ...LS, encodePkt("packfile\n"), encodeBand(1, utf8("junk".repeat(20))), FLUSH],
    code: "malformed",
  },
  {
    name: "a pack that breaks off",
    wire: async () => [
      ...V2_HELLO,
      ...LS,
      encodePkt("packfile\n"),
      encodeBand(1, (await pack([blob("x")])).subarray(0, 15)),
    ],
    code: "protocol",
  },
  {
    name: "a pack without what was wanted",
    wire: async () => [
      ...V2_HELLO,
      ...LS,
      encodePkt("packfile\n"),
      encodeBand(1, await pack([blob("x")])),
      FLUSH,
    ],
    code: "connectivity",
  },
  {
    name: "bytes after its pack",
    wire: async () => [
      ...V2_HELLO,
      ...LS,
      encodePkt("packfile\n"),
      encodeBand(1, await pack([blob("x")])),
      encodeBand(1, utf8("more")),
      FLUSH,
    ],
    code: "protocol",
  },
];

for (const { name, wire, code, says } of SERVERS) {
  Deno.test(`a server that sends ${name} is a typed error of the fetch`, async () => {
    await withRepository(async (repository) => {
      const [near, far] = memoryPair({ capacity: 1 << 20 });
      const sending = sendAll(far, await wire(), true);
      const outcome = await fetchFrom({
        open: () => Promise.resolve({ ok: true, value: near }),
        repository,
        refPrefixes: [],
        want: () => [GHOST],
        limits: LIMITS,
        maxRefs: 100,
      });
      ok(!outcome.ok);
      equal(outcome.error.code, code, outcome.error.message);
      if (says !== undefined) match(outcome.error.message, says);
      await sending;
      far.close();
    }, false);
  });
}

Deno.test("whatever a client sends, both services end with a value and keep nothing", async () => {
  await withRepository(async (repository, tip) => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constantFrom(
        FLUSH,
        DELIM,
        encodePkt(`want ${tip}`),
        encodePkt(`have ${tip}`),
        encodePkt("done"),
        encodePkt("command=fetch"),
        encodePkt("command=ls-refs"),
        command("refs/heads/x", tip, "report-status side-band-64k push-options"),
        utf8("PACK\0\0\0\x02\0\0\0\x01"),
      ),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<0 | 1 | 2>(0, 1, 2),
        fc.boolean(),
        fc.array(part),
        async (version, push, parts) => {
          const [near, far] = memoryPair();
          const serving = push
            ? serveReceivePack({ repository, flow: far, version, admit: refuse, limits: { pack: LIMITS } })
            : serveUploadPack({ repository, flow: far, version });
          const answer = collect(near);
          await sendAll(near, parts);
          const outcome = await serving;
          await answer;
          ok(outcome.ok || outcome.error.code !== "io", outcome.ok ? "" : outcome.error.message);
          near.close();
          far.close();
        },
      ),
      { numRuns: 300 },
    );
    deepEqual([...await repository.refs.list()], [["refs/heads/main", tip]]);
  });
});

const refuse: AdmitPush = ({ moves }) =>
  Promise.resolve({ results: new Map(moves.map(({ name }) => [name, { ok: false, reason: "no" }])) });

Deno.test("a server that acknowledges what was never offered is a typed error of the fetch", async () => {
  await withRepository(async (repository) => {
    const [near, far] = memoryPair({ capacity: 1 << 20 });
    await sendAll(far, [
      ...V2_HELLO,
      ...LS,
      encodePkt("acknowledgments\n"),
      encodePkt(`ACK ${GHOST}\n`),
      FLUSH,
    ]);
    const outcome = await fetchFrom({
      open: () => Promise.resolve({ ok: true, value: near }),
      repository,
      refPrefixes: [],
      want: () => [GHOST],
      limits: LIMITS,
    });
    ok(!outcome.ok);
    match(outcome.error.message, /never offered/);
    far.close();
  });
});

Deno.test("a flow that cannot be opened says why", async () => {
  const outcome = await lsRefs({
    open: () => Promise.resolve({ ok: false, error: { message: "tcp 192.0.2.1:22: refused" } }),
    refPrefixes: [],
  });
  ok(!outcome.ok);
  equal(outcome.error.code, "unreachable");
  match(outcome.error.message, /192\.0\.2\.1:22: refused/);
});

Deno.test("when one of several refs cannot be moved the moved ones go back", async () => {
  await withRepository(async (repository, tip) => {
    const reply = await admitAll(repository)({
      moves: [
        { name: "refs/heads/a", old: undefined, new: tip },
        { name: "refs/heads/main", old: undefined, new: tip },
      ],
      objects: repository,
      pushOptions: [],
      migrate: () => Promise.resolve(),
      say: () => Promise.resolve(),
    });
    deepEqual([...reply.results.values()].map((result) => result.ok), [false, false]);
    deepEqual([...await repository.refs.list()], [["refs/heads/main", tip]]);
  });
});

async function withRepository(
  use: (repository: Repository, tip: Oid) => Promise<void>,
  withMain = true,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-test-" });
  const repository = await initRepository(`${dir}/zones.git`);
  try {
    const tip = await firstCommit(repository);
    if (withMain) ok((await repository.refs.move({ name: "refs/heads/main", old: undefined, new: tip })).ok);
    await use(repository, tip);
    const left: string[] = [];
    for await (const entry of Deno.readDir(`${dir}/zones.git/objects`)) {
      if (entry.name.startsWith("tmp_")) left.push(entry.name);
    }
    deepEqual(left, []);
  } finally {
    repository.close();
    await Deno.remove(dir, { recursive: true });
  }
}

async function firstCommit(repository: Repository): Promise<Oid> {
  const tree = await repository.write("tree", new Uint8Array());
  return await repository.write("commit", commitOn(tree).content);
}

function commitOn(tree: Oid): GitObject {
  const person = "T <t@example.test> 1700000000 +0000";
  const content = composeCommit({ tree, parents: [], author: person, committer: person, message: "x\n" });
  return { kind: "commit", content };
}

/** A commit of a tree that nobody has. */
function orphan(): { readonly oid: Oid; readonly object: GitObject } {
  const object = commitOn(GHOST);
  return { oid: oidOf(object), object };
}

function oidOf({ kind, content }: GitObject): Oid {
  return objectOid(kind, content, newSha1);
}

function blob(text: string): GitObject {
  return { kind: "blob", content: utf8(text) };
}

async function pack(objects: readonly GitObject[]): Promise<Uint8Array> {
  const parts = await Array.fromAsync(encodePack(objects, objects.length, { zlib: nodeZlib, newSha1 }));
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

function command(ref: string, oid: Oid, capabilities = "report-status"): Uint8Array {
  return encodePkt(`${ZERO} ${oid} ${ref}\0 ${capabilities}`);
}

function v2(name: string, ...args: string[]): Uint8Array[] {
  return [encodePkt(`command=${name}`), DELIM, ...args.map((arg) => encodePkt(arg)), FLUSH];
}

function ids(count: number): Oid[] {
  return Array.from({ length: count }, (_, i) => oidOf(blob(`${i}`)));
}

/** Sends and ends our side. A peer that stopped listening is what some of the tests are about. */
async function sendAll(flow: Flow, parts: readonly Uint8Array[], mayStop = true): Promise<void> {
  try {
    for (const part of parts) await flow.write(part);
    await flow.end();
  } catch (error) {
    if (!mayStop || !(error instanceof FlowError)) throw error;
  }
}

/** Everything the peer says until it ends or goes. */
async function collect(flow: Flow): Promise<string> {
  let text = "";
  try {
    for (let bytes = await flow.read(); bytes !== undefined; bytes = await flow.read()) text += textOf(bytes);
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
  }
  return text;
}
