/** One life of a `serve` process: started, loaded, killed at whatever moment. */
import { hostAndPort, taskArguments } from "../tools/server.ts";
import { findProgram, quietEnvironment, type RunOutcome } from "../tools/real.ts";

/** Starts `serve` and kills it, ready or not, after so many milliseconds. True where it had said that it is ready. */
export async function startAndKill(
  cwd: string,
  args: readonly string[],
  milliseconds: number,
): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...await taskArguments("serve"), ...FREE_PORTS, ...args],
    cwd: new URL("../..", import.meta.url),
    env: { INIT_CWD: cwd },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), milliseconds);
  const { code, signal, stdout } = await child.output();
  clearTimeout(timer);
  const said = new TextDecoder().decode(stdout);
  if (signal === null) throw new Error(`serve ended by itself with ${code}: ${said}`);
  return said.startsWith("ready ");
}

/**
 * Runs a program until it ends or `signal` ends it. `undefined` where it was ended: whether what it was about
 * happened is then unknown.
 */
export async function runUntil(
  signal: AbortSignal,
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; stdin?: string } = {},
): Promise<RunOutcome | undefined> {
  if (signal.aborted) return undefined;
  const child = new Deno.Command(findProgram(program) ?? program, {
    args: [...args],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    clearEnv: true,
    env: { ...quietEnvironment(), ...options.env },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  // At once: a program that is asked to end may take that for a good end.
  const end = () => {
    try {
      child.kill("SIGKILL");
    } catch (error) {
      // It ended by itself a moment before.
      if (!(error instanceof TypeError)) throw error;
    }
  };
  signal.addEventListener("abort", end);
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    // A program that was ended reads nothing; its outcome says so.
    await writer.write(new TextEncoder().encode(options.stdin)).then(() => writer.close()).catch(() => {});
  }
  const output = await child.output();
  signal.removeEventListener("abort", end);
  // Its own exit counts, even where the signal came a moment later.
  if (output.signal !== null) return undefined;
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

/** Runs one of the program's commands with its task's permissions, as `runUntil`. */
export async function commandUntil(signal: AbortSignal, cwd: string, name: string, args: readonly string[]) {
  return await runUntil(signal, Deno.execPath(), [...await taskArguments(name), ...args], {
    cwd: new URL("../..", import.meta.url).pathname,
    env: { INIT_CWD: cwd, HOME: Deno.env.get("HOME") ?? "/nonexistent", ...denoFolder() },
  });
}

/** An update as a user signs it; the exit code is the acknowledgment. */
export async function nsupdateUntil(
  signal: AbortSignal,
  server: string,
  keyFile: string,
  zone: string,
  lines: readonly string[],
): Promise<RunOutcome | undefined> {
  const { host, port } = hostAndPort(server);
  const script = [
    `server ${host} ${port}`,
    `zone ${zone}`,
    ...lines.map((line) => `update ${line}`),
    "send",
    "",
  ];
  // Ten tries of three seconds: a crowd of updates is made one after the other, each durable before it is answered.
  return await runUntil(signal, "nsupdate", ["-r", "10", "-k", keyFile], { stdin: script.join("\n") });
}

const FREE_PORTS = ["--dns", "127.0.0.1:0", "--ssh", "127.0.0.1:0", "--web", "127.0.0.1:0"];

/** Where Deno keeps its packages, so that a command finds them without asking the network again. */
function denoFolder(): Record<string, string> {
  const folder = Deno.env.get("DENO_DIR");
  return folder === undefined ? {} : { DENO_DIR: folder };
}
