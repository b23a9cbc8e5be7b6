/**
 * One new commit in a history of 50,000: what it costs us to serve it to a client that has all the rest, and to fetch it
 * from git's upload-pack. CPU of our process for the one exchange (user and system, in milliseconds, median) once the
 * repository was used before, and the number of requests that the client sent after it connected (v2).
 * Arguments: rounds (default 9), commits (default 50000).
 */
import process from "node:process";
import type { Flow } from "../../conduit/flow.ts";
import { fetchFrom, initRepository, openRepository, serveUploadPack } from "../../store/mod.ts";
import type { Repository } from "../../store/mod.ts";
import { git, gitBytes } from "../store/git_fixture.ts";
import { programFlow, withGitServer } from "../store/protocol/git_server.ts";
import { run } from "../tools/real.ts";

const rounds = Number(process.argv[2] ?? 9);
const commits = Number(process.argv[3] ?? 50_000);
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  await bench();
} finally {
  await Deno.remove(dir, { recursive: true });
}

interface Taken {
  readonly cpu: number;
  readonly wall: number;
  readonly requests: number;
}

async function bench(): Promise<void> {
  const upstream = `${dir}/upstream.git`;
  await makeLine(upstream, commits);
  await git(upstream, "repack", "-adq");
  const downstream = `${dir}/downstream.git`;
  await run("cp", ["-r", upstream, downstream]);
  await addCommit(upstream, 0);

  const served: Taken[] = [];
  const repository = await openRepository(upstream);
  try {
    for (let round = 0; round <= rounds; round++) served.push(await serveOne(repository, downstream, round));
  } finally {
    repository.close();
  }
  const fetched: Taken[] = [];
  const target = await initRepository(`${dir}/fetcher.git`);
  try {
    await git(target.path, "fetch", "-q", upstream, "main:main");
    for (let round = 0; round <= rounds; round++) fetched.push(await fetchOne(upstream, target, round));
  } finally {
    target.close();
  }

  // The first of each finds nothing compiled and no file looked at.
  for (const [name, taken] of Object.entries({ served, fetched })) {
    const warm = taken.slice(1);
    const cpus = warm.map(({ cpu }) => cpu.toFixed(0)).join(" ");
    console.log(
      `${name.padEnd(8)} CPU ${median(warm.map(({ cpu }) => cpu)).toFixed(1)} ms  wall ${
        median(warm.map(({ wall }) => wall)).toFixed(1)
      } ms  round trips ${Math.max(...taken.map(({ requests }) => requests))}  first ${
        taken[0].cpu.toFixed(0)
      } ms of CPU  (${cpus})`,
    );
  }
}

/** git fetches the newest commit from us; afterwards it is as if it had not. */
async function serveOne(repository: Repository, client: string, round: number): Promise<Taken> {
  let taken: Taken | undefined;
  await withGitServer(async ({ flow, version }) => {
    const counted = countRequests(flow);
    const before = process.cpuUsage();
    const start = performance.now();
    const outcome = await serveUploadPack({ repository, flow: counted.flow, version });
    if (!outcome.ok) throw outcome.error;
    if (outcome.value.sent?.objects !== 3) throw new Error(`sent ${outcome.value.sent?.objects} objects`);
    taken = { cpu: cpuSince(before), wall: performance.now() - start, requests: counted.requests() };
  }, (url) => git(client, "fetch", "-q", url, `main:refs/heads/new${round}`));
  await git(client, "update-ref", "-d", `refs/heads/new${round}`);
  await git(client, "prune", "--expire=now");
  await removeNewPacks(client);
  if (taken === undefined) throw new Error("git asked for nothing");
  return taken;
}

