/**
 * A zone of 1,000,003 records, or that of another scenario: from the start of the program to its first answer, resident memory then and after
 * queries, for our server on a seeded data folder and for its peers; and what a change of one record costs ours.
 *
 *   deno task bench:answers-memory [ROUNDS] [SCENARIO] [--peers nsd,knotd] [--root DIR] [--config FILE] [--json]
 *
 * Memory is the proportional set size of all of a server's processes: NSD's share the zone, and it counts once. The sum
 * of resident set sizes stands beside it.
 */
import {
  createDnsClient,
  type Name,
  nameFrom,
  parseKeyFile,
  RRTYPE,
  type TsigKey,
} from "../../../dns/mod.ts";
import { connect, createRegistry, tcpResolver } from "../../../conduit/mod.ts";
import { findProgram, run } from "../../tools/real.ts";
import { type Asking, CLIENT_CORE, dnsperf } from "./dnsperf.ts";
import { benchOptions, count, median } from "./options.ts";
import { addKey, seed, startSeeded, statusOf } from "./ours.ts";
import { type BenchServer, startPeer } from "./peers.ts";
import { memoryOf } from "./processes.ts";
import { chosen } from "./scenarios.ts";

const options = benchOptions(
  "[ROUNDS] [SCENARIO] [--peers nsd,knotd,named,pdns_server] [--root DIR] [--config FILE] [--json]",
);
const rounds = count(options.words[0], 3);
if (options.bare) {
  console.error("--bare says nothing about starts and updates of the server");
  Deno.exit(2);
}
const QUERIES_SECONDS = 3;
const UPDATES = 10;

interface Taken {
  readonly startMs: number;
  readonly idle: { readonly shared: number; readonly resident: number };
  readonly loaded: { readonly shared: number; readonly resident: number };
}

// This process polls: it stays away from the servers' core.
await run("taskset", ["-acp", CLIENT_CORE, `${Deno.pid}`]);
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  const [scenario] = chosen(options.words[1] ?? "b");
  const files = await scenario.files();
  const zone = { origin: files.origin, file: files.zone, denial: scenario.denial };
  const seeding = performance.now();
  await seed(dir, zone, options);
  tell({ server: "ours", seededMs: Math.round(performance.now() - seeding) });

  const starts = new Map<string, () => Promise<BenchServer>>([[
    "ours",
    () => startSeeded(dir, zone, options),
  ]]);
  for (const peer of options.peers) {
    if (findProgram(peer) === undefined) console.error(`left out: ${peer} is not installed`);
    else starts.set(peer, () => startPeer(peer, dir, zone));
  }
  const taken = new Map<string, Taken[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, start] of starts) {
      taken.set(name, [
        ...taken.get(name) ?? [],
        await take(await start(), files.questions, scenario.asking),
      ]);
    }
  }
  report(taken);

  const keyFile = await addKey(dir, files.origin, options);
  const parsed = parseKeyFile(await Deno.readTextFile(keyFile));
  if (!parsed.ok) throw new Error(parsed.error.message);
  const server = await startSeeded(dir, zone, options);
  try {
    await measureChanges(server, nameFrom(files.origin), parsed.value[0], `${dir}/data/state.db-wal`);
  } finally {
    await server.stop();
  }
  const { versions } = (await statusOf(dir, options)).counters;
  tell({ changesTakenUp: versions.taken, workerKeptMostMs: versions.longestMicroseconds / 1000 });
} finally {
  await Deno.remove(dir, { recursive: true });
}
Deno.exit(0);

async function take(server: BenchServer, questions: string, asking: Asking): Promise<Taken> {
  try {
    const idle = await memoryOf(server.pid);
    await dnsperf(server.port, questions, asking, { seconds: QUERIES_SECONDS });
    return { startMs: server.startMs, idle, loaded: await memoryOf(server.pid) };
  } finally {
    await server.stop();
  }
}

function report(taken: ReadonlyMap<string, readonly Taken[]>): void {
  const middle = (name: string, figure: (one: Taken) => number) =>
    median((taken.get(name) ?? []).map(figure));
  const ratio = (name: string, figure: (one: Taken) => number) =>
    Number((middle("ours", figure) / middle(name, figure)).toFixed(2));
  for (const name of taken.keys()) {
    tell({
      server: name,
      startMs: Math.round(middle(name, ({ startMs }) => startMs)),
      memoryMb: Math.round(middle(name, ({ idle }) => idle.shared)),
      memoryAfterQueriesMb: Math.round(middle(name, ({ loaded }) => loaded.shared)),
      residentSumMb: Math.round(middle(name, ({ loaded }) => loaded.resident)),
      oursToItStart: ratio(name, ({ startMs }) => startMs),
      oursToItMemory: ratio(name, ({ idle }) => idle.shared),
      oursToItMemoryAfterQueries: ratio(name, ({ loaded }) => loaded.shared),
    });
  }
}

/**
 * Changes one record again and again while one query after the other asks for it: how long the change took, how long
 * after its commit point (the database's log is written) and after its NOERROR the first answer with it came, and the
 * longest time between two answers before and meanwhile.
 */
