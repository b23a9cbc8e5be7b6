/** A whole server as a user starts it: the `serve` task's own command line and permissions, in a process of its own. */
import { parse } from "node:path";

export interface RunningServer {
  /** `HOST:PORT` as the ready line says. */
  readonly dns: string;
  readonly ssh: string;
  readonly web: string;
  readonly ready: string;
  readonly pid: number;
  /** Everything on standard error so far. */
  log(): string;
  signal(signal: Deno.Signal): void;
  /** SIGTERM, and the exit code. */
  stop(): Promise<number>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

export type ServerOutcome =
  | { readonly ready: true; readonly server: RunningServer }
  | { readonly ready: false; readonly code: number; readonly stdout: string; readonly stderr: string };

/**
 * Starts `serve` in `cwd` with free ports unless `args` says otherwise, and waits for it to be ready or to end.
 * @param meanwhile what happens to the process before it is ready
 */
export async function startServer(
  cwd: string,
  args: readonly string[] = [],
  meanwhile: (child: Deno.ChildProcess) => Promise<void> = () => Promise.resolve(),
): Promise<ServerOutcome> {
  const defaults = [["--dns", "127.0.0.1:0"], ["--ssh", "127.0.0.1:0"], ["--web", "127.0.0.1:0"]]
    .filter(([flag]) => !args.includes(flag)).flat();
  const child = new Deno.Command(Deno.execPath(), {
    args: [...await taskArguments("serve"), ...defaults, ...args],
    cwd: new URL("../..", import.meta.url),
    env: { INIT_CWD: cwd },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const ended = child.status;
  await meanwhile(child);
  const first = await Promise.race([stdout.firstLine, ended]);
  if (typeof first !== "string") {
    await Promise.all([stdout.done, stderr.done]);
    return { ready: false, code: first.code, stdout: stdout.text(), stderr: stderr.text() };
  }
  const match = /^ready dns=(\S+) ssh=(\S+) web=(\S+) zones=\d+$/.exec(first);
  if (match === null) {
    child.kill("SIGKILL");
    await ended;
    throw new Error(`not a ready line: ${first}\n${stderr.text()}`);
  }
  const [, dns, ssh, web] = match;
  const finish = async (signal: Deno.Signal) => {
    child.kill(signal);
    const { code } = await ended;
    await Promise.all([stdout.done, stderr.done]);
    return code;
  };
  return {
    ready: true,
    server: {
      dns,
      ssh,
      web,
      ready: first,
      pid: child.pid,
      log: stderr.text,
      signal: (signal) => child.kill(signal),
      stop: () => finish("SIGTERM"),
      kill: async () => void await finish("SIGKILL"),
    },
  };
}

/** `startServer` where a server that does not come up is the test's failure. */
export async function serverIn(cwd: string, args: readonly string[] = []): Promise<RunningServer> {
  const outcome = await startServer(cwd, args);
  if (!outcome.ready) throw new Error(`serve exited ${outcome.code}\n${outcome.stdout}${outcome.stderr}`);
  return outcome.server;
}

/** Runs a command of the program (`certify`, `key` …) with its task's permissions. */
export async function runCommand(cwd: string, name: string, args: readonly string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...await taskArguments(name), ...args],
    cwd: new URL("../..", import.meta.url),
    env: { INIT_CWD: cwd },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Host and port of `127.0.0.1:5300` or `http://127.0.0.1:8053`, for tools that want them apart. */
export function hostAndPort(address: string): { host: string; port: string } {
  const at = address.lastIndexOf(":");
  return {
    host: address.slice(0, at).replace(/^http:\/\//, "").replace(/^\[|\]$/g, ""),
    port: address.slice(at + 1),
  };
}

/** The environment with which git reaches the embedded repository of a data directory, as the README says. */
export function gitEnvironment(
  data: string,
  identity = `${data}/keys/client_ed25519`,
): Record<string, string> {
  const options = [
    `-i ${identity}`,
    "-o IdentitiesOnly=yes",
    "-o BatchMode=yes",
    `-o UserKnownHostsFile=${data}/keys/known_hosts`,
    "-o StrictHostKeyChecking=yes",
  ];
  return { GIT_SSH_COMMAND: `ssh -F /dev/null ${options.join(" ")}`, HOME: parse(data).dir };
}

/** What a task gives to `deno`: the permissions and the command, from deno.json itself. */
export async function taskArguments(name: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL("../../deno.json", import.meta.url));
  const command: string = JSON.parse(text).tasks[name].command;
  const [program, ...args] = command.split(" ");
  if (program !== "deno") throw new Error(`the task ${name} does not run deno`);
  return args;
}

function collect(stream: ReadableStream<Uint8Array>) {
  let text = "";
  const waiting = Promise.withResolvers<string>();
  const done = (async () => {
    for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0) waiting.resolve(text.slice(0, end));
    }
  })();
  return { firstLine: waiting.promise, done, text: () => text };
}
