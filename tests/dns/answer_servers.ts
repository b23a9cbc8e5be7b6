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
  let waitingFor = files.map(([origin]) => origin);
  for (let attempt = 0; attempt < 100 && waitingFor.length > 0; attempt++) {
    const left: string[] = [];
    for (const origin of waitingFor) {
      // The first one that is not there yet: the server is still reading, and the others can wait.
      const reply = left.length > 0
        ? undefined
        : await ask(port, soaQuery(origin), 200).catch(() => undefined);
      if (reply === undefined || (reply[3] & 0x0f) !== 0 || (reply[6] << 8 | reply[7]) === 0) {
        left.push(origin);
      }
    }
    waitingFor = left;
    if (left.length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  if (waitingFor.length === 0) return server;
  await server.stop();
  const logs = [`${home}/log`, ...(kind === "nsd" ? [`${home}/nsd.log`] : [])];
  const text = logs.map((path) => Deno.readTextFileSync(path)).join("");
  throw new Error(`${kind} does not serve ${waitingFor[0]}:\n${text}`);
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

/** Many queries at a time over one socket; the IDs of the queries are replaced, and put back into the replies. */
export interface Asker {
  /** @throws {Error} when there is no reply to the third attempt */
  ask(query: Uint8Array): Promise<Uint8Array>;
  close(): Promise<void>;
}

export function createAsker(port: number): Asker {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const waiting = new Map<number, (reply: Uint8Array) => void>();
  let nextId = 0;
  let open = true;
  const received = receive();
  return {
    async ask(query) {
      for (let attempt = 0; attempt < 3; attempt++) {
        const reply = await askOnce(query);
        if (reply === undefined) continue;
        reply[0] = query[0];
        reply[1] = query[1];
        return reply;
      }
      throw new Error(`no reply to ${query.toHex()}`);
    },
    async close() {
      open = false;
      socket.close();
      await received;
    },
  };

  async function askOnce(query: Uint8Array): Promise<Uint8Array | undefined> {
    const id = nextId = nextId + 1 & 0xffff;
    const sent = Uint8Array.from(query);
    sent[0] = id >>> 8;
    sent[1] = id;
    const reply = Promise.withResolvers<Uint8Array | undefined>();
    waiting.set(id, reply.resolve);
    const timer = setTimeout(() => reply.resolve(undefined), 2000);
    try {
      await socket.send(sent, { transport: "udp", hostname: "127.0.0.1", port });
      return await reply.promise;
    } finally {
      clearTimeout(timer);
      waiting.delete(id);
    }
  }

  async function receive(): Promise<void> {
    while (open) {
      try {
        const [message] = await socket.receive(new Uint8Array(65_535));
        waiting.get(message[0] << 8 | message[1])?.(message);
      } catch (error) {
        if (open) throw error;
      }
    }
  }
}

/** One query over a TCP connection of its own (RFC 7766). */
export async function askByTcp(port: number, query: Uint8Array): Promise<Uint8Array> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(Uint8Array.of(query.length >>> 8, query.length, ...query));
  const head = await readExactly(connection, 2);
  return await readExactly(connection, head[0] << 8 | head[1]);
}

async function readExactly(connection: Deno.Conn, octets: number): Promise<Uint8Array> {
  const out = new Uint8Array(octets);
  for (let at = 0; at < octets;) {
    const read = await connection.read(out.subarray(at));
    if (read === null) throw new Error(`the connection ended after ${at} of ${octets} octets`);
    at += read;
  }
  return out;
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
  max-udp-size 4096; check-sibling no; check-wildcard no; check-mx ignore; check-mx-cname ignore;
  check-srv-cname ignore; check-spf ignore; check-dup-records ignore; notify no; rrset-order { order fixed; }; };
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
    udp-max-payload: 4096
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
  ipv4-edns-size: 4096
  verbosity: 1
  minimal-responses: yes
  round-robin: no
remote-control:
  control-enable: no
${zones.map(([origin, path]) => `zone:\n  name: "${origin}"\n  zonefile: "${path}"`).join("\n")}
`,
};
