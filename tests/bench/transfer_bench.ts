/**
 * Whole transfers, with git as the other side: a clone that we serve out of a pack and out of loose objects, a first push
 * that we receive, a push of one small change, and a clone that we fetch from git; each beside git's own `upload-pack` and
 * `receive-pack` doing the same, by turns in one run. Prints each one's milliseconds (median), the ratio to git, and how
 * long our event loop was kept from anything else at worst: DNS over TCP is answered by the same thread.
 * Arguments: rounds (default 5); a case's name takes that case alone, a third argument `ours` leaves git out, for profiling.
 */
import process from "node:process";
import {
  admitAll,
  fetchFrom,
  initRepository,
  openRepository,
  serveReceivePack,
  serveUploadPack,
} from "../../store/mod.ts";
import { git } from "../store/git_fixture.ts";
import { makeHistory } from "../store/pack_fixture.ts";
import { programFlow, withGitServer } from "../store/protocol/git_server.ts";
import { run } from "../tools/real.ts";

const rounds = Number(process.argv[2] ?? 5);
const onlyCase = process.argv[3];
const onlyOurs = process.argv[4] === "ours";
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  await bench();
} finally {
  await Deno.remove(dir, { recursive: true });
}

/** One way of doing one thing: milliseconds taken, and where our own event loop did it, the longest it was held up. */
interface Taken {
  readonly milliseconds: number;
  readonly blocked?: number;
}
type Contestant = (round: number) => Promise<Taken>;

async function bench(): Promise<void> {
  const packed = `${dir}/packed.git`;
  const loose = `${dir}/loose.git`;
  await makeHistory(packed, { files: 900, commits: 1300, changes: 3, lines: 60 });
  await git(packed, "-c", "pack.threads=1", "repack", "-adfq", "--depth=50", "--window=10");
  await makeLoose(packed, loose);
  await makeChange(packed);
  console.log(`repository: ${(await git(packed, "count-objects", "-v")).trim().replaceAll("\n", ", ")}`);

  const cases: Record<string, { readonly git: Contestant; readonly ours: Contestant }> = {
    "clone served": { git: (round) => gitClones(packed, round), ours: (round) => weServe(packed, round) },
    "clone served, loose": {
      git: (round) => gitClones(loose, round),
      ours: (round) => weServe(loose, round),
    },
    "push received": {
      git: (round) => gitReceives(packed, round, "main"),
      ours: (round) => weReceive(packed, round, "main"),
    },
    "small push received": {
      git: (round) => gitReceives(packed, round, "change"),
      ours: (round) => weReceive(packed, round, "change"),
    },
    "clone fetched": { git: (round) => gitClones(packed, round), ours: (round) => weFetch(packed, round) },
  };
  const times = new Map<string, Taken[]>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, contestants] of Object.entries(cases)) {
      if (onlyCase !== undefined && onlyCase !== "all" && name !== onlyCase) continue;
      for (const [who, contestant] of Object.entries(contestants)) {
        if (onlyOurs && who !== "ours") continue;
        const key = `${name}: ${who}`;
        times.set(key, [...times.get(key) ?? [], await contestant(round)]);
      }
    }
  }
  for (const name of Object.keys(cases)) {
    const ours = times.get(`${name}: ours`);
    if (ours === undefined) continue;
    const theirs = times.get(`${name}: git`) ?? [];
    const [a, b] = [ours, theirs].map((taken) => median(taken.map(({ milliseconds }) => milliseconds)));
    const blocked = Math.max(...ours.map((taken) => taken.blocked ?? 0));
    console.log(
      `${name.padEnd(20)} git ${shown(b)}  ours ${shown(a)}  ×${(a / b).toFixed(2)}  held up at most ${
        shown(blocked)
      }  (${ours.map(({ milliseconds }) => milliseconds.toFixed(0)).join(" ")})`,
    );
  }
}

