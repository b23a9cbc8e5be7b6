/** Servers that lie, flood or stall in what a fetch adds: haves, boundaries, sections. Nothing is left behind. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import fc from "fast-check";
import { FlowError, memoryPair } from "../../../conduit/mod.ts";
import type { Flow } from "../../../conduit/mod.ts";
import {
  composeCommit,
  encodePack,
  fetchFrom,
  initRepository,
  newSha1,
  nodeZlib,
  objectOid,
  utf8,
} from "../../../store/mod.ts";
import type {
  FetchOptions,
  GitObject,
  Oid,
  ProtocolVersion,
  Repository,
  StoreError,
} from "../../../store/mod.ts";
import { DELIM, encodePkt, FLUSH, RESPONSE_END } from "../../../store/protocol/pkt_line.ts";
import { encodeBand } from "../../../store/protocol/side_band.ts";
import { fetchOptions } from "./fetch_remotes.ts";

const GHOST = "1234567890".repeat(4) as Oid;
const TREE: GitObject = { kind: "tree", content: new Uint8Array() };

const BOUNDARY = commitOn([GHOST], "cut", 9);

/** Ours: five commits on main, three on another branch. Theirs: a sixth on main. */
interface World {
  readonly repository: Repository;
  readonly main: readonly Oid[];
  readonly other: readonly Oid[];
  readonly next: Oid;
  /** The pack that a fetch of `next` gets. */
  readonly pack: Uint8Array;
}

interface HostileServer {
  readonly name: string;
  readonly version: ProtocolVersion;
  /** What is done to ours first. */
  readonly before?: (world: World) => Promise<void>;
  readonly wire: (world: World) => Uint8Array[];
  readonly options?: Partial<FetchOptions>;
  /** Without one the fetch succeeds, and `after` says what must not have happened. */
  readonly code?: StoreError["code"];
  readonly says?: RegExp;
  readonly after?: (world: World) => Promise<void>;
}

