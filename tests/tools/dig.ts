import { hostAndPort } from "./server.ts";
import { run } from "./real.ts";

/** Asks with dig; the trimmed standard output. `args` as on the command line, without server and port. */
export async function dig(server: string, args: readonly string[]): Promise<string> {
  const { host, port } = hostAndPort(server);
  const outcome = await run("dig", [`@${host}`, "-p", port, "+tries=1", "+time=5", ...args]);
  return outcome.stdout.trim();
}
