/** Our server as users run it (`serve` with its task's permissions), or the answer path alone in the smallest program. */
import type { CountersStatus } from "../../../cli/status_form.ts";
import { freePort } from "../../tools/ports.ts";
import { SERVER_CORE } from "./dnsperf.ts";
import { type BenchServer, type ServedZone, startServer } from "./peers.ts";

export interface OursOptions {
  /** The project's folder that the server is taken from. */
  readonly root: string;
  /** A small program round the answer path instead of `serve`, for profiles. */
  readonly bare: boolean;
  /** A configuration file for `serve`; without one, nothing but rate limiting is configured: none. */
  readonly config?: string | undefined;
}

export async function startOurs(dir: string, zone: ServedZone, options: OursOptions): Promise<BenchServer> {
  if (options.bare) return await startBare(zone, options.root);
  await seed(dir, zone, options);
  return await startSeeded(dir, zone, options);
}

/** What our server may have to do beside: it is measured as one more server, so that what that costs is seen. */
export const BURDENS = ["limited", "idle"] as const;
export type Burden = typeof BURDENS[number];

/**
 * `limited`: each answer is judged by rate limiting, and none is limited. `idle`: 10,000 TCP connections are open, over which
 * nothing comes.
 */
export async function startBurdened(
  burden: Burden,
  dir: string,
  zone: ServedZone,
  options: OursOptions,
): Promise<BenchServer> {
  const home = `${dir}/${burden}`;
  await Deno.remove(home, { recursive: true }).catch(() => {});
  await Deno.mkdir(home);
  const config = `${home}/burden.toml`;
  await Deno.writeTextFile(config, BURDEN_CONFIGURATIONS[burden]);
  const server = await startOurs(home, zone, { ...options, config, bare: false });
  const idle: Deno.Conn[] = [];
  const stop = () => {
    for (const connection of idle) connection.close();
    return server.stop();
  };
  for (let i = 0; burden === "idle" && i < IDLE_CONNECTIONS; i++) {
    idle.push(await Deno.connect({ hostname: "127.0.0.1", port: server.port }));
  }
  return { ...server, name: burden, stop };
}

const IDLE_CONNECTIONS = 10_000;
const BURDEN_CONFIGURATIONS: Record<Burden, string> = {
  limited: "[dns.rate-limit]\nper-second = 1000000\nexempt = []\n",
  idle: `[dns.rate-limit]\nenabled = false\n[dns.tcp]\nmax-connections = ${IDLE_CONNECTIONS}\n` +
    `max-per-address = ${IDLE_CONNECTIONS}\nidle = "1h"\n`,
};

/** Makes the data folder: a first start puts the zone into the repository. */
export async function seed(dir: string, zone: ServedZone, options: OursOptions): Promise<void> {
  await Deno.remove(`${dir}/data`, { recursive: true }).catch(() => {});
  await Deno.mkdir(`${dir}/zones`, { recursive: true });
  const name = zone.origin === "." ? "root." : zone.origin;
  for await (const { name: old } of Deno.readDir(`${dir}/zones`)) await Deno.remove(`${dir}/zones/${old}`);
  await Deno.copyFile(zone.file, `${dir}/zones/${name}zone`);
  await (await startSeeded(dir, zone, options)).stop();
}

/** `serve` on a data folder that `seed` made. */
export async function startSeeded(dir: string, zone: ServedZone, options: OursOptions): Promise<BenchServer> {
  const port = freePort();
  const task = await taskOf(options.root, "serve");
  const off = ["--workers", "1", "--ssh", "off", "--web", "off", "--acme", "off"];
  const config = options.config ?? `${dir}/bench.toml`;
  if (options.config === undefined) await Deno.writeTextFile(config, "[dns.rate-limit]\nenabled = false\n");
  const places = ["--data", `${dir}/data`, "--zones", `${dir}/zones`, "--dns", `127.0.0.1:${port}`];
  const command = [Deno.execPath(), ...task, ...off, "--config", config, ...places];
  return await startServer("ours", command, port, zone.origin, { cwd: options.root, env: { INIT_CWD: dir } });
}

/** Makes a key that may change everything; the path of its file. */
export async function addKey(dir: string, origin: string, options: OursOptions): Promise<string> {
  const task = await taskOf(options.root, "key");
  // With this process's environment: it says where Deno keeps its packages.
  const { success, stdout, stderr } = await new Deno.Command("taskset", {
    args: [
      "-c",
      SERVER_CORE,
      Deno.execPath(),
      ...task,
      "add",
      `bench._update.${origin}`,
      "--data",
      `${dir}/data`,
    ],
    cwd: options.root,
    env: { INIT_CWD: dir },
    stdin: "null",
  }).output();
  if (!success) throw new Error(`no key: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).trim();
}

/** What `status --json` says of a data folder whose server has stopped. */
export async function statusOf(dir: string, options: OursOptions) {
  const task = await taskOf(options.root, "status");
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...task, "--data", `${dir}/data`, "--json"],
    cwd: options.root,
    env: { INIT_CWD: dir },
    stdin: "null",
  }).output();
  if (!success) throw new Error(`no status: ${new TextDecoder().decode(stderr)}`);
  const status: { readonly counters: CountersStatus } = JSON.parse(new TextDecoder().decode(stdout));
  return status;
}

async function startBare({ origin, file }: ServedZone, root: string): Promise<BenchServer> {
  const port = freePort();
  const script = `${root}/tests/bench/answers/bare_server.ts`;
  const command = [
    Deno.execPath(),
    "run",
    "--no-prompt",
    "--allow-read",
    "--allow-net",
    "--allow-ffi",
    script,
  ];
  return await startServer("ours", [...command, `127.0.0.1:${port}`, "1", `${origin}=${file}`], port, origin);
}

/** What a task of that project gives to `deno`: the permissions and the command. */
async function taskOf(root: string, name: string): Promise<string[]> {
  const command: string = JSON.parse(await Deno.readTextFile(`${root}/deno.json`)).tasks[name].command;
  return command.split(" ").slice(1);
}
