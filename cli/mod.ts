/** cli: the commands. `runCli` is the only thing that `main.ts` needs. */
import { CliError, sentence } from "./errors.ts";
import { plainServe } from "./serve_flags.ts";

/**
 * Runs one command to its end.
 * @param args the words after `main.ts`
 * @returns the exit code: 0 done, 1 faults were found, 2 wrong usage or configuration
 */
export async function runCli(args: readonly string[]): Promise<number> {
  try {
    const flags = plainServe(args);
    return flags === undefined
      ? await (await import("./commands.ts")).runCommand(args)
      : await (await import("./serve.ts")).serve(flags);
  } catch (error) {
    if (error instanceof CliError) {
      console.error(`bailiwick: ${error.message}`);
      return error.exitCode;
    }
    const fault = knownSystemFault(error);
    if (fault !== undefined) {
      console.error(`bailiwick: ${fault}`);
      return 2;
    }
    throw error;
  }
}

/** What the operating system refuses is the user's to mend, and needs no stack. */
function knownSystemFault(error: unknown): string | undefined {
  const kinds = [
    Deno.errors.PermissionDenied,
    Deno.errors.NotCapable,
    Deno.errors.NotFound,
    Deno.errors.NotADirectory,
    Deno.errors.IsADirectory,
  ];
  return kinds.some((kind) => error instanceof kind) ? sentence(error) : undefined;
}