/** We fetch from git. Each round has a commit of its own. */
async function fetchOne(upstream: string, repository: Repository, round: number): Promise<Taken> {
  await addCommit(upstream, round + 1);
  let requests: () => number = () => 0;
  const before = process.cpuUsage();
  const start = performance.now();
  const outcome = await fetchFrom({
    repository,
    open: (_, version) => {
      const env: Record<string, string> = version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` };
      const counted = countRequests(programFlow("git", ["upload-pack", upstream], env).flow, "write");
      requests = counted.requests;
      return Promise.resolve({ ok: true, value: counted.flow });
    },
    refPrefixes: ["refs/heads/main"],
    want: (refs) => [...refs.values()],
    limits: {
      packBytes: 2 ** 28,
      objectBytes: 2 ** 26,
      objects: 1e6,
      deltaDepth: 4096,
      deltaWork: 2 ** 32,
    },
  });
  if (!outcome.ok) throw outcome.error;
  if (outcome.value.received?.objects !== 3) {
    throw new Error(`received ${outcome.value.received?.objects} objects`);
  }
  const taken = { cpu: cpuSince(before), wall: performance.now() - start, requests: requests() };
  const main = outcome.value.refs.get("refs/heads/main");
  const old = await repository.refs.get("refs/heads/main");
  const moved = await repository.refs.move({ name: "refs/heads/main", old, new: main });
  if (!moved.ok) throw new Error(moved.error.message);
  return taken;
}

/** How often the talk turned to the client's side: each time is a round trip. */
function countRequests(
  flow: Flow,
  client: "read" | "write" = "read",
): { flow: Flow; requests: () => number } {
  let count = 0;
  let clientSpoke = false;
  const speak = (byClient: boolean) => {
    if (byClient && !clientSpoke) count++;
    clientSpoke = byClient;
  };
  return {
    // A last flush says goodbye and waits for nothing.
    requests: () => count,
    flow: {
      ...flow,
      async read() {
        const bytes = await flow.read();
        if (bytes !== undefined && !(client === "read" && bytes.length <= 4)) speak(client === "read");
        return bytes;
      },
      write(bytes) {
        if (!(client === "write" && bytes.length <= 4)) speak(client === "write");
        return flow.write(bytes);
      },
    },
  };
}

/** A history in one line; every commit changes one of 200 files in 20 folders. */
async function makeLine(path: string, count: number): Promise<void> {
  await run("git", ["init", "-q", "--bare", "-b", "main", path]);
  const parts: string[] = [];
  for (let i = 0; i < count; i++) {
    const text = `@ 3600 IN A 192.0.2.${i % 256}\n; change ${i}\n`;
    parts.push(
      `commit refs/heads/main\ncommitter T <t@example.test> ${1_600_000_000 + i * 60} +0000\ndata 2\nc\n` +
        `M 100644 inline zones/${i % 20}/zone${i % 200}.test.zone\ndata ${text.length}\n${text}\n`,
    );
  }
  await gitBytes(path, ["fast-import", "--quiet"], new TextEncoder().encode(parts.join("")));
}

/** One commit more, with one file at the root: a commit, a tree and a blob. */
async function addCommit(path: string, number: number): Promise<void> {
  const text = `new ${number}\n`;
  const stream = `commit refs/heads/main\ncommitter T <t@example.test> ${1_700_000_000 + number} +0000\n` +
    `data 2\nn\nfrom refs/heads/main^0\nM 100644 inline news\ndata ${text.length}\n${text}\n`;
  await run("git", ["fast-import", "--quiet"], { cwd: path, stdin: stream });
}

/** What the fetch left; the pack of the beginning is by far the largest. */
async function removeNewPacks(path: string): Promise<void> {
  for await (const { name } of Deno.readDir(`${path}/objects/pack`)) {
    const base = `${path}/objects/pack/${name.slice(0, -5)}`;
    if (!name.endsWith(".pack") || (await Deno.stat(`${base}.pack`)).size > 100_000) continue;
    for (const ending of ["pack", "idx", "rev", "keep"]) {
      await Deno.remove(`${base}.${ending}`).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
  }
}

function cpuSince(before: { readonly user: number; readonly system: number }): number {
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}