const SERVERS: readonly HostileServer[] = [
  {
    name: "acknowledges without end",
    version: 2,
    wire: (world) => [
      ...hello2(world),
      line("acknowledgments"),
      ...Array.from({ length: 1000 }, () => line(`ACK ${world.main[4]}`)),
    ],
    code: "protocol",
    says: /more acknowledgments than there were haves/,
  },
  {
    name: "acknowledges without end",
    version: 0,
    wire: (world) => [
      ...hello0(world),
      ...Array.from({ length: 1000 }, () => line(`ACK ${world.main[4]} common`)),
    ],
    code: "protocol",
    says: /more acknowledgments than there were haves/,
  },
  {
    name: "acknowledges what was not offered",
    version: 0,
    wire: (world) => [
      ...hello0(world),
      ...Array.from({ length: 20 }, () => line(`ACK ${GHOST} common`)),
      line("NAK"),
    ],
    options: { negotiator: "consecutive" },
    code: "protocol",
  },
  {
    name: "names boundaries without end",
    version: 2,
    wire: (
      world,
    ) => [...hello2(world), line("shallow-info"), ...ids(200).map((oid) => line(`shallow ${oid}`))],
    options: { depth: 1, maxShallow: 100, negotiator: "noop" },
    code: "limit",
    says: /more than 100 boundaries/,
  },
  {
    name: "names one boundary without end",
    version: 2,
    wire: (world) => [
      ...hello2(world),
      line("shallow-info"),
      ...Array.from({ length: 200 }, () => line(`shallow ${GHOST}`)),
    ],
    options: { depth: 1, maxShallow: 100, negotiator: "noop" },
    code: "limit",
  },
  {
    name: "names boundaries without end",
    version: 0,
    wire: (world) => [...hello0(world), ...ids(200).map((oid) => line(`shallow ${oid}`))],
    options: { depth: 1, maxShallow: 100 },
    code: "limit",
  },
  {
    name: "has boundaries without end beside its refs",
    version: 0,
    wire: (world) => [
      encodePkt(`${world.next} refs/heads/main\0 shallow`),
      ...ids(400).map((oid) => line(`shallow ${oid}`)),
    ],
    options: { maxRefs: 100 },
    code: "limit",
  },
  {
    name: "takes a boundary away that is none",
    version: 2,
    wire: (world) => [...hello2(world), line("shallow-info"), line(`unshallow ${world.main[2]}`), DELIM],
    options: { depth: 2, negotiator: "noop" },
    code: "protocol",
    says: /^memory, one end: unshallow [0-9a-f]{40}, which is no boundary of ours/,
  },
  {
    name: "talks of something else among boundaries",
    version: 2,
    wire: (world) => [...hello2(world), line("shallow-info"), line("\x1b]0;hi\x07")],
    options: { depth: 2, negotiator: "noop" },
    code: "protocol",
    says: /^memory, one end: \]0;hi where shallow or unshallow was due$/,
  },
  {
    name: "breaks off among boundaries with an error",
    version: 2,
    wire: (world) => [...hello2(world), line("shallow-info"), line("ERR out of depth")],
    options: { depth: 2, negotiator: "noop" },
    code: "remote",
    says: /^memory, one end: the server says: out of depth$/,
  },
  {
    name: "cuts our history off in a fetch that asked for no depth",
    version: 2,
    wire: (world) => [
      ...hello2(world),
      line("shallow-info"),
      line(`shallow ${world.main[2]}`),
      line(`shallow ${world.other[1]}`),
      DELIM,
      ...packOf(world),
    ],
    options: { negotiator: "noop", acceptShallow: true },
    after: async ({ repository }) => deepEqual([...await repository.shallow.list()], []),
  },
  {
    name: "cuts off a branch that the depth was not asked for",
    version: 2,
    wire: (world) => [
      ...hello2(world),
      line("shallow-info"),
      line(`shallow ${world.main[4]}`),
      line(`shallow ${world.other[1]}`),
      DELIM,
      ...packOf(world),
    ],
    options: { depth: 2, negotiator: "noop" },
    after: async ({ repository, main }) => deepEqual([...await repository.shallow.list()], [main[4]]),
  },
  ...["wanted-refs", "packfile-uris", "\x00", "shallow-info"].map((section): HostileServer => ({
    name: `sends a section ${JSON.stringify(section)} that was not asked for, or twice`,
    version: 2,
    wire: (world) => [...hello2(world), line("shallow-info"), DELIM, line(section), DELIM],
    options: { negotiator: "noop" },
    code: "protocol",
  })),
  {
    name: "ends its response before the pack",
    version: 2,
    wire: (world) => [...hello2(world), RESPONSE_END],
    options: { negotiator: "noop" },
    code: "protocol",
  },
  {
    name: "talks without end beside the pack",
    version: 2,
    wire: (world) => [
      ...hello2(world),
      line("packfile"),
      ...Array.from({ length: 140 }, () => encodeBand(2, new Uint8Array(65515))),
    ],
    options: { negotiator: "noop" },
    code: "limit",
    says: /words beside the pack/,
  },
  {
    name: "gives signs of life without end and no pack",
    version: 2,
    wire: (world) => [...hello2(world), line("packfile"), repeated(utf8("0005\x01"), 1_700_000)],
    options: { negotiator: "noop" },
    code: "limit",
  },
  {
    name: "sends a pack larger than what is taken",
    version: 2,
    wire: (world) => [...hello2(world), ...packOf(world)],
    options: { negotiator: "noop", limits: { ...fetchLimits(), packBytes: 40 } },
    code: "limit",
  },
  {
    name: "takes a boundary away and does not send what lay behind it",
    version: 2,
    before: async ({ repository }) => {
      const { kind, content } = BOUNDARY;
      const oid = await repository.write(kind, content);
      await repository.shallow.update({ add: [oid] });
      ok((await repository.refs.move({ name: "refs/heads/cut", old: undefined, new: oid })).ok);
    },
    wire: (world) => [
      ...hello2(world),
      line("shallow-info"),
      line(`unshallow ${oidOf(BOUNDARY)}`),
      DELIM,
      ...packOf(world),
    ],
    options: { deepenBy: 3, negotiator: "noop" },
    code: "connectivity",
    says: new RegExp(`commit ${GHOST} is missing|object ${GHOST} is missing`),
  },
];

