/**
 * Tests against real programs: each gets a temporary folder, and is left out, with its reason printed, where a
 * program it needs is not installed.
 */
export function realTest(
  name: string,
  options: { needs: readonly string[]; ignore?: string | undefined },
  body: (context: RealContext) => Promise<void>,
): void {
  const missing = options.needs.filter((program) => findProgram(program) === undefined);
  const reason = options.ignore ?? (missing.length > 0 ? `not installed: ${missing.join(", ")}` : undefined);
  if (reason !== undefined) console.error(`left out: ${name} (${reason})`);
  Deno.test({
    name,
    ignore: reason !== undefined,
    fn: async (test) => {
      const dir = await Deno.makeTempDir({ prefix: "bailiwick-test-" });
      try {
        await body({ dir, step: async (title, part) => void await test.step(title, part) });
      } finally {
        await Deno.remove(dir, { recursive: true });
      }
    },
  });
}

export interface RealContext {
  /** A temporary folder, removed after the test. */
  readonly dir: string;
  /** A part of the test with a name and an outcome of its own. */
  readonly step: (title: string, part: () => Promise<void>) => Promise<void>;
}

export interface RunOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Nothing is inherited but PATH and what `env` gives; git reads no user configuration. */
export async function run(
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; stdin?: Uint8Array | string; check?: boolean } = {},
): Promise<RunOutcome> {
  const command = new Deno.Command(findProgram(program) ?? program, {
    args: [...args],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    clearEnv: true,
    env: { ...quietEnvironment(), ...options.env },
    stdin: options.stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  });
  const child = command.spawn();
  if (options.stdin !== undefined) {
    const writer = child.stdin.getWriter();
    const bytes = typeof options.stdin === "string" ? new TextEncoder().encode(options.stdin) : options.stdin;
    // A program may end before it has read everything; its exit code says so.
    await writer.write(bytes).then(() => writer.close()).catch(() => {});
  }
  const output = await child.output();
  const decoder = new TextDecoder();
  const outcome = {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
  if (options.check !== false && outcome.code !== 0) {
    throw new Error(
      `${program} ${args.join(" ")} exited ${outcome.code}\n${outcome.stdout}${outcome.stderr}`,
    );
  }
  return outcome;
}

/** The absolute path of a program, also in the folders that only root's PATH has. */
export function findProgram(program: string): string | undefined {
  if (program.startsWith("/")) return program;
  const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin", "/sbin", "/usr/local/sbin"];
  for (const folder of folders) {
    if (folder === "") continue;
    const path = `${folder}/${program}`;
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) && !(error instanceof Deno.errors.NotADirectory)) {
        throw error;
      }
    }
  }
  return undefined;
}

/** PATH, and a git that knows nobody and reads nothing of the user's. */
export function quietEnvironment(): Record<string, string> {
  return {
    PATH: `${Deno.env.get("PATH") ?? ""}:/usr/sbin:/sbin`,
    HOME: "/nonexistent",
    LC_ALL: "C.UTF-8",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Test",
    GIT_AUTHOR_EMAIL: "test@example.test",
    GIT_COMMITTER_NAME: "Test",
    GIT_COMMITTER_EMAIL: "test@example.test",
  };
}
