/**
 * Serves one push to a primary over standard input and output, for git's `ext::` transport. The second argument, if
 * any, is the step of a commit at which the process kills itself with SIGKILL.
 */
import type { Flow } from "../../conduit/mod.ts";
import { openPrimary, openState, putDatabaseAside } from "../../primary/mod.ts";
import { initRepository, serveReceivePack } from "../../store/mod.ts";

const [dir, dieAt] = Deno.args;
const repository = await initRepository(`${dir}/zones.git`, { owner: true });
const say = (message: string) => console.error(message);
const state = openState({
  path: `${dir}/state.db`,
  putAside: (path) => putDatabaseAside(path, "1"),
  report: say,
});
const primary = await openPrimary({
  repository,
  state,
  publish: () => {},
  judge: (operations) => ({ ok: true, operations }),
  clock: Date.now,
  log: { info: () => {}, warn: say, error: say },
  mode: { kind: "embedded" },
  crashPoint: (step) => {
    if (step === dieAt) Deno.kill(Deno.pid, "SIGKILL");
  },
});
await serveReceivePack({
  repository,
  flow: standardFlow(),
  version: 0,
  admit: (proposal) => primary.admitPush(proposal, "git"),
});
await primary.close();
state.close();
repository.close();

function standardFlow(): Flow {
  const reader = Deno.stdin.readable.getReader();
  const writer = Deno.stdout.writable.getWriter();
  return {
    description: "standard input and output",
    peer: undefined,
    secure: false,
    read: async () => (await reader.read()).value,
    write: (bytes) => writer.write(bytes),
    end: () => writer.close(),
    close: () => {},
    diagnostics: () => "",
  };
}
