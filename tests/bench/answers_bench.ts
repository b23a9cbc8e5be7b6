/**
 * UDP answers per CPU-second: ours, NSD and Knot in turn with the same zone of 100,000 names, one worker each, the server
 * on one core and dnsperf on the other. CPU is user + system time of the server process over the measured span.
 *
 *   deno run --no-prompt --allow-read --allow-write --allow-env --allow-net --allow-run tests/bench/answers_bench.ts [ROUNDS] [SECONDS]
 */
import { findProgram, run } from "../tools/real.ts";
import { freePort, type RealServer, startRealServer } from "../dns/answer_servers.ts";

const NAMES = 100_000;
const rounds = Number(Deno.args[0] ?? 5);
const seconds = Number(Deno.args[1] ?? 5);
const ORIGIN = "bench.test.";
const TICKS = Number((await run("getconf", ["CLK_TCK"])).stdout);

for (const program of ["dnsperf", "taskset", "nsd", "knotd"]) {
  if (findProgram(program) === undefined) {
    console.error(`${program} is not installed`);
    Deno.exit(1);
  }
}
const dir = await Deno.makeTempDir({ prefix: "bailiwick-bench-" });
try {
  const zone = zoneText();
  const queries = `${dir}/queries`;
  await Deno.writeTextFile(queries, queryText());
  const servers: RealServer[] = [];
  const figures = new Map<string, number[]>();
  try {
    servers.push(await startOurs(zone));
    servers.push(await startRealServer("nsd", dir, { [ORIGIN]: zone }, ["taskset", "-c", "0"]));
    servers.push(await startRealServer("knotd", dir, { [ORIGIN]: zone }, ["taskset", "-c", "0"]));
    for (let round = -1; round < rounds; round++) {
      for (const server of servers) {
        const { perCpuSecond, perSecond, lost } = await measure(server, queries);
        // The first round warms caches and compilers up.
        if (round < 0) continue;
        figures.set(server.name, [...(figures.get(server.name) ?? []), perCpuSecond]);
        console.log(
          `round ${round + 1} ${server.name.padEnd(6)} ${Math.round(perCpuSecond)} queries/CPU-s, ` +
            `${Math.round(perSecond)} queries/s, ${lost} lost`,
        );
      }
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  const median = (name: string) => (figures.get(name) ?? []).sort((a, b) => a - b)[rounds >> 1] ?? NaN;
  for (const name of figures.keys()) console.log(`median ${name.padEnd(6)} ${Math.round(median(name))}`);
  for (const peer of ["nsd", "knotd"]) {
    console.log(`ours / ${peer} = ${(median("ours") / median(peer)).toFixed(2)}`);
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}

async function measure(server: RealServer, queries: string) {
  const before = await cpuSeconds(server.pid);
  const args = [
    "-c",
    "1",
    "dnsperf",
    "-s",
    "127.0.0.1",
    "-p",
    `${server.port}`,
    "-d",
    queries,
    "-l",
    `${seconds}`,
  ];
  const { stdout } = await run("taskset", args);
  const cpu = await cpuSeconds(server.pid) - before;
  const figure = (label: string) => Number(new RegExp(`${label}:\\s+([0-9.]+)`).exec(stdout)?.[1] ?? NaN);
  return {
    perCpuSecond: figure("Queries completed") / cpu,
    perSecond: figure("Queries per second"),
    lost: figure("Queries lost"),
  };
}

/** User and system time of a process and the children it works with (NSD answers in one). */
async function cpuSeconds(pid: number): Promise<number> {
  // Through `cat`: the runtime itself opens files of /proc only to those who may do everything.
  const read = async (path: string) => (await run("cat", [`/proc/${pid}/${path}`])).stdout.trim();
  const fields = (await read("stat")).replace(/^.*\) /, "").split(" ");
  let total = (Number(fields[11]) + Number(fields[12])) / TICKS;
  const children = await read(`task/${pid}/children`);
  if (children !== "") { for (const child of children.split(" ")) total += await cpuSeconds(Number(child)); }
  return total;
}

async function startOurs(zone: string): Promise<RealServer> {
  const path = `${dir}/ours.zone`;
  await Deno.writeTextFile(path, zone);
  const port = freePort();
  const script = new URL("./answers_server.ts", import.meta.url).pathname;
  const child = new Deno.Command("taskset", {
    args: [
      "-c",
      "0",
      Deno.execPath(),
      "run",
      "--no-prompt",
      "--allow-read",
      "--allow-net",
      "--allow-ffi",
      script,
    ]
      .concat([`127.0.0.1:${port}`, "1", `${ORIGIN}=${path}`]),
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  console.log(`ours: ${new TextDecoder().decode(value).trim()}`);
  return {
    name: "ours",
    port,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await reader.cancel();
      await child.status;
    },
  };
}

function zoneText(): string {
  const lines = ["$TTL 300", "@ SOA ns1 admin 1 3600 600 86400 300", "@ NS ns1", "@ NS ns2"];
  lines.push("ns1 A 192.0.2.1", "ns2 A 192.0.2.2");
  for (let i = 0; i < NAMES; i++) lines.push(`h${i} A 10.${i >> 16}.${i >> 8 & 255}.${i & 255}`);
  return lines.join("\n") + "\n";
}

/** The names in a scattered order that is the same each time; one in ten does not exist. */
function queryText(): string {
  const lines: string[] = [];
  for (let i = 0, at = 1; i < 200_000; i++) {
    at = (at * 48_271) % 2_147_483_647;
    lines.push(i % 10 === 9 ? `n${at}.${ORIGIN} A` : `h${at % NAMES}.${ORIGIN} A`);
  }
  return lines.join("\n") + "\n";
}