/** The same objects, each in a file of its own. */
async function makeLoose(from: string, to: string): Promise<void> {
  await run("git", ["init", "-q", "--bare", "-b", "main", to]);
  await run("git", ["fetch", "-q", from, "main:main"], { cwd: to });
  const packs = await Array.fromAsync(Deno.readDir(`${to}/objects/pack`), ({ name }) => name);
  for (const name of packs.filter((each) => each.endsWith(".pack"))) {
    // What is in the repository already is not unpacked: out of it first.
    await Deno.rename(`${to}/objects/pack/${name}`, `${to}/moved.pack`);
    await Deno.remove(`${to}/objects/pack/${name.replace(".pack", ".idx")}`);
    await run("git", ["unpack-objects", "-q"], { cwd: to, stdin: await Deno.readFile(`${to}/moved.pack`) });
    await Deno.remove(`${to}/moved.pack`);
  }
}

/** A branch `change`, one commit with one changed file above `main`. */
async function makeChange(repository: string): Promise<void> {
  const text = "@ 3600 IN A 192.0.2.1\n";
  const stream = `commit refs/heads/change\ncommitter T <t@example.test> 1800000000 +0000\ndata 7\nchange\n` +
    `from refs/heads/main\nM 100644 inline zones/1/zone1.test.zone\ndata ${text.length}\n${text}\n`;
  await run("git", ["fast-import", "--quiet"], { cwd: repository, stdin: stream });
}

async function gitClones(from: string, round: number): Promise<Taken> {
  return await timed(`${dir}/clone${round}`, (to) => clone(`file://${from}`, to));
}

async function weServe(from: string, round: number): Promise<Taken> {
  const repository = await openRepository(from);
  try {
    return await withGitServer(
      async ({ flow, version }) => {
        const outcome = await serveUploadPack({ repository, flow, version });
        if (!outcome.ok) throw outcome.error;
      },
      (url) => timed(`${dir}/clone${round}`, (to) => clone(url, to)),
    );
  } finally {
    repository.close();
  }
}

async function clone(url: string, to: string): Promise<void> {
  await run("git", ["clone", "-q", "--bare", "--single-branch", "-b", "main", url, to]);
}

async function gitReceives(from: string, round: number, branch: string): Promise<Taken> {
  return await timed(`${dir}/target${round}`, (to) => push(from, branch, `file://${to}`), async (to) => {
    await run("git", ["init", "-q", "--bare", "-b", "main", to]);
    if (branch !== "main") await push(from, "main", `file://${to}`);
  });
}

async function weReceive(from: string, round: number, branch: string): Promise<Taken> {
  const target = `${dir}/target${round}`;
  const repository = await initRepository(target);
  try {
    return await withGitServer(
      async ({ flow, version }) => {
        const outcome = await serveReceivePack({ repository, flow, version, admit: admitAll(repository) });
        if (!outcome.ok) throw outcome.error;
      },
      (url) =>
        timed(target, () => push(from, branch, url), async () => {
          if (branch !== "main") await push(from, "main", url);
        }),
    );
  } finally {
    repository.close();
  }
}

async function push(from: string, branch: string, url: string): Promise<void> {
  await run("git", ["push", "-q", url, `${branch}:main`], { cwd: from });
}

async function weFetch(from: string, round: number): Promise<Taken> {
  const target = `${dir}/target${round}`;
  const repository = await initRepository(target);
  try {
    return await timed(target, async () => {
      const outcome = await fetchFrom({
        repository,
        open: (_, version) => {
          const env: Record<string, string> = version === 0 ? {} : { GIT_PROTOCOL: `version=${version}` };
          return Promise.resolve({ ok: true, value: programFlow("git", ["upload-pack", from], env).flow });
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
    });
  } finally {
    repository.close();
  }
}

/** How long `act` takes on a folder that is gone afterwards, and the longest time that a timer had to wait in it. */
async function timed(
  target: string,
  act: (target: string) => Promise<void>,
  prepare: (target: string) => Promise<void> = () => Promise.resolve(),
): Promise<Taken> {
  await prepare(target);
  let last = performance.now();
  let blocked = 0;
  const tick = () => {
    const now = performance.now();
    blocked = Math.max(blocked, now - last - 5);
    last = now;
  };
  const timer = setInterval(tick, 5);
  try {
    const start = performance.now();
    await act(target);
    const milliseconds = performance.now() - start;
    tick();
    return { milliseconds, blocked };
  } finally {
    clearInterval(timer);
    await Deno.remove(target, { recursive: true });
  }
}

function shown(milliseconds: number): string {
  return `${milliseconds.toFixed(0).padStart(6)} ms`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}
