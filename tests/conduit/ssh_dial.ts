/**
 * Logs in as root at 127.0.0.1 and says what came of it, for tests of agents: a process may reach a Unix socket only
 * by the path that it was started with. Options of the resolver in JSON come in, one login after another; a JSON list
 * of what the command said, or of the error's code and message, goes out.
 */
import { connect, createRegistry, sshResolver, type SshResolverOptions } from "../../conduit/mod.ts";
import { readAll, text } from "./flows.ts";

const [port, timeoutMs] = Deno.args.map(Number);
const logins: SshResolverOptions[] = JSON.parse(await new Response(Deno.stdin.readable).text());
const outcomes: string[] = [];
for (const options of logins) {
  const outcome = await connect(createRegistry().with(sshResolver(options)), {
    scheme: "ssh",
    host: "127.0.0.1",
    port,
    user: "root",
    command: "echo in",
  }, { timeoutMs });
  if (outcome.ok) {
    outcomes.push(text(await readAll(outcome.value)));
    outcome.value.close();
  } else {
    outcomes.push(`${outcome.error.attempts[0].code}: ${outcome.error.message}`);
  }
}
console.log(JSON.stringify(outcomes));
