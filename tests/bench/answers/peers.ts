/**
 * The servers beside ours, each as its manual advises for one core: one worker, no rate limiting, minimal answers, no
 * journals, no checks of the zone, and TCP connections that may ask as much as they like.
 */
import { ask } from "../../dns/answer_servers.ts";
import { findProgram, run } from "../../tools/real.ts";
import { freePort } from "../../tools/ports.ts";
import type { Denial } from "./cache.ts";
import { SERVER_CORE } from "./dnsperf.ts";

/** A server that answers. */
export interface BenchServer {
  readonly name: string;
  readonly port: number;
  /** The process that all of its others descend from. */
  readonly pid: number;
  /** From the start of the program to its first answer. */
  readonly startMs: number;
  stop(): Promise<void>;
}

export const PEERS = ["nsd", "knotd", "named", "pdns_server"] as const;
export type Peer = typeof PEERS[number];

export interface ServedZone {
  readonly origin: string;
  readonly file: string;
  readonly denial: Denial | undefined;
}

/** Starts a peer with one zone, on the servers' core. */
export async function startPeer(peer: Peer, dir: string, zone: ServedZone): Promise<BenchServer> {
  const home = `${dir}/${peer}`;
  await Deno.remove(home, { recursive: true }).catch(() => {});
  await Deno.mkdir(home, { recursive: true });
  const port = freePort();
  const { file, text, args } = CONFIGURATIONS[peer](home, port, zone);
  await Deno.writeTextFile(file, text);
  if (peer === "pdns_server") await preparePowerDns(home, zone);
  return await startServer(peer, [findProgram(peer) ?? peer, ...args], port, zone.origin);
}

/** Runs a program on the servers' core until it answers for the zone's SOA. @throws {Error} with what it wrote */
export async function startServer(
  name: string,
  command: readonly string[],
  port: number,
  origin: string,
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<BenchServer> {
  const started = performance.now();
  const child = new Deno.Command("taskset", {
    args: ["-c", SERVER_CORE, ...command],
    ...options,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  running.add(child);
  let said = "";
  const drained = (async () => {
    // The end is what tells; a talkative server must not fill memory.
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
      said = (said + text).slice(-1_000);
    }
  })();
  let ended = false;
  const status = child.status.then(() => {
    ended = true;
    running.delete(child);
  });
  const stop = async () => {
    if (!ended) child.kill("SIGTERM");
    const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
    await Promise.all([status, drained]);
    clearTimeout(late);
  };
  while (!ended && performance.now() - started < STARTING_MS) {
    // Whatever goes wrong with a question before the server answers: the next one follows.
    const reply = await ask(port, soaQuestion(origin), 10).catch(() => undefined);
    const right = reply !== undefined && (reply[3] & 0x0f) === 0 && (reply[6] << 8 | reply[7]) === 1;
    if (right) return { name, port, pid: child.pid, startMs: performance.now() - started, stop };
  }
  await stop();
  throw new Error(`${name} does not answer:\n${said}`);
}

/** A benchmark that is ended leaves no server behind. */
const running = new Set<Deno.ChildProcess>();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    Deno.exit(130);
  });
}

const STARTING_MS = 120_000;

function soaQuestion(origin: string): Uint8Array {
  const labels = origin.split(".").filter((label) => label !== "");
  const name = labels.flatMap((label) => [label.length, ...new TextEncoder().encode(label)]);
  return Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...name, 0, 0, 6, 0, 1]);
}

/** That a zone comes signed, and with NSEC3, are notes in PowerDNS's database beside the zone's file. */
async function preparePowerDns(home: string, { origin, denial }: ServedZone): Promise<void> {
  await run("pdnsutil", [`--config-dir=${home}`, "create-bind-db", `${home}/dnssec.db`]);
  if (denial === "nsec3") await run("pdnsutil", [`--config-dir=${home}`, "set-nsec3", origin, "1 0 0 -"]);
  if (denial !== undefined) await run("pdnsutil", [`--config-dir=${home}`, "set-presigned", origin]);
}

interface Configuration {
  readonly file: string;
  readonly text: string;
  readonly args: readonly string[];
}

const CONFIGURATIONS: Record<Peer, (home: string, port: number, zone: ServedZone) => Configuration> = {
  nsd: (home, port, { origin, file }) => ({
    file: `${home}/nsd.conf`,
    args: ["-d", "-c", `${home}/nsd.conf`],
    text: `server:
  ip-address: 127.0.0.1
  port: ${port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "${home}"
  database: ""
  zonelistfile: "${home}/zone.list"
  xfrdfile: "${home}/xfrd.state"
  xfrdir: "${home}"
  pidfile: "${home}/nsd.pid"
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
  minimal-responses: yes
  round-robin: no
  tcp-count: 1000
  tcp-query-count: 0
  tcp-timeout: 120
remote-control:
  control-enable: no
zone:
  name: "${origin}"
  zonefile: "${file}"
`,
  }),
  knotd: (home, port, { origin, file }) => ({
    file: `${home}/knot.conf`,
    args: ["-c", `${home}/knot.conf`],
    text: `server:
    rundir: "${home}"
    listen: 127.0.0.1@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    tcp-max-clients: 1000
    tcp-idle-timeout: 120
log:
  - target: stderr
    any: warning
database:
    storage: "${home}"
template:
  - id: default
    storage: "${home}"
    semantic-checks: off
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
  - domain: "${origin}"
    file: "${file}"
`,
  }),
  named: (home, port, { origin, file }) => ({
    file: `${home}/named.conf`,
    args: ["-f", "-n", "1", "-c", `${home}/named.conf`],
    text:
      `options { directory "${home}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
  minimal-responses yes; pid-file none; session-keyfile none; check-integrity no; dnssec-validation no;
  max-udp-size 1232; notify no; querylog no; zone-statistics none; tcp-clients 1000; tcp-idle-timeout 1200; };
logging { category default { default_stderr; }; };
controls { };
zone "${origin}" { type primary; file "${file}"; check-names ignore; };
`,
  }),
  pdns_server: (home, port, { origin, file }) => {
    Deno.writeTextFileSync(`${home}/named.conf`, `zone "${origin}" { type master; file "${file}"; };\n`);
    return {
      file: `${home}/pdns.conf`,
      args: [`--config-dir=${home}`],
      text: `launch=bind
bind-config=${home}/named.conf
bind-dnssec-db=${home}/dnssec.db
bind-check-interval=0
local-address=127.0.0.1
local-port=${port}
receiver-threads=1
distributor-threads=1
daemon=no
guardian=no
socket-dir=${home}
disable-syslog=yes
loglevel=3
max-tcp-connections=1000
max-tcp-transactions-per-conn=0
tcp-idle-timeout=120
`,
    };
  },
};