for (const { name, version, before: prepare, wire, options, code, says, after } of SERVERS) {
  Deno.test(`a v${version} server that ${name}`, async () => {
    await withWorld(async (world) => {
      await prepare?.(world);
      const [near, far] = memoryPair({ capacity: 1 << 25 });
      await send(far, wire(world));
      const before = [...await world.repository.shallow.list()];
      const outcome = await fetchFrom(
        fetchOptions(world.repository, () => Promise.resolve({ ok: true, value: near }), version, options),
      );
      far.close();
      if (code === undefined) {
        ok(outcome.ok, outcome.ok ? "" : outcome.error.message);
        return await after?.(world);
      }
      ok(!outcome.ok);
      equal(outcome.error.code, code, outcome.error.message);
      if (says !== undefined) match(outcome.error.message, says);
      deepEqual([...await world.repository.shallow.list()], before);
    });
  });
}

Deno.test("a server that says nothing where boundaries, answers or the pack are due is given up", async () => {
  await withWorld(async (world) => {
    const hanging: [ProtocolVersion, Uint8Array[], Partial<FetchOptions>][] = [
      [2, hello2(world), {}],
      [2, [...hello2(world), line("shallow-info")], { depth: 1, negotiator: "noop" }],
      [2, [...hello2(world), line("packfile")], { negotiator: "noop" }],
      [0, hello0(world), { depth: 1 }],
      [0, hello0(world), {}],
    ];
    for (const [version, wire, options] of hanging) {
      const [near, far] = memoryPair({ capacity: 1 << 20 });
      await send(far, wire, false);
      const waiting = new Set<() => void>();
      const timer = (milliseconds: number, fire: () => void) => {
        if (milliseconds !== 1234) return () => {};
        waiting.add(fire);
        return () => waiting.delete(fire);
      };
      let reads = 0;
      const flow: Flow = { ...near, read: () => (reads++, near.read()) };
      const fetching = fetchFrom(
        fetchOptions(world.repository, () => Promise.resolve({ ok: true, value: flow }), version, {
          ...options,
          bounds: { idle: 1234, timer },
        }),
      );
      // Each chunk takes a read, and one more waits.
      while (reads <= wire.length) await new Promise((resolve) => setTimeout(resolve, 1));
      for (const fire of [...waiting]) fire();
      const outcome = await fetching;
      equal(outcome.ok || outcome.error.code, "limit");
      far.close();
    }
  });
});

Deno.test("whatever a server sends, a fetch ends with a value and keeps nothing", async () => {
  await withWorld(async (world) => {
    const { main, next, pack } = world;
    const parts = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 40 }),
        fc.constantFrom(
          FLUSH,
          DELIM,
          RESPONSE_END,
          line("acknowledgments"),
          line("ready"),
          line("NAK"),
          line(`ACK ${main[4]}`),
          line(`ACK ${main[4]} common`),
          line(`ACK ${main[3]} ready`),
          line("shallow-info"),
          line(`shallow ${main[1]}`),
          line(`shallow ${next}`),
          line(`unshallow ${main[1]}`),
          line("packfile"),
          encodeBand(1, pack.subarray(0, 30)),
          encodeBand(2, utf8("words\n")),
          encodeBand(3, utf8("no\n")),
        ),
      ),
      { maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<0 | 2>(0, 2),
        fc.constantFrom<Partial<FetchOptions>>({}, { depth: 2 }, { negotiator: "noop" }, { refetch: true }),
        parts,
        async (version, options, wire) => {
          const [near, far] = memoryPair({ capacity: 1 << 20 });
          await send(far, [...(version === 2 ? hello2(world) : hello0(world)), ...wire]);
          const outcome = await fetchFrom(
            fetchOptions(
              world.repository,
              () => Promise.resolve({ ok: true, value: near }),
              version,
              options,
            ),
          );
          ok(!outcome.ok && outcome.error.code !== "io", outcome.ok ? "taken" : outcome.error.message);
          far.close();
        },
      ),
      { numRuns: 250 },
    );
    deepEqual([...await world.repository.shallow.list()], []);
    equal(await world.repository.has(next), false);
  });
});

