/**
 * Queries per CPU-second of our server and of NSD, Knot, BIND and PowerDNS in turn: the server on one core, dnsperf on
 * another. CPU is user and system time of all of the server's processes over the measured span.
 *
 *   deno task bench:answers [SCENARIOS] [ROUNDS] [SECONDS] [--peers nsd,knotd] [--clients 10]
 *     [--with limited,idle] [--root DIR] [--bare] [--config FILE] [--json]
 *
 * Each server answers a sample of the questions first; one that is wrong is not measured. Rounds are interleaved, the
 * first warms up and does not count, figures are medians. Figures of machines or days do not compare; ratios do.
 */
import { findProgram } from "../../tools/real.ts";
import { type Asking, dnsperf, type Load, parameters } from "./dnsperf.ts";
import { type BenchOptions, benchOptions, count, median } from "./options.ts";
import { startBurdened, startOurs } from "./ours.ts";
import { type BenchServer, startPeer } from "./peers.ts";
import { cpuSeconds } from "./processes.ts";
import { differences, sample, type Sampled } from "./sample.ts";
import { chosen, type Scenario, type ScenarioFiles, SCENARIOS } from "./scenarios.ts";

const USAGE =
  "[SCENARIOS] [ROUNDS] [SECONDS] [--peers nsd,knotd,named,pdns_server] [--clients SOCKETS] [--with limited,idle] [--root DIR] [--bare] [--config FILE] [--json]";
const WARM_SECONDS = 2;

interface Figures {
  readonly perCpuSecond: number[];
  readonly perSecond: number[];
  readonly loads: Load[];
}

const options = benchOptions(USAGE);
const [scenarioWords, roundsWord, secondsWord] = options.words;
const scenarios = scenarioWords === undefined ? [...SCENARIOS] : chosen(scenarioWords);
const rounds = count(roundsWord, 3);
const seconds = count(secondsWord, 3);
// What is told on the way; with --json the lines of standard output are for programs.
const tell = options.json ? console.error : console.log;

const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
let wrong = false;
try {
  for (const each of scenarios) wrong = !await measureScenario(each, options) || wrong;
} finally {
  await Deno.remove(dir, { recursive: true });
}
Deno.exit(wrong ? 1 : 0);

/** False where ours cannot be measured. */
async function measureScenario(scenario: Scenario, options: BenchOptions): Promise<boolean> {
  const files = await scenario.files();
  tell(`\n(${scenario.key}) ${scenario.title}; dnsperf ${parameters(asking(scenario)).join(" ")}`);
  const servers: BenchServer[] = [];
  try {
    await startAll(scenario, files, options, servers);
    const right = await rightOnes(scenario, files, servers);
    const figures = await measureAll(scenario, files, right);
    report(scenario, figures);
    return figures.has("ours");
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

async function startAll(
  scenario: Scenario,
  files: ScenarioFiles,
  options: BenchOptions,
  servers: BenchServer[],
): Promise<void> {
  const zone = { origin: files.origin, file: files.zone, denial: scenario.denial };
  const starts: [string, () => Promise<BenchServer>][] = [
    ["ours", () => startOurs(dir, zone, options)],
    ...options.burdens.map((
      burden,
    ): [string, () => Promise<BenchServer>] => [burden, () => startBurdened(burden, dir, zone, options)]),
    ...options.peers.map((
      peer,
    ): [string, () => Promise<BenchServer>] => [peer, () => startPeer(peer, dir, zone)]),
  ];
  for (const [name, start] of starts) {
    if (options.peers.some((peer) => peer === name) && findProgram(name) === undefined) {
      tell(`left out: ${name} is not installed`);
      continue;
    }
    try {
      servers.push(await start());
    } catch (error) {
      tell(`left out: ${error instanceof Error ? error.message : error}`);
    }
  }
}

/** Those whose sample is right; what the sections hold beyond that is told where it differs from the first peer's. */
async function rightOnes(
  scenario: Scenario,
  files: ScenarioFiles,
  servers: readonly BenchServer[],
): Promise<BenchServer[]> {
  const samples = new Map<BenchServer, Sampled>();
  for (const server of servers) {
    const sampled = await sample(server, files.questions, scenario.asking, scenario.expected);
    if (sampled.wrong === undefined) samples.set(server, sampled);
    else tell(`left out: ${server.name} answers wrongly: ${sampled.wrong}`);
  }
  const reference = [...samples].find(([{ name }]) => options.peers.some((peer) => peer === name));
  if (reference !== undefined) {
    for (const [server, sampled] of samples) {
      for (const words of differences(sampled, reference[1])) {
        tell(`${server.name} against ${reference[0].name}: ${words}`);
      }
    }
  }
  return [...samples.keys()];
}

async function measureAll(
  scenario: Scenario,
  files: ScenarioFiles,
  servers: readonly BenchServer[],
): Promise<Map<string, Figures>> {
  const figures = new Map(
    servers.map(({ name }): [string, Figures] => [name, { perCpuSecond: [], perSecond: [], loads: [] }]),
  );
  for (let round = 0; round <= rounds; round++) {
    for (const server of servers) {
      const before = await cpuSeconds(server.pid);
      const load = await dnsperf(server.port, files.questions, asking(scenario), {
        seconds: round === 0 ? WARM_SECONDS : seconds,
      });
      const perCpuSecond = load.completed / (await cpuSeconds(server.pid) - before);
      const into = figures.get(server.name);
      if (round === 0 || into === undefined) continue;
      into.perCpuSecond.push(perCpuSecond);
      into.perSecond.push(load.perSecond);
      into.loads.push(load);
    }
  }
  return figures;
}

function asking(scenario: Scenario): Asking {
  return { ...scenario.asking, clients: options.clients };
}

function report(scenario: Scenario, figures: ReadonlyMap<string, Figures>): void {
  const ours = median(figures.get("ours")?.perCpuSecond ?? []);
  const columns = ["server", "queries/CPU-s", "queries/s", "lost", "octets", "ours/it"];
  if (!options.json) console.log(row(columns));
  for (const [server, { perCpuSecond, perSecond, loads }] of figures) {
    const line = {
      scenario: scenario.key,
      server,
      queriesPerCpuSecond: Math.round(median(perCpuSecond)),
      queriesPerSecond: Math.round(median(perSecond)),
      lost: loads.reduce((sum, { lost }) => sum + lost, 0),
      answerOctets: median(loads.map(({ answerOctets }) => answerOctets)),
      oursToIt: Number((ours / median(perCpuSecond)).toFixed(3)),
    };
    if (options.json) {
      console.log(
        JSON.stringify({ ...line, rounds: perCpuSecond.map(Math.round), seconds, bare: options.bare }),
      );
    } else {
      const { queriesPerCpuSecond, queriesPerSecond, lost, answerOctets, oursToIt } = line;
      const ratio = server === "ours" || Number.isNaN(oursToIt) ? "" : oursToIt.toFixed(2);
      console.log(row([server, queriesPerCpuSecond, queriesPerSecond, lost, answerOctets, ratio]));
    }
  }
}

function row(cells: readonly (string | number)[]): string {
  return cells.map((cell, i) => i === 0 ? `  ${cell}`.padEnd(14) : `${cell}`.padStart(14)).join("");
}
