/** BIND, Knot and NSD with given zones, on a free port, for comparisons. */
import { findProgram } from "../tools/real.ts";

export interface RealServer {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

export type ServerKind = "named" | "knotd" | "nsd";

/** Starts the server in the foreground; resolves when it answers. */
export async function startRealServer(
  kind: ServerKind,
  dir: string,
  zones: Readonly<Record<string, string>>,
  wrap: readonly string[] = [],
): Promise<RealServer> {
  const home = `${dir}/${kind}`;
  await Deno.mkdir(home, { recursive: true });
  const port = freePort();
  const files: [string, string][] = [];
  for (const [origin, text] of Object.entries(zones)) {
    const path = `${home}/${origin}zone`;
    await Deno.writeTextFile(path, `$ORIGIN ${origin}\n${text}`);
    files.push([origin, path]);
  }
  const config = `${home}/config`;
  await Deno.writeTextFile(config, CONFIGURATION[kind](home, port, files));
  const program = findProgram(kind) ?? kind;
  const args =
    { named: ["-g", "-n", "1", "-c", config], knotd: ["-c", config], nsd: ["-d", "-c", config] }[kind];
  const [command, ...rest] = [...wrap, program, ...args];
  const log = await Deno.open(`${home}/log`, { create: true, write: true });
  const child = new Deno.Command(command, { args: rest, stdout: "null", stderr: "piped" }).spawn();
  const drained = child.stderr.pipeTo(log.writable);
  const server = {
    name: kind,
    port,
    pid: child.pid,
    async stop() {
      child.kill("SIGTERM");
      await child.status;
      await drained;
    },
  };
  const origin = files[0][0];
  for (let attempt = 0; attempt < 100; attempt++) {
    const reply = await ask(port, soaQuery(origin), 200).catch(() => undefined);
    if (reply !== undefined && (reply[3] & 0x0f) === 0 && (reply[6] << 8 | reply[7]) === 1) return server;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await server.stop();
  const logs = [`${home}/log`, ...(kind === "nsd" ? [`${home}/nsd.log`] : [])];
  throw new Error(`${kind} did not start:\n${logs.map((path) => Deno.readTextFileSync(path)).join("")}`);
}

/** One query, one reply; undefined when there is none in time. */
export async function ask(
  port: number,
  query: Uint8Array,
  timeoutMs: number,
): Promise<Uint8Array | undefined> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  let open = true;
  const timer = setTimeout(() => {
    open = false;
    socket.close();
  }, timeoutMs);
  try {
    await socket.send(query, { transport: "udp", hostname: "127.0.0.1", port });
    const [reply] = await socket.receive(new Uint8Array(65_535));
    return reply;
  } catch (error) {
    if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
      return undefined;
    }
    throw error;
  } finally {
    clearTimeout(timer);
    if (open) socket.close();
  }
}

/** A UDP port that was free a moment ago, for TCP too. */
export function freePort(): number {
  const socket = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = socket.addr as Deno.NetAddr;
  socket.close();
  return port;
}

function soaQuery(origin: string): Uint8Array {
  const labels = origin.split(".").filter((label) => label !== "").flatMap((label) => [
    label.length,
    ...new TextEncoder().encode(label),
  ]);
  return Uint8Array.from([0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 6, 0, 1]);
}

const CONFIGURATION: Record<
  ServerKind,
  (home: string, port: number, zones: readonly [string, string][]) => string
> = {
  named: (home, port, zones) => `
options { directory "${home}"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;
  minimal-responses yes; minimal-any yes; pid-file none; session-keyfile none; check-integrity no; dnssec-validation no;
  max-udp-size 1232; rrset-order { order fixed; }; };
controls { };
${
    zones.map(([origin, path]) =>
      `zone "${origin}" { type primary; file "${path}"; notify no; check-names ignore; };`
    )
      .join("\n")
  }`,
  knotd: (home, port, zones) => `
server:
    rundir: "${home}"
    listen: 127.0.0.1@${port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
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
${zones.map(([origin, path]) => `  - domain: "${origin}"\n    file: "${path}"`).join("\n")}
`,
  nsd: (home, port, zones) => `
server:
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
  logfile: "${home}/nsd.log"
  rrl-ratelimit: 0
  verbosity: 1
  minimal-responses: yes
  round-robin: no
remote-control:
  control-enable: no
${zones.map(([origin, path]) => `zone:\n  name: "${origin}"\n  zonefile: "${path}"`).join("\n")}
`,
};