async function withWorld(use: (world: World) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "bailiwick-test-" });
  const repository = await initRepository(`${dir}/ours.git`);
  try {
    await repository.write(TREE.kind, TREE.content);
    const grow = async (name: string, count: number) => {
      const oids: Oid[] = [];
      for (let i = 0; i < count; i++) {
        const object = commitOn(oids.slice(-1), `${name} ${i}`, i);
        oids.push(await repository.write(object.kind, object.content));
      }
      ok((await repository.refs.move({ name: `refs/heads/${name}`, old: undefined, new: oids.at(-1) })).ok);
      return oids;
    };
    const main = await grow("main", 5);
    const other = await grow("other", 3);
    const next = commitOn(main.slice(-1), "main 5", 5);
    const parts = await Array.fromAsync(encodePack([next], 1, { zlib: nodeZlib, newSha1 }));
    const pack = new Uint8Array(parts.flatMap((part) => [...part]));
    await use({ repository, main, other, next: oidOf(next), pack });
    for await (const { name } of Deno.readDir(`${dir}/ours.git/objects`)) ok(!name.startsWith("tmp_"), name);
  } finally {
    repository.close();
    await Deno.remove(dir, { recursive: true });
  }
}

function hello2({ next }: World): Uint8Array[] {
  return [
    line("version 2"),
    line("ls-refs=unborn"),
    line("fetch=shallow wait-for-done"),
    FLUSH,
    line(`${next} refs/heads/main`),
    FLUSH,
  ];
}

function hello0({ next }: World): Uint8Array[] {
  const capabilities = "multi_ack_detailed side-band-64k ofs-delta shallow deepen-since deepen-relative";
  return [encodePkt(`${next} refs/heads/main\0 ${capabilities}\n`), FLUSH];
}

function packOf({ pack }: World): Uint8Array[] {
  return [line("packfile"), encodeBand(1, pack), FLUSH];
}

function line(text: string): Uint8Array {
  return encodePkt(`${text}\n`);
}

function ids(count: number): Oid[] {
  return Array.from({ length: count }, (_, i) => oidOf({ kind: "blob", content: utf8(String(i)) }));
}

function repeated(part: Uint8Array, count: number): Uint8Array {
  const all = new Uint8Array(part.length * count);
  for (let i = 0; i < count; i++) all.set(part, i * part.length);
  return all;
}

function commitOn(parents: readonly Oid[], message: string, second: number): GitObject {
  const person = `T <t@example.test> ${1_700_000_000 + second} +0000`;
  const content = composeCommit({
    tree: oidOf(TREE),
    parents: [...parents],
    author: person,
    committer: person,
    message: `${message}\n`,
  });
  return { kind: "commit", content };
}

function oidOf({ kind, content }: GitObject): Oid {
  return objectOid(kind, content, newSha1);
}

function fetchLimits() {
  return { packBytes: 1 << 20, objectBytes: 1 << 20, objects: 1000, deltaDepth: 50, deltaWork: 1 << 22 };
}

/** Sends, and ends our side; a client that hung up is what some of the tests are about. */
async function send(flow: Flow, parts: readonly Uint8Array[], end = true): Promise<void> {
  try {
    for (const part of parts) await flow.write(part);
    if (end) await flow.end();
  } catch (error) {
    if (!(error instanceof FlowError)) throw error;
  }
}