async function measureChanges(server: BenchServer, origin: Name, key: TsigKey, log: string): Promise<void> {
  const registry = createRegistry().with(tcpResolver());
  const client = createDnsClient({
    open: () =>
      connect(registry, { scheme: "tcp", host: "127.0.0.1", port: server.port }, { timeoutMs: 10_000 }),
    key,
    now: Date.now,
    random: (octets) => crypto.getRandomValues(new Uint8Array(octets)),
    timeoutMs: 60_000,
  });
  const owner = nameFrom(`changed.${origin}`);
  const update = async (last: number) => {
    const rdata = Uint8Array.of(192, 0, 2, last);
    const outcome = await client.update({
      zone: origin,
      operations: [
        { kind: "delete-rrset", owner, type: RRTYPE.A },
        { kind: "add", record: { owner, type: RRTYPE.A, class: 1, ttl: 300, rdata } },
      ],
    });
    if (!outcome.ok) throw new Error(`the update failed: ${outcome.error.message}`);
  };
  interface Change {
    readonly changeMs: number;
    readonly committedMs: number;
    readonly visibleMs: number;
    readonly pauseMs: number;
    readonly quietPauseMs: number;
  }
  const figures: Change[] = [];
  try {
    await update(0);
    for (let i = 1; i <= UPDATES; i++) {
      const poller = startPolling(server.port, owner, log);
      await new Promise((resolve) => setTimeout(resolve, 500));
      const sent = performance.now();
      await update(i);
      const acknowledged = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const { answers, written } = await poller.stop();
      const committed = written.find((at) => at > sent);
      const first = answers.find(({ last }) => last === i);
      if (committed === undefined) throw new Error(`${log} was not written`);
      if (first === undefined) {
        throw new Error("a second after its NOERROR nobody is answered with the change");
      }
      figures.push({
        changeMs: acknowledged - sent,
        committedMs: first.at - committed,
        visibleMs: Math.max(0, first.at - acknowledged),
        pauseMs: longest(answers, sent, Infinity),
        quietPauseMs: longest(answers, -Infinity, sent),
      });
    }
  } finally {
    client.close();
  }
  // The first finds nothing compiled.
  const warm = figures.slice(1);
  const rounded = (figure: number) => Number(figure.toFixed(2));
  tell({
    changes: warm.length,
    changeMs: rounded(median(warm.map(({ changeMs }) => changeMs))),
    answeredAfterCommitMs: rounded(median(warm.map(({ committedMs }) => committedMs))),
    answeredAfterCommitMostMs: rounded(Math.max(...warm.map(({ committedMs }) => committedMs))),
    visibleAfterMs: rounded(median(warm.map(({ visibleMs }) => visibleMs))),
    visibleAfterMostMs: rounded(Math.max(...warm.map(({ visibleMs }) => visibleMs))),
    pauseMs: rounded(median(warm.map(({ pauseMs }) => pauseMs))),
    pauseMostMs: rounded(Math.max(...warm.map(({ pauseMs }) => pauseMs))),
    pauseWithoutChangeMs: rounded(median(warm.map(({ quietPauseMs }) => quietPauseMs))),
  });
}

interface Polled {
  readonly at: number;
  /** The last octet of the address in the answer. */
  readonly last: number;
}

/** Asks for one name's A record, the next time as soon as the answer is there, and looks when `log` is written. */
function startPolling(port: number, owner: Name, log: string) {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const labels = owner.split(".").filter((label) => label !== "");
  const name = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  const query = Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 0, 1, 0, 1]);
  const answers: Polled[] = [];
  const written: number[] = [];
  let changed = Deno.statSync(log).mtime?.getTime();
  const buffer = new Uint8Array(512);
  let stopping = false;
  // One that was lost must not end the asking.
  const again = setInterval(() => {
    const latest = answers.at(-1)?.at ?? 0;
    if (performance.now() - latest > 500) void ask();
  }, 500);
  const ask = () => socket.send(query, { transport: "udp", hostname: "127.0.0.1", port });
  const polling = (async () => {
    await ask();
    while (!stopping) {
      const [reply] = await socket.receive(buffer);
      answers.push({ at: performance.now(), last: reply[reply.length - 1] });
      const latest = Deno.statSync(log).mtime?.getTime();
      if (latest !== changed) written.push(performance.now());
      changed = latest;
      await ask();
    }
    await socket.receive(buffer);
  })();
  return {
    stop: async () => {
      stopping = true;
      await polling;
      clearInterval(again);
      socket.close();
      return { answers, written };
    },
  };
}

function longest(answers: readonly Polled[], from: number, to: number): number {
  let most = 0;
  for (let i = 1; i < answers.length; i++) {
    if (answers[i].at >= from && answers[i].at <= to) {
      most = Math.max(most, answers[i].at - answers[i - 1].at);
    }
  }
  return most;
}

function tell(figures: Record<string, string | number>): void {
  if (options.json) console.log(JSON.stringify(figures));
  else console.log(Object.entries(figures).map(([key, value]) => `${key} ${value}`).join("  "));
}
