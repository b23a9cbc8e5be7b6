/** The entry point: picks the command. */
import { runCli } from "./cli/mod.ts";

Deno.exit(await runCli(Deno.args));
